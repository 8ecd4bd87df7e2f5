"""The lifelong protocol: edits one after another; after each checkpoint every edit so far is asked again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..benchmark.backbone import Backbone, BackboneChoice
from ..benchmark.editor import Editor
from ..benchmark.edits import EditStream
from ..benchmark.plugins import load_stream
from .finishing import finish_run
from .folder import RunFolder
from .journal import Journal
from .opening import BATCH_SIZE, After, carry_out, choose
from .progress import shown
from .replay import Plan, Replay
from .schedule import PANEL_SIZE, SAMPLE_BOUND
from .schedule import checkpoints as steps_of_checkpoints
from .tracking.following import followed
from .tracking.tracker import load_trackers


def run(
    *,
    editor: str | type[Editor] | Editor = "liveedit",
    backbone: str | BackboneChoice | Backbone = "emblem-llava",
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
    track: Sequence[str] = (),
    after: After | None = None,
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
        track: `wandb`, `trackio`, `tensorboard`: told each point of the curve; none of them can harm the run.
        after: called with the folder and the replayed stream once `result.json` stands (the command line draws there).

    Raises:
        BenchError: whatever a user can mend. Nothing already written is lost.
    """
    # What costs nothing is looked at first: a mistyped name must not wait for a model.
    trackers = load_trackers(track)
    chosen = choose(editor, options, batch_size=batch_size)
    at = steps_of_checkpoints(steps, checkpoints) if steps > 0 else ()
    replayed = load_stream(stream, edits=steps, seed=seed, split=split)
    system = chosen.load(backbone, replayed, seed=seed, device=device, dtype=dtype, batch_size=batch_size)
    plan = Plan(
        seed=seed,
        checkpoints=at,
        panel_size=panel_size,
        sample_bound=sample_bound,
        batch_size=batch_size,
        normalisation=replayed.source.normalisation,
        stream_sha256=replayed.sha256,
    )
    spec = system.spec("lifelong", checkpoints=list(at), panel_size=panel_size, sample_bound=sample_bound)

    def play(folder: RunFolder, journal: Journal, about: Mapping[str, Any]) -> dict[str, Any]:
        with (
            followed(
                trackers, folder, journal, spec=spec, normalisation=plan.normalisation, editor=system.editor
            ) as following,
            shown(steps, visible=progress, heard=following.point) as bar,
        ):
            replay = Replay(system.editor, system.backbone, list(replayed), plan, folder, journal, bar)
            result = finish_run(replay, replay.play(), spec, about)
            following.end(result)
            return result

    return carry_out(system, spec, system.folder(out), play, fresh=fresh, after=after)
