"""Runs side by side, and beside them what a paper reports.

A table holds runs of one protocol on one stream and one backbone; whatever differs gets a table of its own. Runs are
ranked by their headline, and tie where their intervals overlap. Reported numbers stand below them, marked and never
ranked: other weights and other code made them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..benchmark.edits import GENERALITY_KINDS, LOCALITY_KINDS, Kind
from ..errors import BenchError
from ..metrics.curves import PAPER_COLUMNS
from ..metrics.estimates import Estimate as Measured
from ..metrics.intervals import shared_ranks
from .beside import Asked, beside
from .published.reported import Reported
from .schema import BackboneInfo, Blocks, Estimate, Headline, Result, Scores, read_result

LIFELONG = ("score", "reliability", "generality", "locality", "right after the edit", "portability")
PAPER = ("Rel", "T-Gen", "M-Gen", "T-Loc", "M-Loc", "Average")

HEADLINES = ("score", "Average")
"""The columns that runs are ranked by."""


@dataclass(frozen=True)
class Cell:
    """A share with its interval. fixed: it follows from how the method is built."""

    value: float
    ci95: tuple[float, float] | None = None
    fixed: bool = False


@dataclass(frozen=True)
class Row:
    """One line. size: edits applied (to f_0) before everything was asked.

    rank: among the runs of the same size, None where there is no other, for void runs, bounds and what was reported.
    """

    name: str
    size: int
    cells: tuple[Cell | None, ...]
    reported: bool = False
    void: bool = False
    bound: bool = False
    rank: int | None = None


@dataclass(frozen=True)
class Table:
    """Rows that may stand together. facts: what they have in common. notes: what a reader must know."""

    protocol: str
    columns: tuple[str, ...]
    facts: Mapping[str, str]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Run:
    name: str
    result: Result


def compare(runs: Sequence[Path], *, backbone: str | None = None, dataset: str | None = None) -> list[Table]:
    """Tables of finished runs, in the order in which their first run was given.

    Args:
        runs: run folders, or files of the shape of `result.json`.
        backbone: show what was reported on this backbone, whatever the runs were made on.
        dataset: likewise.

    Raises:
        BenchError: a run is not finished or given twice, or nothing was reported under a name.
    """
    asked = Asked(backbone, dataset)
    groups: dict[tuple[str, ...], list[_Run]] = {}
    for run in _named(runs):
        result = run.result
        model = result.backbone
        key = (result.protocol.id, result.stream.sha256, model.name, model.weights_sha256, _loaded_as(model))
        groups.setdefault(key, []).append(run)
    tables = [_paper(group, asked) if key[0] == "paper" else _lifelong(group, asked) for key, group in groups.items()]
    if len(tables) == 1:
        return tables
    note = f"One of {len(tables)} tables: the runs differ in protocol, stream or backbone and cannot share one."
    return [replace(table, notes=(note, *table.notes)) for table in tables]


def _named(runs: Sequence[Path]) -> list[_Run]:
    """The runs under the names of their editors, with their folders where those are equal."""
    files = [path if path.is_file() else path / "result.json" for path in runs]
    if len({file.resolve() for file in files}) < len(files):
        raise BenchError("a run is given twice; give each once")
    results = [read_result(file) for file in files]
    editors = [result.editor.name for result in results]
    return [
        _Run(editor if editors.count(editor) == 1 else f"{editor} ({path})", result)
        for path, editor, result in zip(runs, editors, results, strict=True)
    ]


def _paper(runs: Sequence[_Run], asked: Asked) -> Table:
    """Blocks of each size, the runs first."""
    first = runs[0].result
    sizes = sorted({size for run in runs for size in run.result.protocol.checkpoints})
    printed, notes = beside(first, sizes, asked)
    rows: list[Row] = []
    for size in sizes:
        rows += _ranked([_blocks(run, size) for run in runs if size in run.result.protocol.checkpoints], PAPER)
        rows += [_reported(row) for row in printed if row.size == size]
    dropped = [
        f"{block.dropped:,} of {first.stream.edits:,} records are left over in blocks of {block.size:,}."
        for block in _any_blocks(runs, sizes)
        if block.dropped
    ]
    return Table("paper", PAPER, _facts(first, "teacher-forced"), tuple(rows), (*_marks(runs), *dropped, *notes))


def _blocks(run: _Run, size: int) -> Row:
    result = run.result
    (point,) = (point for point in result.curve if point.step == size)
    fixed = set(result.editor.fixed_scores or ())
    columns = [_cell(_forced(point.metrics.get(kind)), fixed=kind in fixed) for kind in PAPER_COLUMNS]
    average = _cell(point.average, fixed=bool(fixed & set(PAPER_COLUMNS)))
    return Row(run.name, size, (*columns, average), void=result.status == "void", bound=bool(result.editor.bound))


def _reported(row: Reported) -> Row:
    shares = (*(row.columns.get(kind) for kind in PAPER_COLUMNS), row.average)
    return Row(row.editor, row.size, tuple(None if share is None else Cell(share) for share in shares), reported=True)


def _lifelong(runs: Sequence[_Run], asked: Asked) -> Table:
    notes = ("What was reported is of the paper protocol; nothing stands beside lifelong runs.",) if asked else ()
    rows = _ranked([_last_step(run) for run in runs], LIFELONG)
    return Table("lifelong", LIFELONG, _facts(runs[0].result, "free-running"), tuple(rows), (*_marks(runs), *notes))


def _last_step(run: _Run) -> Row:
    result, last = run.result, run.result.curve[-1]
    fixed = set(result.editor.fixed_scores or ())

    def of_kind(kind: Kind) -> Cell | None:
        return _cell(_free(last.metrics.get(kind)), fixed=kind in fixed)

    def of_kinds(found: Headline | None, kinds: Iterable[Kind]) -> Cell | None:
        return _cell(found, fixed=bool(fixed & set(kinds)))

    cells = (
        of_kinds(result.score, ("reliability", *GENERALITY_KINDS, *LOCALITY_KINDS)),
        of_kind("reliability"),
        of_kinds(result.generality.free_running if result.generality else None, GENERALITY_KINDS),
        of_kinds(result.locality.free_running if result.locality else None, LOCALITY_KINDS),
        _cell(_free(result.immediate), fixed="reliability" in fixed),
        of_kind("portability"),
    )
    return Row(run.name, last.step, cells, void=result.status == "void", bound=bool(result.editor.bound))


def _ranked(rows: Sequence[Row], columns: Sequence[str]) -> list[Row]:
    """The rows of runs, the best headline first; bounds and those without a headline last and without a rank."""
    (headline,) = (index for index, name in enumerate(columns) if name in HEADLINES)
    known = [(row, cell) for row in rows if (cell := row.cells[headline]) is not None and not row.bound]
    ranks = shared_ranks([Measured(cell.value, 0, cell.ci95) for _, cell in known])
    best = sorted(zip(known, ranks, strict=True), key=lambda found: -found[0][1].value)
    placed = [replace(row, rank=rank if len(known) > 1 else None) for (row, _), rank in best]
    return [*placed, *(row for row in rows if row.bound or row.cells[headline] is None)]


def _facts(result: Result, scorer: str) -> dict[str, str]:
    stream = result.stream
    seed = "" if stream.seed is None else f", seed {stream.seed}"
    return {
        "Protocol": result.protocol.id,
        "Scorer": scorer,
        "Stream": f"{stream.dataset}/{stream.split}, {stream.edits:,} edits{stream.prepared}{seed}",
        "Stream sha256": stream.sha256,
        "Backbone": result.backbone.name,
        "Backbone weights sha256": result.backbone.weights_sha256,
        **({"Loaded as": loaded} if (loaded := _loaded_as(result.backbone)) else {}),
    }


def _loaded_as(backbone: BackboneInfo) -> str:
    """What beside the weights decides its answers: revision, quantization, dtype, a template that is not plain."""
    return ", ".join(f"{name} {value}" for name, value in sorted((backbone.loaded_as or {}).items()))


def _marks(runs: Sequence[_Run]) -> list[str]:
    """What the marks of the rows mean."""
    notes = ["Intervals: 95 %, within this stream; runs whose intervals overlap share a rank."]
    if any(run.result.editor.fixed_scores for run in runs):
        notes.append("†: fixed by how the method is built, or a mean over such a number.")
    if any(run.result.status == "void" for run in runs):
        notes.append("void: the editor looked ahead; its numbers do not count.")
    if any(run.result.editor.bound for run in runs):
        notes.append("bound: no method, it uses what none can know; not ranked.")
    return notes


def _any_blocks(runs: Sequence[_Run], sizes: Sequence[int]) -> list[Blocks]:
    """The blocks of every size; they are the same in every run of one stream."""
    found = {block.size: block for run in runs for block in run.result.blocks or ()}
    return [found[size] for size in sizes]


def _cell(found: Estimate | Headline | None, *, fixed: bool = False) -> Cell | None:
    return None if found is None else Cell(found.value, found.ci95, fixed)


def _forced(scores: Scores | None) -> Estimate | None:
    return scores.teacher_forced if scores else None


def _free(scores: Scores | None) -> Estimate | None:
    return scores.free_running if scores else None
