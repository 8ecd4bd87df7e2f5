"""Clustered bootstrap intervals (Efron's percentile method; Cameron, Gelbach and Miller 2008 for clusters).

**The unit is the thing.** All probes about one thing are drawn or left out together, over all kinds, scorers and
checkpoints at once, so that numbers made of several means (`score`, an area) get intervals that respect how their
parts move together. Of C things in all, replicate b draws C with replacement; m_bc says how often thing c came up.

**How it meets the average per edit.** A mean over E edits with n_e rows each is (1/E) sum_e (1/n_e) sum_{i in e} y_i,
so row i carries the weight w_i = 1/n_e. With S_c = sum_{i in c} w_i y_i and W_c = sum_{i in c} w_i a replicate is
sum_c m_bc S_c / sum_c m_bc W_c. All m = 1 gives back the value itself; where the rows of an edit are about one thing,
this is the mean over the resampled edits. A replicate that drew no thing of a mean is left out for that mean.

Such an interval is "within stream": it says nothing about other orders or other seeds. `two_level` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from .answers import FloatArray, IntArray, edit_means
from .estimates import Estimate

_DIGITS = 9  # of an interval's ends: hides that linear algebra libraries sum in different orders
_BLOCK = 4_000_000  # draws made at a time, so that ten thousand things cost no gigabytes


@dataclass(frozen=True, eq=False)
class Bootstrapped:
    """A value with its replicates: [resamples] floats, NaN where a replicate is undefined; None without an interval."""

    value: float
    n: int
    replicates: FloatArray | None = None

    def estimate(self) -> Estimate:
        """Value, n and the 2.5 % and 97.5 % percentiles, widened to hold the value should they miss it."""
        defined = None if self.replicates is None else self.replicates[np.isfinite(self.replicates)]
        if defined is None or not len(defined):
            return Estimate(self.value, self.n)
        low, high = (round(float(end), _DIGITS) for end in np.quantile(defined, (0.025, 0.975)))
        return Estimate(self.value, self.n, (min(low, self.value), max(high, self.value)))


@dataclass(frozen=True, eq=False)
class Rows:
    """What is averaged: one entry per row in each array. edits: keys of edits. things: codes of clusters."""

    values: FloatArray
    edits: IntArray
    things: IntArray


class Resampler:
    """Draws things once; every mean of a run is then resampled by the same draws.

    things: how many distinct things there are; they are known by codes 0 .. things - 1.
    """

    def __init__(self, things: int, *, resamples: int = 1000, seed: int = 0) -> None:
        self.things = things
        self.resamples = resamples if things > 1 else 0
        self._draws = _draws(things, self.resamples, seed)

    def mean(self, rows: Rows) -> Bootstrapped | None:
        """The mean over edits of the means over their rows; None for no rows."""
        return self.means([rows])[0]

    def means(self, many: Sequence[Rows]) -> list[Bootstrapped | None]:
        """The mean of each; all at once is one matrix product, which is what makes a thousand resamples cheap."""
        sums = np.zeros((len(many), 2, self.things))
        centers = [self._center(rows, into) for rows, into in zip(many, sums, strict=True)]
        if not self.resamples:
            return centers
        drawn = (sums.reshape(-1, self.things) @ self._draws).reshape(len(many), 2, self.resamples)
        return [
            center
            if center is None or np.count_nonzero(weights) < 2
            else replace(center, replicates=np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0))
            for center, (_, weights), (above, below) in zip(centers, sums, drawn, strict=True)
        ]

    def _center(self, rows: Rows, into: FloatArray) -> Bootstrapped | None:
        """Value and n; the sums S_c and W_c go `into` [2, things]."""
        if not len(rows.values):
            return None
        distinct, means = edit_means(rows.values, rows.edits)
        edit = np.searchsorted(distinct, rows.edits)
        weights = 1.0 / np.bincount(edit)[edit]
        into[0] = np.bincount(rows.things, weights=weights * rows.values, minlength=self.things)
        into[1] = np.bincount(rows.things, weights=weights, minlength=self.things)
        return Bootstrapped(float(means.mean()), len(distinct))


def combine(function: Callable[[FloatArray], Any], parts: Sequence[Bootstrapped | None]) -> Bootstrapped | None:
    """A number made of several: `function` maps [parts, m] to [m]. None when a part is missing; n is the smallest n.

    Without an interval when a part has none.
    """
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    value = float(function(np.array([[part.value] for part in known]))[0])
    arrays = [part.replicates for part in known if part.replicates is not None]
    replicates = function(np.stack(arrays)) if len(arrays) == len(known) else None
    return Bootstrapped(value, min(part.n for part in known), replicates)


def mean(parts: FloatArray) -> FloatArray:
    """The plain mean over the first axis."""
    return parts.sum(axis=0) / len(parts)


def harmonic_mean(parts: FloatArray) -> FloatArray:
    """The harmonic mean k / sum_i 1/x_i over the first axis, 0 where any part is 0, NaN where any part is NaN."""
    some_zero = (parts == 0).any(axis=0)
    safe = np.where(some_zero, 1.0, parts)
    harmonic = np.where(some_zero, 0.0, len(parts) / (1.0 / safe).sum(axis=0))
    return np.where(np.isnan(parts).any(axis=0), np.nan, harmonic)


def two_level(runs: Sequence[Bootstrapped], *, resamples: int = 1000, seed: int = 0) -> Estimate | None:
    """One number over runs with several seeds: runs are resampled, and within each drawn run its things.

    The value is the plain mean over runs, n their number; None for no run, no interval for one.
    """
    if not runs:
        return None
    values = [run.value for run in runs]
    center = Bootstrapped(float(np.mean(values)), len(runs))
    if len(runs) < 2:
        return center.estimate()
    rng = np.random.default_rng(seed)
    inner = np.empty((len(runs), len(runs), resamples))  # a draw of every run for every slot
    for index, run in enumerate(runs):
        pool = np.array([run.value]) if run.replicates is None else run.replicates[np.isfinite(run.replicates)]
        inner[index] = rng.choice(pool if len(pool) else np.array([run.value]), size=inner.shape[1:])
    chosen = rng.integers(len(runs), size=(len(runs), resamples))
    drawn = np.take_along_axis(inner, chosen[None], axis=0)[0]
    return Bootstrapped(center.value, center.n, drawn.mean(axis=0)).estimate()


def shared_ranks(estimates: Sequence[Estimate]) -> list[int]:
    """Rank of each, the highest value first: 1 + how many lie clearly above (their interval above the own one).

    Ties share a rank. An estimate without an interval counts as exact.
    """
    ends = [estimate.ci95 or (estimate.value, estimate.value) for estimate in estimates]
    return [1 + sum(low > high for low, _ in ends) for _, high in ends]


@lru_cache(maxsize=1)  # several numbers of one table are resampled alike
def _draws(things: int, resamples: int, seed: int) -> FloatArray:
    """How often each thing was drawn in each replicate, [things, resamples]; read-only."""
    rng = np.random.default_rng(seed)
    draws = np.empty((things, resamples))
    block = max(1, _BLOCK // max(1, things))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = rng.integers(things, size=(size, things)) + things * np.arange(size)[:, None]
        draws[:, start : start + size] = np.bincount(drawn.ravel(), minlength=size * things).reshape(size, things).T
    draws.flags.writeable = False
    return draws
