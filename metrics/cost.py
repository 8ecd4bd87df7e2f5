"""What a method costs: time per edit, slower answers, memory. Numbers of one machine; no digest covers them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .answers import FloatArray
from .estimates import plain


@dataclass(frozen=True)
class Seconds:
    """Median and 95th percentile (linear between order statistics) of n durations."""

    median: float
    p95: float
    n: int


@dataclass(frozen=True)
class Cost:
    """What a run cost.

    edit_seconds: one `Editor.edit`. answering_overhead: see `answering_overhead`. state_bytes: what the edits occupy.
    peak_memory_bytes: of the process, or of the accelerator. wall_seconds: the whole run.
    """

    edit_seconds: Seconds | None = None
    answering_overhead: float | None = None
    state_bytes: int | None = None
    peak_memory_bytes: int | None = None
    wall_seconds: float | None = None

    def plain(self) -> dict[str, Any]:
        """Dicts for JSON; None is left out."""
        return plain(self)


def durations(seconds: Sequence[float]) -> Seconds | None:
    """Median and 95th percentile; None when nothing was timed."""
    known = _finite(seconds)
    if not len(known):
        return None
    median, p95 = np.quantile(known, (0.5, 0.95))
    return Seconds(float(median), float(p95), len(known))


def answering_overhead(edited: Sequence[float], unedited: Sequence[float]) -> float | None:
    """Answering time in units of the unedited model's: median(edited) / median(f_0); 1.25 means a quarter slower.

    Both sides are seconds for the same questions in the same batches. None when either side is empty or f_0 took no
    measurable time.
    """
    ours, base = _finite(edited), _finite(unedited)
    if not len(ours) or not len(base) or not np.median(base) > 0:
        return None
    return float(np.median(ours) / np.median(base))


def _finite(seconds: Sequence[float]) -> FloatArray:
    values = np.asarray(seconds, dtype=np.float64)
    return values[np.isfinite(values)]
