from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_streams import numbers, small_edit, small_stream

from liveedit_bench.data_builders.scenarios import arrange
from liveedit_bench.data_builders.scenarios.spread import spread


def distances(row: list[int]) -> dict[int, int]:
    """Group -> smallest distance between two of its members."""
    found: dict[int, int] = {}
    last: dict[int, int] = {}
    for place, group in enumerate(row):
        if group in last:
            found[group] = min(found.get(group, place), place - last[group])
        last[group] = place
    return found


def guaranteed(sizes: list[int], size: int) -> int:
    """By the words of the docstring: n' edits in groups of `size` or fewer, c' such groups."""
    return (sum(one for one in sizes if one <= size) - sizes.count(size)) // (size - 1)


def partitions(total: int, largest: int):
    if total == 0:
        yield []
    for first in range(min(total, largest), 0, -1):
        for rest in partitions(total - first, first):
            yield [first, *rest]


@pytest.mark.parametrize("total", range(2, 9))
def test_no_order_at_all_does_better(total: int):
    """Against every order of every small stream."""
    for sizes in partitions(total, total):
        if sizes[0] == 1:
            continue
        members = [group for group, size in enumerate(sizes) for _ in range(size)]
        best = max(min(distances(list(order)).values()) for order in set(permutations(members)))
        found = spread([[group] * size for group, size in enumerate(sizes)])
        assert sorted(found) == members
        assert min(distances(found).values()) == best == guaranteed(sizes, sizes[0])


def check(sizes: list[int]) -> None:
    row = spread([[group] * size for group, size in enumerate(sizes)])
    for group, distance in distances(row).items():
        assert distance >= guaranteed(sizes, sizes[group])
        assert distance >= guaranteed(sizes, max(sizes))


def test_the_guarantee_for_every_stream_of_up_to_22_edits():
    for total in range(2, 23):
        for sizes in partitions(total, total):
            check(sizes)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_the_guarantee_for_larger_groups(sizes: list[int]):
    check(sizes)


def test_twins_by_picture_and_by_entity_are_apart():
    edits = [small_edit(at, image=f"p{at // 2}") for at in range(20)]
    edits += [small_edit(20 + at, entity=f"e{at // 2}") for at in range(10)] + [small_edit(at) for at in range(30, 50)]
    order = numbers(arrange(small_stream(edits), ["spread-twins"], seed=4))
    assert sorted(order) == list(range(50))
    for first in range(0, 30, 2):
        assert order.index(first + 1) - order.index(first) >= 50 - 15  # 15 pairs: (n - c) / (2 - 1)
    assert numbers(arrange(small_stream(edits), ["spread-twins"], seed=5)) != order


def test_without_twins_the_order_is_drawn():
    edits = [small_edit(at) for at in range(12)]
    orders = [numbers(arrange(small_stream(edits), ["spread-twins"], seed=seed)) for seed in (0, 1)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == list(range(12))
