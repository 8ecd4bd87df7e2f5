"""Randomness from hashes."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from liveedit_bench.data_builders.emblems.dice import Dice


def test_known_numbers() -> None:
    """Fixed for ever: every drawing and every stream rests on them."""
    dice = Dice("known", 1)
    assert [dice.below(1000) for _ in range(5)] == [142, 400, 12, 906, 699]


@given(st.lists(st.integers(), max_size=60), st.integers())
def test_shuffled_keeps_every_item(items: list[int], seed: int) -> None:
    assert Counter(Dice("shuffle", seed).shuffled(items)) == Counter(items)


@given(st.integers(1, 5000), st.integers(0, 300))
def test_the_stream_does_not_depend_on_how_it_is_read(first: int, second: int) -> None:
    dice = Dice("read", 0)
    assert dice.bytes(first) + dice.bytes(second) == Dice("read", 0).bytes(first + second)


def test_chance_and_between_keep_their_bounds() -> None:
    dice = Dice("bounds")
    assert 150 < sum(dice.chance(200) for _ in range(1000)) < 250
    assert {dice.between(-2, 2) for _ in range(300)} == {-2, -1, 0, 1, 2}
