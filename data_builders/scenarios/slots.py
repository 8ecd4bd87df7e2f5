"""The stream while it is being arranged: slots that say which edit stands where, and what is changed about it.

Edits are read from the given streams when somebody asks for them; a scenario moves slots and copies no picture.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from types import MappingProxyType
from typing import overload

from ...benchmark.edits import LOCALITY_KINDS, Edit, EditStream, Normalisation, Probe


@dataclass(frozen=True)
class Again:
    """A fact is edited a second time, to another target. seen_target: as in `Facts`, of the new target."""

    target: str
    seen_target: bool | None


@dataclass(frozen=True)
class Swap:
    """What stands in a probe's place: the probe at this place of the pool, or nothing."""

    position: int
    probe: int


@dataclass(frozen=True)
class Slot:
    """One edit of the arranged stream, and what scenarios need to know about it.

    origin: its position in the given streams, counted through. part: in which of them it stands. swaps: index of a
    probe -> what takes its place, None for nothing.
    """

    origin: int
    part: int
    key: str
    entity: str
    image: str | None
    task: str
    target: str
    seen_target: bool | None
    again: Again | None = None
    swaps: Mapping[int, Swap | None] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Setting:
    """What every scenario is given beside the slots.

    `streams` are the edits to arrange; `train` is what editors may be trained on and `pool` where clean probes are
    taken from (both for `clean`); `share` is that of edits which `superseding` edits again.
    """

    streams: tuple[EditStream, ...]
    seed: int
    normalisation: Normalisation
    train: EditStream | None = None
    pool: EditStream | None = None
    share: float = 0.2

    def slots(self) -> list[Slot]:
        """Every edit as it stands, one stream after another."""
        parts = ((part, edit) for part, stream in enumerate(self.streams) for edit in stream)
        return [
            Slot(
                origin=origin,
                part=part,
                key=edit.facts.key,
                entity=edit.facts.entity,
                image=None if edit.image is None else edit.image.sha256,
                task=edit.facts.task,
                target=edit.target,
                seen_target=edit.facts.seen_target,
            )
            for origin, (part, edit) in enumerate(parts)
        ]

    def given(self, slot: Slot) -> Edit:
        """The edit of a slot as it was given."""
        ends = list(accumulate(map(len, self.streams)))
        part = bisect_right(ends, slot.origin)
        return self.streams[part][slot.origin - (ends[part - 1] if part else 0)]

    def edit(self, slot: Slot) -> Edit:
        """The edit of a slot with all its changes."""
        edit = self.given(slot)
        probes = [
            self._swapped(probe, slot.swaps[index]) if index in slot.swaps else probe
            for index, probe in enumerate(edit.probes)
        ]
        kept = replace(edit, probes=tuple(probe for probe in probes if probe is not None)) if slot.swaps else edit
        return kept if slot.again is None else edited_again(kept, slot.again)

    def _swapped(self, probe: Probe, swap: Swap | None) -> Probe | None:
        return None if swap is None or self.pool is None else self.pool[swap.position].probes[swap.probe]


def edited_again(edit: Edit, again: Again) -> Edit:
    """The second edit of a fact: the same request and questions with another target.

    Questions that build on the answer (portability) are left out: nobody knows what follows from the new target.
    """
    own = edit.facts.key
    probes = [
        probe if probe.kind in LOCALITY_KINDS else replace(probe, target=again.target)
        for probe in edit.probes
        if probe.kind in LOCALITY_KINDS or asks_edited_fact(probe, own)
    ]
    facts = replace(edit.facts, provenance=f"{edit.facts.provenance}; edited again", seen_target=again.seen_target)
    return replace(edit, target=again.target, probes=tuple(probes), facts=facts)


def asks_edited_fact(probe: Probe, key: str) -> bool:
    """Does the probe ask for the edited fact itself (and not for what builds on it, or for something else)?"""
    return probe.fact == key and probe.kind not in (*LOCALITY_KINDS, "portability")


class Arranging(Sequence[Edit]):
    """The edits of slots, made when they are asked for."""

    def __init__(self, slots: Sequence[Slot], setting: Setting) -> None:
        self._slots, self._setting = slots, setting

    def __len__(self) -> int:
        return len(self._slots)

    @overload
    def __getitem__(self, index: int) -> Edit: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Edit]: ...
    def __getitem__(self, index: int | slice) -> Edit | Sequence[Edit]:
        if isinstance(index, slice):
            return Arranging(self._slots[index], self._setting)
        return self._setting.edit(self._slots[index])
