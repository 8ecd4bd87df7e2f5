"""All edits of a thing side by side."""

from __future__ import annotations

from collections.abc import Sequence

from ..emblems.dice import Dice
from .groups import groups
from .slots import Setting, Slot


def by_entity(slots: Sequence[Slot], setting: Setting) -> list[Slot]:
    """Edits that share a picture or an entity follow one another as they stood; the groups come in drawn order.

    A shorter stream gives no prefix of a longer one: a group may grow, and moves the others.
    """
    return [slot for group in Dice("by-entity", setting.seed).shuffled(groups(slots)) for slot in group]
