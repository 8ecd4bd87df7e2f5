"""The numbers of one method over several runs: means over seeds, with two-level intervals.

A run's own interval says nothing about other orders; here runs are resampled, and within each drawn run its things
(`intervals.two_level`). With one run there is no such interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ..benchmark.edits import Normalisation
from .curves import PAPER_COLUMNS, Means, checkpoint_means, paper_average
from .estimates import SCORERS, Estimate, Metrics, plain
from .intervals import Bootstrapped, Resampler, two_level
from .paper import SCORER as PAPER_SCORER
from .sheet import Sheet

AVERAGE = "average"
"""The plain mean of the paper's five columns, teacher-forced."""


@dataclass(frozen=True)
class SeedPoint:
    """One checkpoint, or one block size: name of a kind or composite -> scorer -> mean over runs; n counts runs.

    Composites are `generality`, `locality`, `score` and `average`.
    """

    step: int
    metrics: Metrics


@dataclass(frozen=True)
class RunMeans:
    """The means of one run with their replicates, by step."""

    steps: Mapping[int, Means]


def run_means(
    table: pd.DataFrame | Sheet, *, normalisation: Normalisation, protocol: str, resamples: int = 1000, seed: int = 0
) -> RunMeans:
    """The means of one answers table or its sheet. Raises `BenchError` when the table is damaged."""
    sheet = Sheet.of(table, normalisation)
    sampler = Resampler(sheet.things, resamples=resamples, seed=seed)
    of = _paper_means if protocol == "paper" else checkpoint_means
    return RunMeans({step: _with_average(of(sheet, step, sampler)) for step in sheet.steps})


def over_seeds(runs: Sequence[RunMeans], *, resamples: int = 1000, seed: int = 0) -> tuple[SeedPoint, ...]:
    """A point for every step that all runs have; a number stands there when all runs have it."""
    shared = [step for step in sorted(runs[0].steps) if all(step in run.steps for run in runs)] if runs else []
    return tuple(_point(step, [run.steps[step] for run in runs], resamples, seed) for step in shared)


def plain_points(points: Sequence[SeedPoint]) -> list[dict[str, Any]]:
    """Dicts and lists for JSON."""
    return plain(list(points))


def _point(step: int, runs: Sequence[Means], resamples: int, seed: int) -> SeedPoint:
    found: dict[str, dict[str, Estimate]] = {}
    for name, scorers in runs[0].items():
        for scorer in SCORERS:
            parts: list[Bootstrapped] = [run[name][scorer] for run in runs if scorer in run.get(name, {})]
            if scorer in scorers and len(parts) == len(runs):
                mean = two_level(parts, resamples=resamples, seed=seed)
                if mean is not None:
                    found.setdefault(name, {})[scorer] = mean
    return SeedPoint(step, found)


def _paper_means(sheet: Sheet, step: int, sampler: Resampler) -> Means:
    return sheet.means(sheet.at(step), PAPER_COLUMNS, (PAPER_SCORER,), sampler)


def _with_average(means: Means) -> Means:
    average = paper_average(means)
    return means if average is None else {**means, AVERAGE: {PAPER_SCORER: average}}
