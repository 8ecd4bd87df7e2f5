"""The plain orders: as given, and shuffled."""

from __future__ import annotations

import random
from collections.abc import Sequence

from .slots import Setting, Slot


def file_order(slots: Sequence[Slot], setting: Setting) -> list[Slot]:
    """Everything stays where it stands; the runner does not shuffle it either.

    A stream of the first m edits gives the first m of a longer one.
    """
    return list(slots)


def shuffled(slots: Sequence[Slot], setting: Setting) -> list[Slot]:
    """A seeded permutation: of a stream as given, that of `EditStream.shuffled`.

    It depends on the number of edits, so a shorter stream gives no prefix of a longer one.
    """
    order = list(slots)
    random.Random(setting.seed).shuffle(order)
    return order
