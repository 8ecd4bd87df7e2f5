from __future__ import annotations

import json
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liveedit_bench.metrics import cost as module
from liveedit_bench.metrics.cost import Cost, Seconds, answering_overhead

durations: Any = module.durations  # untyped: what may be None is what is asserted on


@given(st.lists(st.floats(0, 100), min_size=1, max_size=40))
def test_median_and_percentile_equal_the_definition(seconds):
    found = durations(seconds)
    ordered = sorted(seconds)
    place = 0.95 * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    assert found.median == pytest.approx(statistics.median(seconds))
    assert found.p95 == pytest.approx(ordered[below] + (place - below) * (ordered[above] - ordered[below]), abs=1e-9)
    assert found.n == len(seconds)


def test_nothing_timed_is_nothing_said():
    assert durations([]) is None
    assert durations([float("nan")]) is None
    assert answering_overhead([], [1.0]) is None
    assert answering_overhead([1.0], []) is None
    assert answering_overhead([1.0], [0.0]) is None
    assert Cost().plain() == {}


def test_overhead_is_in_units_of_the_unedited_model():
    assert answering_overhead([2.0, 3.0, 50.0], [2.0, 2.0]) == 1.5
    assert answering_overhead([1.0], [1.0]) == 1


def test_plain_is_the_shape_of_a_result():
    cost = Cost(edit_seconds=Seconds(0.1, 0.2, 3), state_bytes=7, wall_seconds=1.5)
    want = {"edit_seconds": {"median": 0.1, "p95": 0.2, "n": 3}, "state_bytes": 7, "wall_seconds": 1.5}
    assert json.loads(json.dumps(cost.plain(), allow_nan=False)) == want
