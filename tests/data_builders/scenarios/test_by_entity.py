from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st
from small_streams import numbers, small_edit, small_stream

from liveedit_bench.benchmark.edits import EditStream
from liveedit_bench.data_builders.scenarios import arrange


def shared(pairs: list[tuple[int, int]]) -> EditStream:
    return small_stream(
        [small_edit(at, entity=f"e{entity}", image=f"p{image}") for at, (entity, image) in enumerate(pairs)]
    )


def components(pairs: list[tuple[int, int]]) -> list[int]:
    """Labels by plain spreading: who shares a picture or an entity takes the smaller label, until nothing changes."""
    labels = list(range(len(pairs)))
    for _ in pairs:
        for one, (entity, image) in enumerate(pairs):
            for other, (other_entity, other_image) in enumerate(pairs):
                if entity == other_entity or image == other_image:
                    labels[one] = labels[other] = min(labels[one], labels[other])
    return labels


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12), st.integers(0, 9))
def test_who_shares_a_picture_or_an_entity_stands_side_by_side(pairs: list[tuple[int, int]], seed: int):
    labels = components(pairs)
    order = numbers(arrange(shared(pairs), ["by-entity"], seed=seed))
    assert sorted(order) == list(range(len(pairs)))
    runs = [list(run) for _, run in groupby(order, key=lambda number: labels[number])]
    assert len(runs) == len(set(labels))
    assert all(run == sorted(run) for run in runs)  # as they stood


def test_the_seed_draws_the_order_of_the_groups():
    stream = shared([(at // 3, 100 + at) for at in range(30)])
    orders = {tuple(numbers(arrange(stream, ["by-entity"], seed=seed))) for seed in range(5)}
    assert len(orders) == 5
    assert arrange(stream, ["by-entity"], seed=1).sha256 == arrange(stream, ["by-entity"], seed=1).sha256


def test_no_picture_and_no_entity_are_shared_by_nobody():
    from dataclasses import replace

    bare = [replace(small_edit(at, entity="", key=f"k{at}/x"), image=None) for at in range(12)]
    orders = {tuple(numbers(arrange(small_stream(bare), ["by-entity"], seed=seed))) for seed in range(5)}
    assert len(orders) == 5
