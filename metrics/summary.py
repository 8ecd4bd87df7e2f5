"""Every number of a result, from the answers table alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..benchmark.edits import GENERALITY_KINDS, KINDS, Kind, Normalisation
from .answers import IntArray, edit_means
from .curves import (
    CurvePoint,
    Means,
    areas,
    checkpoint_means,
    composites,
    estimates,
    paper_average,
    point,
)
from .estimates import HEADLINE, SCORERS, Estimate, Metrics, plain
from .forgetting import ForgettingBin, forgetting
from .intervals import Bootstrapped, Resampler
from .sheet import Sheet
from .superseded import Superseded

_SPLIT_KINDS: tuple[Kind, ...] = ("reliability", *GENERALITY_KINDS)


@dataclass(frozen=True)
class Portability:
    """Portability at the last step, scorer -> estimate.

    given_edit_holds: over the edits whose own question is answered rightly (free-running) at the same step.
    """

    overall: Mapping[str, Estimate]
    given_edit_holds: Mapping[str, Estimate]


@dataclass(frozen=True)
class Summary:
    """What `result.json` says about answers. What does not exist is None or has no key; nothing is ever NaN.

    curve: one point per checkpoint. forgetting: by age at the last step. area: name -> scorer -> area under the curve,
    for each kind, `generality`, `locality` and `score`. score: the headline (last step, free-running). paper_average:
    last step, teacher-forced. immediate: reliability right after each edit, scorer -> estimate. seen, unseen: last
    step, ``target`` or ``prompt`` -> `reliability`, `text_generality`, `image_generality`, `generality` -> scorer ->
    estimate. by_task: last step, task -> kind -> scorer -> estimate. expired: kind -> probes left out at the last step.
    superseded: the edits that were overridden by then, None when there is none.
    """

    curve: tuple[CurvePoint, ...]
    forgetting: tuple[ForgettingBin, ...]
    area: Metrics
    score: Estimate | None
    paper_average: Estimate | None
    immediate: Mapping[str, Estimate]
    portability: Portability | None
    seen: Mapping[str, Metrics]
    unseen: Mapping[str, Metrics]
    by_task: Mapping[str, Metrics]
    expired: Mapping[str, int]
    superseded: Superseded | None

    @property
    def last(self) -> CurvePoint | None:
        """The point of the last checkpoint."""
        return self.curve[-1] if self.curve else None

    def plain(self) -> dict[str, Any]:
        """Dicts and lists for JSON; None is left out."""
        return plain(self)


def summarise(
    table: pd.DataFrame | Sheet, *, normalisation: Normalisation, resamples: int = 1000, seed: int = 0
) -> Summary:
    """Everything at once; the scores are computed anew from tokens and texts, stored ones are not trusted.

    table: an answers table (`answers.COLUMNS`) or its sheet; a partial one gives what can be said so far. resamples:
    bootstrap replicates, 0 for no intervals. seed: of the bootstrap. Raises `BenchError` when the table is damaged.
    """
    sheet = Sheet.of(table, normalisation)
    sampler = Resampler(sheet.things, resamples=resamples, seed=seed)
    curve_means = [(step, checkpoint_means(sheet, step, sampler)) for step in sheet.steps]
    points = tuple(point(sheet, step, means) for step, means in curve_means)
    last_rows = sheet.at(points[-1].step) if points else np.empty(0, dtype=np.intp)
    last_means: Means = curve_means[-1][1] if curve_means else {}
    average = paper_average(last_means)
    immediate = estimates(sheet.means(sheet.after_edits(), ("reliability",), SCORERS, sampler))
    return Summary(
        curve=points,
        forgetting=forgetting(sheet, sampler),
        area=estimates(areas(curve_means)),
        score=points[-1].score.get(HEADLINE) if points else None,
        paper_average=None if average is None else average.estimate(),
        immediate=immediate.get("reliability", {}),
        portability=_portability(sheet, last_rows, sampler),
        seen=_splits(sheet, last_rows, sampler, seen=True),
        unseen=_splits(sheet, last_rows, sampler, seen=False),
        by_task=_by_task(sheet, last_rows, sampler),
        expired=points[-1].expired if points else {},
        superseded=points[-1].superseded if points else None,
    )


def headline(
    table: pd.DataFrame, *, normalisation: Normalisation, resamples: int = 1000, seed: int = 0
) -> Bootstrapped | None:
    """`score` with its replicates, one run's share of a two-level interval (`intervals.two_level`)."""
    sheet = Sheet.from_table(table, normalisation)
    if not sheet.steps:
        return None
    sampler = Resampler(sheet.things, resamples=resamples, seed=seed)
    return checkpoint_means(sheet, sheet.steps[-1], sampler).get("score", {}).get(HEADLINE)


def _portability(sheet: Sheet, rows: IntArray, sampler: Resampler) -> Portability | None:
    def over(chosen: IntArray) -> Mapping[str, Estimate]:
        return estimates(sheet.means(chosen, ("portability",), SCORERS, sampler)).get("portability", {})

    overall = over(rows)
    if not overall:
        return None
    own = sheet.having(sheet.of_kind(rows, "reliability"), HEADLINE)
    edits, right = edit_means(sheet.scores[HEADLINE][own], sheet.position[own])
    return Portability(overall, over(rows[np.isin(sheet.position[rows], edits[right == 1])]))


def _splits(sheet: Sheet, rows: IntArray, sampler: Resampler, *, seen: bool) -> dict[str, Metrics]:
    found: dict[str, Metrics] = {}
    for name, known in (("target", sheet.seen_target), ("prompt", sheet.seen_prompt)):
        means = sheet.means(rows[known[rows] == float(seen)], _SPLIT_KINDS, SCORERS, sampler)
        generality = {key: of for key, of in composites(means).items() if key == "generality"}
        if means:
            found[name] = estimates(means | generality)
    return found


def _by_task(sheet: Sheet, rows: IntArray, sampler: Resampler) -> dict[str, Metrics]:
    tasks = sorted({task for task in sheet.task[rows] if isinstance(task, str)})
    found = {task: estimates(sheet.means(rows[sheet.task[rows] == task], KINDS, SCORERS, sampler)) for task in tasks}
    return {task: metrics for task, metrics in found.items() if metrics}
