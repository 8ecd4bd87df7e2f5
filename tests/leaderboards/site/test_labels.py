from collections.abc import Sequence
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from liveedit_bench.leaderboards.site.labels import LETTER, LINE, Box, beside

INSIDE = Box(0, -60, 600, 380)


def boxes(
    names: Sequence[str], points: Sequence[tuple[float, float]], offsets: Sequence[tuple[float, float]]
) -> list[Box]:
    return [
        Box(x + dx - len(name) * LETTER / 2, y + dy - LINE / 2, x + dx + len(name) * LETTER / 2, y + dy + LINE / 2)
        for name, (x, y), (dx, dy) in zip(names, points, offsets, strict=True)
    ]


def test_a_name_alone_stands_above_its_point():
    ((dx, dy),) = beside(["serac"], [(300, 200)], [5], within=INSIDE)
    assert dx == 0
    assert dy < -5


def test_names_of_points_at_one_place_do_not_meet():
    names = ["serac", "lte", "liveedit", "grace", "balancedit"]
    points = [(500.0, 10.0)] * 5
    placed = boxes(names, points, beside(names, points, [8.0] * 5, within=INSIDE))
    assert not any(one.meets(other) for one, other in combinations(placed, 2))


def test_a_name_in_the_corner_stays_off_the_axes():
    names, points = ["mend"], [(0.0, 380.0)]
    (box,) = boxes(names, points, beside(names, points, [9.0], within=INSIDE))
    assert box.lies_in(INSIDE)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 380)), min_size=1, max_size=12))
def test_a_dozen_points_anywhere_have_names_that_cover_nothing(points: list[tuple[int, int]]):
    names, radii = [f"method-{number}" for number in range(len(points))], [6.0] * len(points)
    placed = boxes(names, points, beside(names, points, radii, within=Box(-1000, -1000, 2000, 2000)))
    circles = [Box(x - 6, y - 6, x + 6, y + 6) for x, y in points]
    assert not any(one.meets(other) for one, other in combinations(placed, 2))
    assert not any(name.meets(circle) for name in placed for circle in circles)
