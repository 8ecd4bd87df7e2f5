"""The paper protocol's numbers: five columns and their average for each block size, teacher-forced.

A column is the plain mean over all records that were asked (arXiv 2411.15432, Table 1; its code averages tokens, then
records). A failed edit scores 0 wherever it is not asked about locality, and stays in the denominator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from ..benchmark.edits import Kind, Normalisation
from .curves import PAPER_COLUMNS, paper_average
from .estimates import Estimate, Scorer
from .intervals import Resampler
from .sheet import Sheet

SCORER: Scorer = "teacher_forced"


@dataclass(frozen=True)
class PaperPoint:
    """One block size.

    size: edits between restoring f_0 and asking. columns: means over `records`; what was not asked has no key.
    average: the plain mean of the five columns; None when one is missing. records, failed: how many were asked, and how
    many of their edits could not be applied.
    """

    size: int
    columns: Mapping[Kind, Estimate]
    average: Estimate | None
    records: int
    failed: int


def paper_points(
    table: pd.DataFrame | Sheet, *, normalisation: Normalisation, resamples: int = 1000, seed: int = 0
) -> tuple[PaperPoint, ...]:
    """One point per block size, ascending.

    table: an answers table, or its sheet, whose `step` is the block size. resamples, seed: of the bootstrap over
    things; 0 for no intervals. Raises `BenchError` when the table is damaged.
    """
    sheet = Sheet.of(table, normalisation)
    sampler = Resampler(sheet.things, resamples=resamples, seed=seed)
    points: list[PaperPoint] = []
    for size in sheet.steps:
        means = sheet.means(sheet.at(size), PAPER_COLUMNS, (SCORER,), sampler)
        average = paper_average(means)
        points.append(
            PaperPoint(
                size=size,
                columns={cast("Kind", kind): scores[SCORER].estimate() for kind, scores in means.items()},
                average=None if average is None else average.estimate(),
                records=_distinct(sheet.position[sheet.step == size]),
                failed=_distinct(sheet.position[(sheet.step == size) & sheet.failed]),
            )
        )
    return tuple(points)


def _distinct(values: Any) -> int:
    return len(np.unique(values))
