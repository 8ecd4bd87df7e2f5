"""The paper protocol: blocks of n edits in file order, each from f_0, all records of a block asked once.

As the released code of arXiv 2411.15432 does it: nothing is shuffled, the incomplete last block is dropped, answers are
teacher-forced and their end is not scored, and locality is agreement with f_0 along the *gold* locality answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..benchmark.backbone import Backbone, BackboneChoice
from ..benchmark.editor import Editor
from ..benchmark.edits import EditStream
from ..benchmark.plugins import ANNOTATED, load_stream
from ..errors import BenchError
from .blocks import BlockReplay
from .causality import SAMPLE, Causality, Claim, check_claims
from .finishing import named
from .folder import RunFolder
from .journal import Journal
from .opening import BATCH_SIZE, After, carry_out, choose
from .progress import shown
from .randomness import undisturbed
from .result import RunFacts, make_result, to_json
from .schedule import draw
from .table import to_bytes
from .tracking.following import followed
from .tracking.tracker import load_trackers

BLOCKS = (1, 10, 100, 1000)
"""Block sizes of the paper's Table 1 and its appendix."""


def run(
    *,
    editor: str | type[Editor] | Editor = "liveedit",
    backbone: str | BackboneChoice | Backbone = "emblem-llava",
    stream: str | EditStream = "emblems",
    blocks: Sequence[int] | None = None,
    steps: int | None = None,
    seed: int = 0,
    split: str | None = None,
    options: Mapping[str, str] | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    dtype: str = "float32",
    batch_size: int = BATCH_SIZE,
    fresh: bool = False,
    progress: bool = True,
    track: Sequence[str] = (),
    after: After | None = None,
) -> dict[str, Any]:
    """Apply and ask the blocks of every size. Returns the content of `result.json`.

    Args:
        editor: as in `lifelong.run`.
        backbone: as in `lifelong.run`.
        stream: a stored stream whose texts were prepared for this protocol, or a dataset that has no templates.
        blocks: edits per block; those of 1, 10, 100 and 1000 that the stream can fill by default.
        steps: how many records; all of a stored stream, 1,000 of a dataset by default.
        seed: draws the edits of a generated dataset and the editor's own randomness; a stored stream keeps its order.
        split: as in `lifelong.run`.
        options: of the editor, as texts.
        out: the run folder; ``runs/paper-<editor>-<dataset>-<split>-s<seed>-n<records>`` by default.
        device: as in `lifelong.run`.
        dtype: as in `lifelong.run`.
        batch_size: questions per forward pass.
        fresh: start over, deleting what a run wrote to the folder and nothing else.
        progress: show a bar on stderr.
        track: `wandb`, `trackio`, `tensorboard`: told each point of the curve; none of them can harm the run.
        after: called with the folder and the stream once `result.json` stands.

    Raises:
        BenchError: whatever a user can mend. Nothing already written is lost.
    """
    trackers = load_trackers(track)
    chosen = choose(editor, options, batch_size=batch_size)
    records = load_stream(stream, edits=steps, seed=seed, split=split, in_order=True)
    _check_texts(records)
    sizes = block_sizes(len(records), blocks)
    system = chosen.load(backbone, records, seed=seed, device=device, dtype=dtype, batch_size=batch_size)
    spec = system.spec("paper", checkpoints=list(sizes))

    def play(folder: RunFolder, journal: Journal, about: Mapping[str, Any]) -> dict[str, Any]:
        edits = sum(len(records) // size * size for size in sizes)
        normalisation = records.source.normalisation
        with (
            followed(
                trackers, folder, journal, spec=spec, normalisation=normalisation, editor=system.editor
            ) as following,
            shown(edits, visible=progress, heard=following.point) as bar,
        ):
            replay = BlockReplay(system, sizes, folder, journal, bar)
            result = _finish(replay, replay.play(), spec, about)
            following.end(result)
            return result

    return carry_out(system, spec, system.folder(out, protocol="paper"), play, fresh=fresh, after=after)


def block_sizes(records: int, chosen: Sequence[int] | None = None) -> tuple[int, ...]:
    """The chosen block sizes, ascending; by default those of `BLOCKS` that the records fill at least once.

    Raises `BenchError` for a size that no block can have.
    """
    if chosen is None:
        return tuple(size for size in BLOCKS if size <= records)
    if not chosen:
        raise BenchError("--block names no size; write 1,10,100,1000")
    for size in chosen:
        if not 1 <= size <= records:
            raise BenchError(
                f"--block {size} can be filled by no block of this stream's {records} records (the incomplete last "
                f"block is dropped); give sizes from 1 to {records}"
            )
    return tuple(sorted(set(chosen)))


def _check_texts(stream: EditStream) -> None:
    """Refuse streams that are no file in file order with the paper's prompts."""
    source = stream.source
    if source.texts == "clean":
        raise BenchError(
            f"the texts of this stream of {source.dataset} were cleaned; the paper protocol asks them as the file has "
            f"them, with the paper's suffixes: liveedit-bench data build {source.dataset} --annotations FILE "
            f"--images DIR --split {source.split} --texts paper --out FOLDER"
        )
    if source.texts is None and any(name in ANNOTATED for name in source.dataset.split("+")):
        raise BenchError(
            f"the texts of this stream of {source.dataset} were prepared in different ways, some without the paper's "
            "suffixes; the paper protocol takes one file: give the streams one by one"
        )
    if source.scenario is not None:
        raise BenchError(
            f"this stream was arranged ({source.scenario}); the paper protocol takes records in file order: "
            "give the stream it was made of"
        )


def _finish(
    replay: BlockReplay, table: pd.DataFrame, spec: Mapping[str, Any], environment: Mapping[str, Any]
) -> dict[str, Any]:
    """Check, and write `probes.parquet` and `result.json`."""
    folder, journal, records = replay.folder, replay.journal, len(replay.edits)
    folder.write(folder.probes, to_bytes(table, replay.info))
    checked = journal.last("checked") or _check(replay)
    replay.system.editor.reset()
    outcomes = {size: replay.outcomes(size) for size in replay.sizes}
    # An edit may fail in the blocks of one size and succeed in those of another; it is counted once.
    failures: dict[int, str] = {}
    for found in outcomes.values():
        for position, outcome in enumerate(found):
            if outcome.kind is not None:
                failures.setdefault(position, outcome.kind)
    result = make_result(
        table,
        RunFacts(
            **named(replay.system.editor, spec),
            protocol="paper",
            checkpoints=replay.sizes,
            blocks=[
                {
                    "size": size,
                    "count": records // size,
                    "dropped": records % size,
                    "wall_seconds": round(replay.seconds(size), 3),
                }
                for size in replay.sizes
            ],
            environment=environment,
            edit_seconds=[each.seconds for found in outcomes.values() for each in found if each.kind is None],
            failures=list(failures.values()),
            answering_overhead=None,
            state_bytes=checked["state_bytes"],
            peak_memory_bytes=max(event["peak_memory_bytes"] for event in journal.of("block")),
            wall_seconds=round(journal.wall_seconds(), 3),
            causality=Causality(checked["checked"], checked["mismatches"]),
        ),
    )
    folder.write(folder.result, to_json(result).encode())
    return result


def _check(replay: BlockReplay) -> dict[str, Any]:
    """What needs the editor as the last block left it: asked once, kept in the journal."""
    asked = replay.last_block()
    sample = draw(len(asked), SAMPLE, f"causality {replay.system.seed}")
    with undisturbed():
        found = check_claims([Claim(asked[index][0], asked[index][1].ids) for index in sample], replay.prober)
    replay.journal.append(
        {
            "event": "checked",
            "checked": found.checked,
            "mismatches": found.mismatches,
            "state_bytes": int(replay.system.editor.state_bytes),
        }
    )
    return replay.journal.events[-1]
