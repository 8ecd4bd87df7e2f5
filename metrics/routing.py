"""How well a method that stores one expert per edit picks experts: the hard filter as a binary classifier.

Inputs are matrices over Q queries and E experts. ``scores[q, e]`` says how much query q wants expert e, relative to the
threshold: for LiveEdit's hard filter <phi_q, phi_e> - <phi_q, phi_sentinel>, and e is kept when it is positive
(arXiv 2411.15432). ``relevant[q, e]`` says whether edit e answers query q; a locality query has no relevant expert.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import sklearn.metrics as sk
from numpy.typing import ArrayLike

from .answers import BoolArray, FloatArray

_precision = cast("Callable[..., float]", cast("Any", sk).precision_score)
_recall = cast("Callable[..., float]", cast("Any", sk).recall_score)
_roc_curve = cast("Callable[..., tuple[FloatArray, FloatArray, FloatArray]]", cast("Any", sk).roc_curve)
_auc = cast("Callable[..., float]", cast("Any", sk).auc)


@dataclass(frozen=True)
class KeptExperts:
    """Experts kept per query: mean, median, 95th percentile, maximum, share of queries that keep none; n queries."""

    mean: float
    median: float
    p95: float
    most: int
    none: float
    n: int


@dataclass(frozen=True)
class HardFilter:
    """The filter over all pairs of query and expert; None where the question is empty.

    precision: share of kept pairs that are relevant. recall: share of relevant pairs that are kept. own_kept: share of
    in-scope queries that keep a relevant expert. let_alone: share of out-of-scope queries that keep none. roc_auc: area
    under the ROC curve over pairs. in_scope, out_of_scope: numbers of queries.
    """

    precision: float | None
    recall: float | None
    own_kept: float | None
    let_alone: float | None
    roc_auc: float | None
    in_scope: int
    out_of_scope: int
    kept: KeptExperts | None


@dataclass(frozen=True)
class Roc:
    """Points of a ROC curve from (0, 0) to (1, 1), and the area under it."""

    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]
    auc: float


def kept_experts(counts: Sequence[int] | ArrayLike) -> KeptExperts | None:
    """How many experts each query kept; None for no query."""
    kept = np.asarray(counts, dtype=np.float64)
    if not kept.size:
        return None
    median, p95 = np.quantile(kept, (0.5, 0.95))
    return KeptExperts(
        float(kept.mean()), float(median), float(p95), int(kept.max()), float((kept == 0).mean()), kept.size
    )


def hard_filter(scores: ArrayLike, relevant: ArrayLike, *, threshold: float = 0.0) -> HardFilter:
    """Precision, recall and area of the filter that keeps ``scores > threshold``; both matrices are [Q, E].

    A score of -inf (an expert an editor never considered) is allowed, NaN raises ValueError.
    """
    wanted, known = _matrices(scores, relevant)
    kept = wanted > threshold
    in_scope = _any(known)
    curve = roc(wanted, known)
    return HardFilter(
        precision=_precision(known.ravel(), kept.ravel()) if kept.any() else None,
        recall=_recall(known.ravel(), kept.ravel()) if known.any() else None,
        own_kept=_share(_any(kept & known)[in_scope]),
        let_alone=_share(~_any(kept)[~in_scope]),
        roc_auc=None if curve is None else curve.auc,
        in_scope=int(in_scope.sum()),
        out_of_scope=int((~in_scope).sum()),
        kept=kept_experts(kept.sum(axis=1)),
    )


def roc(scores: ArrayLike, relevant: ArrayLike) -> Roc | None:
    """ROC curve over all pairs of query and expert; None unless there are relevant and irrelevant pairs."""
    wanted, known = _matrices(scores, relevant)
    if known.all() or not known.any():
        return None
    finite = np.clip(wanted.ravel(), np.finfo(np.float64).min, np.finfo(np.float64).max)
    false_positive, true_positive, _ = _roc_curve(known.ravel(), finite)
    points = (tuple(float(rate) for rate in rates) for rates in (false_positive, true_positive))
    return Roc(*points, auc=float(_auc(false_positive, true_positive)))


def _matrices(scores: ArrayLike, relevant: ArrayLike) -> tuple[FloatArray, BoolArray]:
    wanted, known = np.asarray(scores, dtype=np.float64), np.asarray(relevant, dtype=np.bool_)
    if wanted.ndim != 2 or wanted.shape != known.shape:
        raise ValueError(f"scores {wanted.shape} and relevant {known.shape} must be one shape, [queries, experts]")
    if np.isnan(wanted).any():
        raise ValueError("scores hold NaN; a score must say whether an expert is kept")
    return wanted, known


def _any(pairs: BoolArray) -> BoolArray:
    """Per query whether any expert is flagged."""
    return pairs.sum(axis=1) > 0


def _share(flags: BoolArray) -> float | None:
    return float(flags.mean()) if flags.size else None
