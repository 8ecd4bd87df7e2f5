"""How hard a stream of emblems is: do near-identical pictures lie nearer to the edited one than its own second view?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...benchmark.edits import Edit, EditStream, Picture
from .build import build

Features = Callable[[Sequence[Picture]], NDArray[np.float32]]
TWINS = ("locality_twin_same", "locality_twin_other")


@dataclass(frozen=True)
class Hardness:
    """Shares in [0, 1]. A twin is nearer when it lies closer to the edited picture than that picture's second view."""

    edits: int
    twins: int
    twins_nearer_in_pixels: float
    twins_nearer_in_vision_rows: float
    twins_nearer_in_vision_mean: float
    unseen_targets: float
    unseen_questions: float
    distinct_targets: int
    distinct_text_questions: int
    majority_floor: float

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def pixels(pictures: Sequence[Picture]) -> NDArray[np.float32]:
    """Pictures as rows of pixel values."""
    return np.stack([np.asarray(picture.open(), dtype=np.float32).ravel() for picture in pictures])


def vision_rows(backbone: Any) -> Features:
    """The frozen vision tower's features as the decoder sees them, all rows of a picture laid end to end."""
    import torch

    def features(pictures: Sequence[Picture]) -> NDArray[np.float32]:
        blocks = list[NDArray[np.float32]]()
        for start in range(0, len(pictures), 128):
            images = [picture.open() for picture in pictures[start : start + 128]]
            values = backbone.processor.image_processor(images, return_tensors="pt")["pixel_values"]
            with torch.no_grad():
                rows = backbone.model.base_model.get_image_features(pixel_values=values, return_dict=True).pooler_output
            blocks.append(torch.stack(list(rows)).flatten(1).numpy())
        return np.concatenate(blocks)

    return features


def _nearer(edits: Sequence[Edit], features: Features, *, rows: int = 1) -> float:
    """The share of twins nearer than the second view; `rows` > 1 averages that many rows per picture first."""

    def of(kind: str) -> NDArray[np.float32]:
        pictures = [
            probe.image for edit in edits for probe in edit.probes if probe.kind == kind and probe.image is not None
        ]
        flat = features(pictures)
        return flat if rows == 1 else flat.reshape(len(flat), rows, -1).mean(axis=1)

    edited, second = of("reliability"), of("image_generality")
    view = np.linalg.norm(second - edited, axis=1)
    return float(np.mean([np.linalg.norm(of(kind) - edited, axis=1) < view for kind in TWINS]))


def hardness(stream: EditStream, backbone: Any) -> Hardness:
    """Audit a stream with the frozen vision tower of a Hugging Face backbone."""
    edits, features = list(stream), vision_rows(backbone)
    probes = [probe for edit in edits for probe in edit.probes]
    commonest = {
        task: _commonest([edit.target for edit in edits if edit.facts.task == task])
        for task in {edit.facts.task for edit in edits}
    }
    return Hardness(
        edits=len(edits),
        twins=sum(probe.kind in TWINS for probe in probes),
        twins_nearer_in_pixels=_nearer(edits, pixels),
        twins_nearer_in_vision_rows=_nearer(edits, features),
        twins_nearer_in_vision_mean=_nearer(edits, features, rows=backbone.model.config.image_seq_length),
        unseen_targets=float(np.mean([not edit.facts.seen_target for edit in edits])),
        unseen_questions=float(np.mean([not edit.probes[0].seen for edit in edits])),
        distinct_targets=len({edit.target for edit in edits}),
        distinct_text_questions=len({probe.fact for probe in probes if probe.kind == "text_locality"}),
        majority_floor=float(np.mean([edit.target == commonest[edit.facts.task] for edit in edits])),
    )


def _commonest(names: Sequence[str]) -> str:
    return max(sorted(set(names)), key=names.count)


def audit(backbone: Any, *, n_edits: int = 1000, split: str = "validation", seed: int = 0) -> Hardness:
    """Build a stream and audit it."""
    return hardness(build(n_edits, seed=seed, split=split), backbone)
