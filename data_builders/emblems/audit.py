"""How hard a stream of emblems is: do near-identical pictures lie nearer to the edited one than its own second view?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...benchmark.edits import Edit, EditStream, Picture
from .build import build

if TYPE_CHECKING:
    from ...benchmark.backbones.huggingface import HuggingFaceBackbone

Features = Callable[[Sequence[Picture]], NDArray[np.float32]]
"""Pictures -> [N, rows, width]."""
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
    """Each picture's pixel values, in one row."""
    return np.stack([np.asarray(picture.open(), dtype=np.float32).reshape(1, -1) for picture in pictures])


def vision_rows(backbone: HuggingFaceBackbone) -> Features:
    """The frozen vision tower's features as the decoder sees them."""
    import torch

    def features(pictures: Sequence[Picture]) -> NDArray[np.float32]:
        blocks = list[NDArray[np.float32]]()
        model: Any = backbone.model
        for start in range(0, len(pictures), 128):
            images = [picture.open() for picture in pictures[start : start + 128]]
            values = backbone.processor.image_processor(images, return_tensors="pt")["pixel_values"]
            with torch.no_grad():
                rows = model.base_model.get_image_features(
                    pixel_values=values.to(backbone.device), return_dict=True
                ).pooler_output
            blocks.append(torch.stack(list(rows)).float().cpu().numpy())
        return np.concatenate(blocks)

    return features


def _nearer(edits: Sequence[Edit], features: Features) -> tuple[float, float]:
    """The share of twins nearer than the second view, by all rows of a picture and by the mean of its rows."""
    edited, second = (features(_pictures(edits, kind)) for kind in ("reliability", "image_generality"))
    twins = [features(_pictures(edits, kind)) for kind in TWINS]

    def share(of: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> float:
        def distance(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
            difference = of(pictures) - of(edited)
            return np.sqrt(np.square(difference.reshape(len(difference), -1)).sum(axis=1))

        return float(np.mean([distance(pictures) < distance(second) for pictures in twins]))

    return share(lambda rows: rows), share(lambda rows: rows.mean(axis=1))


def _pictures(edits: Sequence[Edit], kind: str) -> list[Picture]:
    """The picture of each edit's probe of a kind."""
    return [probe.image for edit in edits for probe in edit.probes if probe.kind == kind and probe.image is not None]


def hardness(stream: EditStream, backbone: HuggingFaceBackbone) -> Hardness:
    """Audit a stream with the frozen vision tower of a Hugging Face backbone."""
    edits = list(stream)
    by_rows, by_mean = _nearer(edits, vision_rows(backbone))
    probes = [probe for edit in edits for probe in edit.probes]
    commonest = {
        task: _commonest([edit.target for edit in edits if edit.facts.task == task])
        for task in {edit.facts.task for edit in edits}
    }
    return Hardness(
        edits=len(edits),
        twins=sum(probe.kind in TWINS for probe in probes),
        twins_nearer_in_pixels=_nearer(edits, pixels)[0],
        twins_nearer_in_vision_rows=by_rows,
        twins_nearer_in_vision_mean=by_mean,
        unseen_targets=float(np.mean([not edit.facts.seen_target for edit in edits])),
        unseen_questions=float(np.mean([not edit.probes[0].seen for edit in edits])),
        distinct_targets=len({edit.target for edit in edits}),
        distinct_text_questions=len({probe.fact for probe in probes if probe.kind == "text_locality"}),
        majority_floor=float(np.mean([edit.target == commonest[edit.facts.task] for edit in edits])),
    )


def _commonest(names: Sequence[str]) -> str:
    return max(sorted(set(names)), key=names.count)


def audit(backbone: HuggingFaceBackbone, *, n_edits: int = 1000, split: str = "validation", seed: int = 0) -> Hardness:
    """Build a stream and audit it."""
    return hardness(build(n_edits, seed=seed, split=split), backbone)
