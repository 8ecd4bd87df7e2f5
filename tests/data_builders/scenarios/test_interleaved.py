from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_streams import numbers, plain

from liveedit_bench.data_builders.scenarios import arrange, arranged
from liveedit_bench.errors import BenchError


@given(st.lists(st.integers(1, 40), min_size=2, max_size=5))
def test_every_prefix_has_the_right_shares_to_less_than_one_edit(sizes: list[int]):
    streams = [plain(size, f"dataset{part}") for part, size in enumerate(sizes)]
    found = arranged(streams, ["interleaved"])
    starts = [sum(sizes[:part]) for part in range(len(sizes))]
    parts = [max(part for part, start in enumerate(starts) if start <= origin) for origin in found.card["origins"]]
    total, taken = sum(sizes), [0] * len(sizes)
    for turn, part in enumerate(parts, start=1):
        taken[part] += 1
        for count, size in zip(taken, sizes, strict=True):
            assert abs(count - Fraction(turn * size, total)) < 1
    for part, start in enumerate(starts):  # each keeps its order
        own = [origin for origin in found.card["origins"] if start <= origin < start + sizes[part]]
        assert own == list(range(start, start + sizes[part]))


def test_equal_streams_take_turns():
    stream = arrange([plain(3, "one"), plain(3, "other")], ["interleaved"])
    assert numbers(stream) == [0, 0, 1, 1, 2, 2]
    assert stream.source.dataset == "one+other"
    assert stream.source.scenario == "interleaved"


def test_without_it_streams_follow_one_another():
    assert numbers(arrange([plain(2, "one"), plain(3, "other")], ["file-order"])) == [0, 1, 0, 1, 2]


def test_one_stream_cannot_be_interleaved():
    with pytest.raises(BenchError, match="give at least two"):
        arrange(plain(3), ["interleaved"])


def test_after_a_shuffle_each_stream_keeps_its_new_order():
    streams = [plain(10, "one"), plain(5, "other")]
    mixed = arranged(streams, ["shuffled"], seed=2).card["origins"]
    found = arranged(streams, ["shuffled", "interleaved"], seed=2).card["origins"]
    assert mixed != list(range(15))
    for own in (range(10), range(10, 15)):
        assert [at for at in found if at in own] == [at for at in mixed if at in own]
