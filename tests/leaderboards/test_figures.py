import json
from itertools import pairwise
from typing import Any

import pytest
from example_run import CHECKPOINTS, make_result
from hypothesis import given
from hypothesis import strategies as st

from liveedit_bench.leaderboards import figures
from liveedit_bench.leaderboards.schema import Result
from liveedit_bench.leaderboards.theme import DARK, LIGHT, theme


@given(st.lists(st.floats(0, 1), max_size=10))
def test_names_are_moved_apart_and_stay_inside(values: list[float]):
    values.sort(reverse=True)
    places = figures.spread(values, gap=0.06)
    assert len(places) == len(values)
    assert all(above - below >= 0.06 - 1e-9 for above, below in pairwise(places))
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in places)


def test_names_stay_where_there_is_room():
    assert figures.spread([0.9, 0.5, 0.1], gap=0.06) == [0.9, 0.5, 0.1]
    assert figures.spread([0.0, 0.0], gap=0.25) == [0.25, 0.0]


def rows_of(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return (
        [row for layer in spec["layer"] if "data" in layer for row in layer["data"]["values"]]
        + [row for values in spec.get("datasets", {}).values() for row in values]
        + spec.get("data", {}).get("values", [])
    )


def test_specs_hold_every_point_once_with_hollow_marks_where_n_is_small():
    specs = figures.page_specs(Result.model_validate(make_result()))
    assert list(specs) == ["chart-edits", "chart-rest", "chart-forgetting"]
    points = {(row["kind"], row["scorer"], row["step"]): row for row in rows_of(specs["chart-edits"]) if "step" in row}
    assert len(points) == 4 * 2 * len(CHECKPOINTS)
    assert points["Reliability", "free_running", 20]["few"]
    assert not points["Reliability", "free_running", 50]["few"]
    assert points["Reliability", "free_running", 1000]["value"] == 0.934
    assert points["Reliability", "free_running", 1000]["interval"]
    assert "NaN" not in json.dumps(specs)


def test_numbers_under_the_axis_do_not_touch():
    assert "[1, 10, 100, 1000]" in json.dumps(figures.page_specs(Result.model_validate(make_result())))
    short = make_result(curve=make_result()["curve"][:5])
    assert "[1, 10, 20]" in json.dumps(figures.page_specs(Result.model_validate(short)))


def test_static_figure_draws_and_escapes():
    result = make_result()
    result["editor"]["name"] = "<script>alert(1)</script> & co"
    svg = figures.static_svg(Result.model_validate(result))
    assert svg.startswith("<svg")
    assert "<script" not in svg
    assert "0.934" in svg
    assert figures.static_png(svg)[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("kinds", [("reliability",), ("image_locality",)])
def test_one_step_and_one_kind_are_enough(kinds: tuple[str, ...]):
    result = make_result()
    result["curve"] = [
        {"step": 1, "metrics": {kind: {"free_running": {"value": 0.5, "n": 1}} for kind in kinds}},
    ]
    model = Result.model_validate(result | {"forgetting": []})
    assert list(figures.page_specs(model)) == ["chart-edits" if kinds[0] == "reliability" else "chart-rest"]
    assert "0.500" in figures.static_svg(model)


def test_both_grounds_have_a_colour_for_every_kind():
    assert len(set(LIGHT)) == len(set(DARK)) == 6
    assert theme(dark=True)["range"]["category"] == list(DARK)
    assert theme(dark=False, transparent=False)["background"] == "#ffffff"
