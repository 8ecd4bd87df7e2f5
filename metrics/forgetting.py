"""Forgetting: how much of what was right immediately after an edit is no longer right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from .answers import FloatArray, IntArray, edit_means
from .estimates import HEADLINE, Scorer
from .intervals import Resampler, Rows
from .sheet import Sheet


@dataclass(frozen=True)
class ForgettingBin:
    """Forgetting over the edits of one range of ages.

    age: first and last age of the range, both included. value: in [-1, 1]; 0 means nothing lost, below 0 gained.
    n: edits.
    """

    age: tuple[int, int]
    value: float
    n: int
    ci95: tuple[float, float] | None = None


def age_bins(oldest: int) -> list[tuple[int, int]]:
    """The ranges 1-10, 11-20, 21-50, 51-100, 101-200, ... up to the one that holds `oldest`."""
    bins: list[tuple[int, int]] = []
    first = 1
    for last in _round_numbers():
        if first > oldest:
            return bins
        bins.append((first, last))
        first = last + 1
    return bins


def forgetting(sheet: Sheet, sampler: Resampler, *, scorer: Scorer = HEADLINE) -> tuple[ForgettingBin, ...]:
    """Reliability right after the edit minus reliability at the last checkpoint T, by age = T - position.

    ``F(bin) = mean_{e in bin} (r_e(position_e + 1) - r_e(T))`` over the edits asked both times; the newest edit has
    age 1. Right is what the ledger says at each time. A superseded edit is left out: its fact was changed on purpose. A
    failed edit was right neither time: it counts with 0. Ranges without an edit are left out.
    """
    steps = sheet.steps
    if not steps:
        return ()
    last = steps[-1]
    then, then_right, things = _reliability(sheet, sheet.after_edits(), scorer)
    now, now_right, _ = _reliability(sheet, sheet.at(last), scorer)
    edits, in_then, in_now = np.intersect1d(then, now, assume_unique=True, return_indices=True)
    lost, things, ages = then_right[in_then] - now_right[in_now], things[in_then], last - edits
    bins = age_bins(int(ages.max(initial=0)))
    inside = [(ages >= young) & (ages <= old) for young, old in bins]
    means = sampler.means([Rows(lost[some], edits[some], things[some]) for some in inside])
    found = [(age, mean.estimate()) for age, mean in zip(bins, means, strict=True) if mean is not None]
    return tuple(ForgettingBin(age, lost.value, lost.n, lost.ci95) for age, lost in found)


def _reliability(sheet: Sheet, rows: IntArray, scorer: Scorer) -> tuple[IntArray, FloatArray, IntArray]:
    """Distinct edits, the mean of each and the thing each is about."""
    rows = sheet.having(sheet.of_kind(rows, "reliability"), scorer)
    edits, right = edit_means(sheet.scores[scorer][rows], sheet.position[rows])
    _, first = np.unique(sheet.position[rows], return_index=True)
    return edits, right, sheet.thing[rows][first]


def _round_numbers() -> Iterator[int]:
    """10, 20, 50, 100, 200, 500, ..."""
    return (factor * 10**power for power in count(1) for factor in (1, 2, 5))
