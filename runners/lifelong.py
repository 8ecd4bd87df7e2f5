"""The lifelong protocol: edits one after another; after each checkpoint every edit so far is asked again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..benchmark.backbone import Backbone
from ..benchmark.editor import Editor
from ..benchmark.edits import EditStream
from ..benchmark.options import parse_options
from ..benchmark.plugins import find_editor, load_backbone, load_editor, load_stream
from ..errors import BenchError
from . import environment, identity
from .finishing import finish_run
from .folder import RunFolder, opened
from .journal import Journal
from .pictures import refuse_missing_pictures
from .progress import shown
from .randomness import seed_everything
from .replay import Plan, Replay
from .schedule import PANEL_SIZE, SAMPLE_BOUND
from .schedule import checkpoints as steps_of_checkpoints

BATCH_SIZE = 64


def run(
    *,
    editor: str | type[Editor] | Editor = "liveedit",
    backbone: str | Backbone = "emblem-llava",
    stream: str | EditStream = "emblems",
    steps: int = 1000,
    seed: int = 0,
    split: str | None = None,
    options: Mapping[str, str] | None = None,
    checkpoints: Sequence[int] | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    dtype: str = "float32",
    batch_size: int = BATCH_SIZE,
    fresh: bool = False,
    progress: bool = True,
    panel_size: int = PANEL_SIZE,
    sample_bound: int = SAMPLE_BOUND,
    after: Callable[[Path, EditStream], None] | None = None,
) -> dict[str, Any]:
    """Replay a stream and measure. Returns the content of `result.json`.

    Names are resolved as `benchmark.plugins` says; objects are taken as they are. A folder that holds an unfinished run
    of the same thing is continued, a finished one is only read.

    Args:
        editor: a name, a class, or an editor made over `backbone` (which `options` and `seed` then leave as it is).
        backbone: a name or a backbone; of an editor object, its own.
        stream: a dataset, the folder of a stored stream, or a stream.
        steps: how many edits to replay.
        seed: draws the edits, their order, the panel and the editor's own randomness.
        split: ``test`` unless the stream is a stored one.
        options: of the editor, as texts.
        checkpoints: steps at which everything is asked; 1, 2, 5, 10, ... by default. The last step is always one.
        out: the run folder; ``runs/<editor>-<dataset>-<split>-s<seed>-n<steps>`` by default.
        device: ``auto`` takes an accelerator when there is one.
        dtype: of the backbone's weights.
        batch_size: questions per forward pass; halved by itself where memory runs out.
        fresh: start over, deleting what a run wrote to the folder and nothing else.
        progress: show a bar on stderr.
        panel_size: locality probes of each kind that are asked at every checkpoint.
        sample_bound: most edits that are asked again at one checkpoint.
        after: called with the folder and the replayed stream once `result.json` stands (the command line draws there).

    Raises:
        BenchError: whatever a user can mend. Nothing already written is lost.
    """
    if batch_size < 1:
        raise BenchError(f"--batch-size {batch_size} asks nothing; give 1 or more")
    # What costs nothing is looked at first: a mistyped name must not wait for a model.
    at = steps_of_checkpoints(steps, checkpoints) if steps > 0 else ()
    kind = type(editor) if isinstance(editor, Editor) else find_editor(editor)
    chosen = parse_options(kind, options) if options else None
    replayed = load_stream(stream, edits=steps, seed=seed, split=split)
    refuse_missing_pictures(replayed)
    model = editor.backbone if isinstance(editor, Editor) else load_backbone(backbone, device=device, dtype=dtype)
    seed_everything(seed)
    method = editor if isinstance(editor, Editor) else load_editor(kind, model, options=chosen, seed=seed)
    source = replayed.source
    default = Path("runs") / f"{method.name}-{_in_a_path(source.dataset)}-{source.split}-s{seed}-n{steps}"
    plan = Plan(
        seed=seed,
        checkpoints=at,
        panel_size=panel_size,
        sample_bound=sample_bound,
        batch_size=batch_size,
        normalisation=source.normalisation,
        stream_sha256=replayed.sha256,
    )
    spec = _spec(method, model, replayed, plan, dtype)
    with opened(Path(out) if out is not None else default, fresh=fresh) as folder:
        content = identity.begin_or_check(folder, spec, environment.describe(model))
        if content["status"] == "running":
            result = _continue(folder, method, model, replayed, plan, spec, content, progress=progress)
        else:
            result = _finished(folder)
        folder.remove_parts()
        if after is not None:
            after(folder.path, replayed)
        return result


def _continue(
    folder: RunFolder,
    editor: Editor,
    backbone: Backbone,
    stream: EditStream,
    plan: Plan,
    spec: Mapping[str, Any],
    content: Mapping[str, Any],
    *,
    progress: bool,
) -> dict[str, Any]:
    journal = _journal(folder)
    try:
        with shown(len(stream), visible=progress) as bar:
            replay = Replay(editor, backbone, list(stream), plan, folder, journal, bar)
            result = finish_run(replay, replay.play(), spec, content["environment"])
    finally:
        journal.close()
    identity.finish(folder, content, result["status"])
    return result


def _spec(editor: Editor, backbone: Backbone, stream: EditStream, plan: Plan, dtype: str) -> dict[str, Any]:
    """Everything that decides the answers; a folder is continued only when all of it is the same."""
    versions = environment.describe()["versions"]
    source = stream.source
    return {
        "protocol": "lifelong",
        "editor": editor.name,
        "editor_version": editor.version,
        "options": identity.plain_options(editor),
        "editor_weights_sha256": editor.weights_sha256,
        "backbone": backbone.name,
        "backbone_weights_sha256": backbone.weights_sha256,
        "device": str(backbone.device),
        "dtype": dtype,
        "dataset": source.dataset,
        "split": source.split,
        "dataset_version": source.version,
        "normalisation": source.normalisation,
        "steps": len(stream),
        "seed": plan.seed,
        "checkpoints": list(plan.checkpoints),
        "panel_size": plan.panel_size,
        "sample_bound": plan.sample_bound,
        "batch_size": plan.batch_size,
        "stream_sha256": plan.stream_sha256,
        "code_sha256": identity.code_sha256(editor),
        "torch": versions.get("torch"),
        "transformers": versions.get("transformers"),
    }


def _journal(folder: RunFolder) -> Journal:
    journal = Journal(folder.journal)
    journal.append({"event": "resume" if journal.events else "begin"})
    return journal


def _finished(folder: RunFolder) -> dict[str, Any]:
    try:
        return json.loads(folder.result.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BenchError(
            f"{folder.result} of a finished run is missing or damaged ({type(error).__name__}); start over with --fresh"
        ) from error


def _in_a_path(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_.+" else "_" for letter in name)
