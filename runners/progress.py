"""What a run shows while it goes on: a bar on stderr, with the current curve."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..benchmark.edits import Normalisation
from ..metrics.curves import curve
from ..metrics.estimates import HEADLINE


class Bar:
    """Two lines: the edits with the last point of the curve, and what is being asked."""

    def __init__(self, progress: Progress | None, *, steps: int) -> None:
        self._progress = progress
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

    def point(self, table: pd.DataFrame, normalisation: Normalisation) -> None:
        """Show the curve at the checkpoint whose rows these are."""
        if self._progress is not None:
            self._progress.update(self._edits, note=summary_line(table, normalisation))
            self._progress.update(self._asks, visible=False)


def summary_line(table: pd.DataFrame, normalisation: Normalisation) -> str:
    """``rel 0.95  gen 0.90  loc 0.97``, free-running, of one checkpoint."""
    points = curve(table, normalisation=normalisation, resamples=0)
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
def shown(steps: int, *, visible: bool) -> Generator[Bar]:
    """A bar while the run goes on; one that shows nothing when not `visible`."""
    if not visible:
        yield Bar(None, steps=steps)
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
        yield Bar(progress, steps=steps)
