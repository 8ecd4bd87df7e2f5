"""The curve: every mean at every checkpoint, what is made of them, and the area below.

* generality = mean of text and image generality (left out unless both were asked).
* locality = mean over the locality kinds that were asked.
* score = harmonic mean of reliability, generality and locality.
* paper_average = mean of reliability, T-Gen, M-Gen, T-Loc and M-Loc, teacher-forced (Table 1 of arXiv 2411.15432).
* area = integral of a curve over log(step) from the first checkpoint >= 10 to the last, divided by that length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..benchmark.edits import GENERALITY_KINDS, KINDS, LOCALITY_KINDS, Kind, Normalisation
from .answers import FloatArray
from .estimates import SCORERS, Estimate, Metrics
from .intervals import Bootstrapped, Resampler, combine, harmonic_mean, mean
from .sheet import SCORES, Sheet
from .superseded import Superseded, superseded

PAPER_COLUMNS: tuple[Kind, ...] = (
    "reliability",
    "text_generality",
    "image_generality",
    "text_locality",
    "image_locality",
)
AREA_FROM = 10
Means = dict[str, dict[str, Bootstrapped]]
"""name -> scorer -> value with replicates; what does not exist has no key."""


@dataclass(frozen=True)
class CurvePoint:
    """What was found at one checkpoint.

    metrics: kind -> scorer -> estimate. generality, locality, score: scorer -> estimate. truth, leak: kind -> estimate
    (free-running). expired: kind -> number of probes left out because their fact was edited meanwhile. superseded: the
    edits that a later one overrode, None when there is none.
    """

    step: int
    metrics: Metrics
    generality: Mapping[str, Estimate]
    locality: Mapping[str, Estimate]
    score: Mapping[str, Estimate]
    truth: Mapping[str, Estimate]
    leak: Mapping[str, Estimate]
    expired: Mapping[str, int]
    superseded: Superseded | None


def curve(
    table: pd.DataFrame, *, normalisation: Normalisation, resamples: int = 1000, seed: int = 0
) -> tuple[CurvePoint, ...]:
    """The curve of an answers table alone; ``resamples=0`` gives no intervals and is fast enough for a progress bar."""
    sheet = Sheet.from_table(table, normalisation)
    sampler = Resampler(sheet.things, resamples=resamples, seed=seed)
    return tuple(point(sheet, step, checkpoint_means(sheet, step, sampler)) for step in sheet.steps)


def checkpoint_means(sheet: Sheet, step: int, sampler: Resampler) -> Means:
    """Every kind (scorers, truth and leak) and every composite (scorers) at one checkpoint."""
    kinds = sheet.means(sheet.at(step), KINDS, SCORES, sampler)
    return kinds | composites(kinds)


def point(sheet: Sheet, step: int, means: Means) -> CurvePoint:
    """The curve point of a checkpoint whose means are known."""
    rows, found = sheet.at(step), estimates(means)
    expired = {kind: int(sheet.expired[sheet.of_kind(rows, kind)].sum()) for kind in KINDS}
    return CurvePoint(
        step=step,
        metrics={
            kind: {scorer: found[kind][scorer] for scorer in SCORERS if scorer in found[kind]}
            for kind in KINDS
            if kind in found
        },
        generality=found.get("generality", {}),
        locality=found.get("locality", {}),
        score=found.get("score", {}),
        truth={kind: found[kind]["truth"] for kind in KINDS if "truth" in found.get(kind, {})},
        leak={kind: found[kind]["leak"] for kind in KINDS if "leak" in found.get(kind, {})},
        expired={kind: count for kind, count in expired.items() if count},
        superseded=superseded(sheet, step),
    )


def composites(means: Means) -> Means:
    """Generality, locality and score from the means of the kinds."""
    found: dict[str, dict[str, Bootstrapped | None]] = {"generality": {}, "locality": {}, "score": {}}
    for scorer in SCORERS:
        of = {name: scorers[scorer] for name, scorers in means.items() if scorer in scorers}
        generality = combine(mean, [of.get(kind) for kind in GENERALITY_KINDS])
        locality = combine(mean, [of[kind] for kind in LOCALITY_KINDS if kind in of])
        found["generality"][scorer], found["locality"][scorer] = generality, locality
        found["score"][scorer] = combine(harmonic_mean, [of.get("reliability"), generality, locality])
    return _known(found)


def paper_average(means: Means) -> Bootstrapped | None:
    """The plain mean of the paper's five columns, teacher-forced; None when one of them was not asked."""
    return combine(mean, [means.get(kind, {}).get("teacher_forced") for kind in PAPER_COLUMNS])


def area(points: Sequence[tuple[int, Bootstrapped]]) -> Bootstrapped | None:
    """Mean height of a curve over log-steps, by trapezoids between the checkpoints from 10 on.

    ``sum_i (x_{i+1} - x_i) (y_i + y_{i+1}) / 2  /  (x_last - x_first)`` with x = log(step). None below two points; n is
    the smallest n among the points.
    """
    late = [(step, value) for step, value in points if step >= AREA_FROM]
    if len(late) < 2:
        return None
    widths = np.diff(np.log([step for step, _ in late]))

    def trapezoids(heights: FloatArray) -> FloatArray:
        return (widths[:, None] * (heights[1:] + heights[:-1]) / 2).sum(axis=0) / widths[:, None].sum(axis=0)

    return combine(trapezoids, [value for _, value in late])


def areas(curve_means: Sequence[tuple[int, Means]]) -> Means:
    """The area under every curve: each kind and each composite, under each scorer."""
    names = dict.fromkeys(name for _, means in curve_means for name in means)
    found = {
        name: {
            scorer: area([(step, means[name][scorer]) for step, means in curve_means if scorer in means.get(name, {})])
            for scorer in SCORERS
        }
        for name in names
    }
    return _known(found)


def estimates(means: Means) -> dict[str, dict[str, Estimate]]:
    """The same without replicates."""
    return {name: {scorer: of.estimate() for scorer, of in scorers.items()} for name, scorers in means.items()}


def _known(found: Mapping[str, Mapping[str, Bootstrapped | None]]) -> Means:
    """Leave out what does not exist, and names under which nothing is left."""
    kept = {
        name: {scorer: value for scorer, value in scorers.items() if value is not None}
        for name, scorers in found.items()
    }
    return {name: scorers for name, scorers in kept.items() if scorers}
