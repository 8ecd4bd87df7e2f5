"""Training an editor: its streams, its own `fit`, and a word on where the weights are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..benchmark.backbone import Backbone, BackboneChoice
from ..benchmark.editor import Editor
from ..benchmark.options import parse_options
from ..benchmark.plugins import find_editor, load_backbone, load_editor, load_stream
from ..errors import BenchError
from .folder import readable_disk_errors
from .pictures import refuse_missing_pictures
from .randomness import seed_everything

VALIDATION_EDITS = 200


@dataclass(frozen=True)
class Trained:
    """Where the weights are, and what they are a product of."""

    out: Path
    editor: str
    weights_sha256: str | None
    train_seconds: float | None
    stream_sha256: str


def train(
    *,
    editor: str | type[Editor],
    backbone: str | BackboneChoice | Backbone = "emblem-llava",
    stream: str = "emblems",
    edits: int = 5000,
    validation_edits: int = VALIDATION_EDITS,
    seed: int = 0,
    options: Mapping[str, str] | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    dtype: str = "float32",
) -> Trained:
    """Fit a trainable editor on the training split, with a stream of the validation split to watch.

    What an editor can be told about its training (steps, seconds, learning rate) are options of the editor. The editor
    continues by itself where an earlier call with the same `out` left off.

    Raises `BenchError` for an editor that has nothing to train, and for whatever else a user can mend.
    """
    kind = find_editor(editor)
    if not kind.trainable:
        raise BenchError(f"editor {kind.name!r} has nothing to train: `run` takes it as it is")
    chosen = parse_options(kind, options or {})
    training = load_stream(stream, edits=edits, seed=seed, split="train")
    validation = (
        load_stream(stream, edits=validation_edits, seed=seed, split="validation") if validation_edits else None
    )
    for one in (training, validation):
        if one is not None:
            refuse_missing_pictures(one)
    folder = Path(out) if out is not None else Path("runs") / f"train-{kind.name}-s{seed}-n{edits}"
    model = load_backbone(backbone, device=device, dtype=dtype)
    seed_everything(seed)
    method = load_editor(kind, model, options=chosen, seed=seed)
    with readable_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        method.fit(training, validation=validation, out=folder)
    return Trained(
        out=folder,
        editor=kind.name,
        weights_sha256=method.weights_sha256,
        train_seconds=method.train_seconds,
        stream_sha256=training.sha256,
    )
