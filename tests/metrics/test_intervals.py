from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liveedit_bench.metrics import intervals
from liveedit_bench.metrics.estimates import Estimate
from liveedit_bench.metrics.intervals import Bootstrapped, Rows, harmonic_mean, mean, shared_ranks

Resampler: Any = intervals.Resampler  # untyped: what may be None is what is asserted on
combine: Any = intervals.combine
two_level: Any = intervals.two_level

ROWS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.25, 1.0]), st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=25
)


def as_rows(rows):
    return Rows(*(np.array(list(part)) for part in zip(*rows, strict=True)))


def bernoulli(n, *, per_thing=1, seed=0, share=0.7):
    rng = np.random.default_rng(seed)
    values = (rng.random(n // per_thing) < share).repeat(per_thing).astype(float)
    return Rows(values, np.arange(n), np.arange(n) // per_thing)


def width(rows):
    ci95 = Resampler(int(rows.things.max()) + 1).mean(rows).estimate().ci95
    return ci95[1] - ci95[0]


@given(rows=ROWS, seed=st.integers(0, 99))
def test_every_replicate_equals_rows_drawn_one_by_one(rows, seed):
    things, resamples = 5, 20
    got = Resampler(things, resamples=resamples, seed=seed).mean(as_rows(rows))
    drawn = np.random.default_rng(seed).integers(things, size=(resamples, things))
    asked = {edit: sum(e == edit for _, e, _ in rows) for _, edit, _ in rows}
    for replicate in range(resamples):
        above = below = 0.0
        for thing in drawn[replicate]:
            for value, edit, owner in rows:
                if owner == thing:
                    above, below = above + value / asked[edit], below + 1 / asked[edit]
        if got.replicates is not None:
            value = got.replicates[replicate]
            assert value == pytest.approx(above / below) if below else np.isnan(value)


@given(rows=ROWS)
def test_value_is_the_mean_over_edits_of_means(rows):
    got = Resampler(5, resamples=50).mean(as_rows(rows))
    by_edit: dict[int, list[float]] = {}
    for value, edit, _ in rows:
        by_edit.setdefault(edit, []).append(value)
    assert got.value == pytest.approx(statistics.fmean(statistics.fmean(values) for values in by_edit.values()))
    assert got.n == len(by_edit)
    estimate = got.estimate()
    assert (estimate.ci95 is None) == (len({thing for *_, thing in rows}) < 2)
    if estimate.ci95:
        assert 0 <= estimate.ci95[0] <= estimate.value <= estimate.ci95[1] <= 1


def test_means_at_once_equal_means_one_by_one():
    parts = [bernoulli(40, share=share, seed=3) for share in (0.2, 0.5, 1.0)]
    sampler = Resampler(40)
    together = sampler.means([*parts, Rows(*(np.empty(0, dtype=int),) * 3)])
    assert together[-1] is None
    assert [part.estimate() for part in together[:-1]] == [sampler.mean(part).estimate() for part in parts]


def test_interval_shrinks_with_n_and_is_the_textbook_one():
    narrow, wide = width(bernoulli(2500)), width(bernoulli(100))
    assert narrow < wide / 3
    assert narrow == pytest.approx(2 * 1.96 * (0.7 * 0.3 / 2500) ** 0.5, rel=0.15)


def test_probes_of_one_thing_count_once():
    assert width(bernoulli(800, per_thing=8)) == pytest.approx(8**0.5 * width(bernoulli(800)), rel=0.25)


def test_a_seed_gives_one_interval_and_another_seed_another():
    rows = bernoulli(200)
    first, again, other = (Resampler(200, seed=seed).mean(rows).replicates for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_certainty_is_exact():
    assert Resampler(30).mean(bernoulli(30, share=2.0)).estimate() == Estimate(1.0, 30, (1.0, 1.0))


def test_no_interval_without_resamples_or_with_one_thing():
    rows = bernoulli(20)
    assert Resampler(20, resamples=0).mean(rows).estimate().ci95 is None
    assert Resampler(1).mean(Rows(rows.values, rows.edits, np.zeros(20, dtype=int))).estimate().ci95 is None
    assert Resampler(0).mean(Rows(*(np.empty(0, dtype=int),) * 3)) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_harmonic_mean_equals_the_standard_library(values):
    got = harmonic_mean(np.array(values)[:, None])[0]
    assert got == pytest.approx(statistics.harmonic_mean(values), abs=1e-12)
    if 0 in values:
        assert got == 0


def test_harmonic_mean_of_an_undefined_replicate_is_undefined():
    got = harmonic_mean(np.array([[np.nan, 0.5, 0.0], [0.0, 0.5, 1.0]]))
    assert np.isnan(got[0])
    assert got[1:].tolist() == [0.5, 0.0]


def test_combine_moves_parts_together():
    """The mean of y and 1 - y is always one half: only joint resampling knows."""
    rows = bernoulli(60)
    sampler = Resampler(60)
    parts = sampler.means([rows, Rows(1 - rows.values, rows.edits, rows.things)])
    assert combine(mean, parts).estimate() == Estimate(0.5, 60, (0.5, 0.5))
    assert combine(mean, [*parts, None]) is None
    assert combine(mean, []) is None
    assert combine(mean, [*parts, Bootstrapped(0.2, 1)]).estimate().ci95 is None
    assert combine(mean, [*parts, Bootstrapped(0.2, 1)]).n == 1


def test_two_levels_hold_the_spread_between_seeds():
    def run(value, spread):
        return Bootstrapped(value, 100, np.random.default_rng(7).normal(value, spread, 500))

    assert two_level([]) is None
    assert two_level([run(0.5, 0.1)]) == Estimate(0.5, 1)
    alike = two_level([run(0.5, 0.01)] * 4)
    apart = two_level([run(value, 0.01) for value in (0.3, 0.5, 0.5, 0.7)])
    assert apart.value == alike.value == pytest.approx(0.5)
    assert apart.n == 4
    assert (apart.ci95[1] - apart.ci95[0]) > 5 * (alike.ci95[1] - alike.ci95[0])
    # spread of a mean of 4 runs: between-seed variance (0.02) plus within variance (0.0001), over 4
    assert apart.ci95[1] - apart.ci95[0] == pytest.approx(2 * 1.96 * (0.0201 / 4) ** 0.5, rel=0.2)
    assert two_level([Bootstrapped(0.2, 5), Bootstrapped(0.4, 5)]).ci95 == (0.2, 0.4)


def test_ties_share_a_rank():
    field = [
        Estimate(0.9, 9, (0.85, 0.95)),
        Estimate(0.87, 9, (0.8, 0.9)),
        Estimate(0.6, 9, (0.5, 0.7)),
        Estimate(0, 9),
    ]
    assert shared_ranks(field) == [1, 1, 3, 4]
    assert shared_ranks([]) == []
