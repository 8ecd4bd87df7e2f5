"""Edits of one thing as far apart as possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ..emblems.dice import Dice
from .groups import groups
from .slots import Setting, Slot

T = TypeVar("T")


def spread_twins(slots: Sequence[Slot], setting: Setting) -> list[Slot]:
    """Edits that share a picture or an entity, apart by at least the largest distance that all can have.

    With n edits and groups of at most m, of which c have m, no order does better than floor((n - c) / (m - 1))
    everywhere, and this one reaches it. Each smaller size s has a guarantee of its own: with n' edits in groups of s or
    fewer, of which c' have s, at least floor((n' - c') / (s - 1)). Within a group edits keep their order; which
    group comes first is drawn. A shorter stream gives no prefix of a longer one.
    """
    return spread(Dice("spread-twins", setting.seed).shuffled(groups(slots)))


def spread(given: Sequence[Sequence[T]]) -> list[T]:
    """The members of all groups in one row.

    The largest groups stand in blocks, one member of each, and everything else (spread the same way) fills the
    stretches between the blocks evenly, the longer stretches first.
    """
    largest = max((len(group) for group in given), default=0)
    big = [group for group in given if len(group) == largest]
    if largest <= 1:
        return [member for group in big for member in group]
    rest = spread([group for group in given if len(group) < largest])
    length, longer = divmod(len(rest), largest - 1)
    row: list[T] = []
    start = 0
    for turn in range(largest):
        row += [group[turn] for group in big]
        end = start + length + (turn < longer)
        row += rest[start:end]
        start = end
    return row
