import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liveedit_bench.metrics import legacy
from liveedit_bench.metrics.legacy import Look


@st.composite
def pairs(draw, tokens=5):
    """Two models' looks at one question."""
    length, ranks = draw(st.integers(2, 9)), draw(st.integers(1, 4))
    start = draw(st.integers(1, length - 1))
    ids = np.array(draw(st.lists(st.integers(0, tokens - 1), min_size=length, max_size=length)))

    def best():
        rows = st.lists(st.permutations(range(tokens)), min_size=length, max_size=length)
        return np.array([list(row[:ranks]) for row in draw(rows)])

    return Look(ids, best(), start), Look(ids, best(), start)


def share(hits):
    return sum(hits) / len(hits)


@given(pairs(), st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_every_scorer_is_the_share_that_a_loop_counts(pair, labels):
    one, two = pair
    length, ranks, start = len(one.ids), one.best.shape[1], one.start
    answers = range(start, length)
    assert legacy.accuracy(one) == pytest.approx(share([one.best[i - 1][0] == one.ids[i] for i in answers]))
    same = [one.best[i - 1][0] == two.best[i - 1][0] for i in answers]
    assert legacy.agreement(one, two) == pytest.approx(share(same))
    every = [one.best[i][0] == two.best[i][0] for i in range(length)]
    assert legacy.everywhere(one, two) == pytest.approx(share(every))
    cells = [one.best[i][r] == two.best[i][r] for i in range(length) for r in range(ranks)]
    assert legacy.rankwise(one, two) == pytest.approx(share(cells))
    cells = [one.best[i - 1][r] == two.best[i - 1][r] for i in answers for r in range(ranks)]
    assert legacy.rankwise(one, two, answer_only=True) == pytest.approx(share(cells))
    assert legacy.late(one) == pytest.approx(share([one.best[i][0] == one.ids[i] for i in answers]))
    assert legacy.with_targets(one, two) == pytest.approx(share(same + [True for _ in answers]))
    said = [one.best[i][0] for i in range(length - 1)]
    common = min(len(said), len(labels))
    hits = [said[-back] == labels[-back] for back in range(1, common + 1)]
    assert legacy.apart(one, labels) == pytest.approx(share(hits))


@given(pairs())
def test_what_cannot_fail(pair):
    one, two = pair
    for score in (legacy.agreement, legacy.everywhere, legacy.rankwise, legacy.with_targets):
        assert score(one, one) == 1  # compared with itself nothing is ever damaged
    assert legacy.with_targets(one, two) == pytest.approx((1 + legacy.agreement(one, two)) / 2)
    assert legacy.with_targets(one, two) >= 0.5
    assert legacy.apart(one, list(one.target)) == pytest.approx(legacy.accuracy(one))


def spoken(ids, start, said=()):
    """A model that says what comes next, but for the target's places, where it says `said`."""
    top = np.append(ids[1:], 99)
    top[start - 1 : start - 1 + len(said)] = said
    return Look(np.asarray(ids), top[:, None], start)


def test_a_perfect_model_gets_nothing_one_place_too_late():
    perfect = spoken([7, 7, 7, 1, 2, 3], 3)
    assert legacy.accuracy(perfect) == 1
    assert legacy.late(perfect) == 0


@pytest.mark.parametrize("question", [6, 600])
def test_destroyed_answers_vanish_among_the_positions(question):
    ids = [7] * question + [1, 2]
    perfect, destroyed = spoken(ids, question), spoken(ids, question, [8, 8])
    assert legacy.agreement(destroyed, perfect) == 0
    assert legacy.everywhere(destroyed, perfect) == pytest.approx(1 - 2 / (question + 2))


def test_two_tokens_that_change_places_are_two_misses():
    one = Look(np.array([5, 1]), np.array([[1, 2, 3], [4, 5, 6]]), 1)
    two = Look(np.array([5, 1]), np.array([[1, 3, 2], [4, 5, 6]]), 1)
    assert legacy.agreement(one, two) == 1
    assert legacy.rankwise(one, two) == pytest.approx(4 / 6)
    assert legacy.rankwise(one, two, answer_only=True) == pytest.approx(1 / 3)


def test_a_target_cut_otherwise_costs_a_perfect_model_its_score():
    perfect = spoken([7, 7, 1, 2], 2)
    assert legacy.apart(perfect, [1, 2]) == 1
    assert legacy.apart(perfect, [9, 2]) == 0.5
    assert legacy.apart(perfect, [5, 6, 2]) == pytest.approx(1 / 3)


def test_edits_that_failed_raise_the_mean_by_leaving_it():
    scores, failed = np.array([1.0, 0.5, 0.0, 0.0]), np.array([False, False, True, True])
    assert legacy.without_failed(scores, failed) == 0.75
    assert math.isnan(legacy.without_failed(scores, np.ones(4, dtype=bool)))
