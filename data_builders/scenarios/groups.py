"""Which edits belong together: those that share their picture or their entity."""

from __future__ import annotations

from collections.abc import Sequence

from .slots import Slot


def groups(slots: Sequence[Slot]) -> list[list[Slot]]:
    """The slots by picture or entity, transitively; groups by their first slot, slots as they stand.

    An edit without a picture, or with an empty entity, shares neither.
    """
    leader = list(range(len(slots)))

    def leader_of(position: int) -> int:
        while leader[position] != position:
            leader[position] = leader[leader[position]]  # halves the way for those who come later
            position = leader[position]
        return position

    first: dict[tuple[str, str], int] = {}
    for position, slot in enumerate(slots):
        for name in (("picture", slot.image), ("entity", slot.entity)):
            if name[1]:
                one, other = leader_of(first.setdefault((name[0], name[1]), position)), leader_of(position)
                leader[max(one, other)] = min(one, other)
    found: dict[int, list[Slot]] = {}
    for position, slot in enumerate(slots):
        found.setdefault(leader_of(position), []).append(slot)
    return list(found.values())
