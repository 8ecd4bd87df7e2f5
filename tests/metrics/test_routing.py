from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liveedit_bench.metrics import routing

hard_filter: Any = routing.hard_filter  # untyped: what may be None is what is asserted on
kept_experts: Any = routing.kept_experts
roc: Any = routing.roc

CASES = st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(0, 10**6))


def case(sizes):
    queries, experts, seed = sizes
    rng = np.random.default_rng(seed)
    scores = rng.integers(-3, 4, (queries, experts)).astype(float)  # ties and zeros on purpose
    return scores, rng.random((queries, experts)) < 0.3


@given(CASES)
def test_filter_equals_plain_loops(sizes):
    scores, relevant = case(sizes)
    kept = wanted = both = own = alone = in_scope = 0
    for query in range(len(scores)):
        flags = [(scores[query][e] > 0, bool(relevant[query][e])) for e in range(scores.shape[1])]
        kept += sum(k for k, _ in flags)
        wanted += sum(r for _, r in flags)
        both += sum(k and r for k, r in flags)
        if any(r for _, r in flags):
            in_scope += 1
            own += any(k and r for k, r in flags)
        else:
            alone += not any(k for k, _ in flags)
    found = hard_filter(scores, relevant)
    outside = len(scores) - in_scope
    assert (found.in_scope, found.out_of_scope) == (in_scope, outside)
    assert found.precision == (pytest.approx(both / kept) if kept else None)
    assert found.recall == (pytest.approx(both / wanted) if wanted else None)
    assert found.own_kept == (pytest.approx(own / in_scope) if in_scope else None)
    assert found.let_alone == (pytest.approx(alone / outside) if outside else None)
    assert found.kept.mean == pytest.approx(kept / len(scores))


@given(CASES)
def test_area_is_the_chance_that_a_relevant_pair_ranks_higher(sizes):
    scores, relevant = case(sizes)
    good, bad = scores[relevant], scores[~relevant]
    curve = roc(scores, relevant)
    if not len(good) or not len(bad):
        assert curve is None
        assert hard_filter(scores, relevant).roc_auc is None
        return
    wins = sum((a > b) + (a == b) / 2 for a in good for b in bad)
    assert curve.auc == pytest.approx(wins / (len(good) * len(bad)))
    assert hard_filter(scores, relevant).roc_auc == curve.auc
    for rates in (curve.false_positive_rate, curve.true_positive_rate):
        assert (rates[0], rates[-1]) == (0, 1)
        assert list(rates) == sorted(rates)


@given(CASES, st.randoms(use_true_random=False))
def test_the_order_of_queries_changes_nothing(sizes, order):
    scores, relevant = case(sizes)
    rows = list(range(len(scores)))
    order.shuffle(rows)
    first, second = hard_filter(scores, relevant), hard_filter(scores[rows], relevant[rows])
    assert first.precision == second.precision
    assert first.roc_auc == (None if second.roc_auc is None else pytest.approx(second.roc_auc))
    assert first.kept == second.kept


def test_a_perfect_filter_and_experts_never_considered():
    relevant = np.eye(4, 3, dtype=bool)  # the fourth query is out of scope
    found = hard_filter(np.where(relevant, 1.0, -np.inf), relevant)
    assert (found.precision, found.recall, found.own_kept, found.let_alone, found.roc_auc) == (1, 1, 1, 1, 1)
    assert (found.kept.mean, found.kept.most, found.kept.none) == (0.75, 1, 0.25)


def test_nobody_asked():
    assert kept_experts([]) is None
    found = hard_filter(np.empty((0, 3)), np.empty((0, 3)))
    assert (found.precision, found.recall, found.roc_auc, found.kept, found.in_scope) == (None, None, None, None, 0)
    assert hard_filter(np.empty((2, 0)), np.empty((2, 0))).let_alone == 1


def test_kept_experts_counts():
    found = kept_experts([0, 1, 1, 2, 10])
    assert (found.mean, found.median, found.most, found.none, found.n) == (2.8, 1, 10, 0.2, 5)
    assert found.p95 == pytest.approx(8.4)


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(ValueError, match="one shape"):
        hard_filter(np.zeros((2, 3)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="NaN"):
        hard_filter([[np.nan]], [[True]])
