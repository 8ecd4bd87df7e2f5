"""A run under the paper protocol as one HTML file: a table and a figure over block sizes, and no script."""

from __future__ import annotations

from dataclasses import dataclass

from ..metrics.curves import PAPER_COLUMNS
from . import details, page, tables
from .kinds import WORDS
from .schema import Blocks, CurvePoint, Estimate, Headline, Result
from .words import seconds


@dataclass(frozen=True)
class Line:
    """One block size. cells: the five columns."""

    point: CurvePoint
    block: Blocks
    cells: list[Estimate | None]
    average: Headline | None
    took: str


def render(result: Result, *, svg: str) -> str:
    """The page. `svg` is the figure. Every value is escaped by the template."""
    stream = result.stream
    seed = "" if stream.seed is None else f" (seed {stream.seed})"
    marked = {kind: why for kind, why in (result.editor.fixed_scores or {}).items() if kind in PAPER_COLUMNS}
    return (
        page.environment()
        .get_template("paper.html")
        .render(
            result=result,
            subtitle=f"{stream.edits:,} records of {stream.dataset}/{stream.split}{stream.prepared}{seed}, "
            f"in blocks that each begin with the unedited {result.backbone.name}",
            heads=[(WORDS[kind].label, WORDS[kind].meaning, kind in marked) for kind in PAPER_COLUMNS],
            lines=[_line(point, block) for point, block in zip(result.curve, result.blocks or (), strict=True)],
            fixed=[tables.Fixed(WORDS[kind].label, marked[kind]) for kind in PAPER_COLUMNS if kind in marked],
            cost=details.cost(result),
            failures=details.failures(result),
            run_facts=details.run_facts(result),
            still=page.still(svg),
            style=page.style(),
        )
    )


def _line(point: CurvePoint, block: Blocks) -> Line:
    scores = [point.metrics.get(kind) for kind in PAPER_COLUMNS]
    cells = [found.teacher_forced if found else None for found in scores]
    return Line(point, block, cells, point.average, seconds(block.wall_seconds))
