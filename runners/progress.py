"""What a run shows while it goes on: a bar on stderr, with the current curve."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..metrics.curves import curve
from ..metrics.estimates import HEADLINE
from ..metrics.paper import paper_points
from .table import TableInfo

Heard = Callable[[int, pd.DataFrame], None]
"""Called with step (or block size) and rows of each point of the curve, once the journal has it."""


class Bar:
    """Two lines: the edits with the last point of the curve, and what is being asked.

    heard: is told each point as well.
    """

    def __init__(self, progress: Progress | None, *, steps: int, heard: Heard | None = None) -> None:
        self._progress, self._heard = progress, heard
        if progress is not None:
            self._edits = progress.add_task("edits", total=steps, note="")
            self._asks = progress.add_task("probes", total=None, visible=False, note="")

    def edits(self, step: int) -> None:
        """So many edits are applied."""
        if self._progress is not None:
            self._progress.update(self._edits, completed=step)

    def asking(self, total: int, what: str) -> None:
        """So many probes are about to be asked."""
        if self._progress is not None:
            self._progress.reset(self._asks, total=total, visible=True, note=what)

    def answered(self, count: int) -> None:
        """So many more are answered."""
        if self._progress is not None:
            self._progress.advance(self._asks, count)

    def point(self, step: int, table: pd.DataFrame, info: TableInfo) -> None:
        """Show the curve at the checkpoint, or for the block size, whose rows these are."""
        if self._heard is not None:
            self._heard(step, table)
        if self._progress is not None:
            self._progress.update(self._edits, note=summary_line(table, info))
            self._progress.update(self._asks, visible=False)


def summary_line(table: pd.DataFrame, info: TableInfo) -> str:
    """``rel 0.95  gen 0.90  loc 0.97``, free-running, of one checkpoint; the average of a block size under paper."""
    if info.protocol == "paper":
        averages = [each.average for each in paper_points(table, normalisation=info.normalisation, resamples=0)]
        return "  ".join(f"average {each.value:.3f}" for each in averages if each is not None)
    points = curve(table, normalisation=info.normalisation, resamples=0)
    if not points:
        return ""
    last = points[-1]
    found = (
        ("rel", last.metrics.get("reliability", {}).get(HEADLINE)),
        ("gen", last.generality.get(HEADLINE)),
        ("loc", last.locality.get(HEADLINE)),
    )
    return "  ".join(f"{name} {each.value:.3f}" for name, each in found if each is not None)


@contextmanager
def shown(steps: int, *, visible: bool, heard: Heard | None = None) -> Generator[Bar]:
    """A bar while the run goes on; one that shows nothing when not `visible`."""
    if not visible:
        yield Bar(None, steps=steps, heard=heard)
        return
    columns = (
        TextColumn("{task.description:>6}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield Bar(progress, steps=steps, heard=heard)
