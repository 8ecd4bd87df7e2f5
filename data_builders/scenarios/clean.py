"""Locality probes that tell something: unknown from training, and untouched by the edits of the stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import MappingProxyType

from ...benchmark.edits import LOCALITY_KINDS, EditStream, Kind, Picture, Probe
from ..emblems.dice import Dice
from .slots import Setting, Slot, Swap

Notes = dict[str, object]
Question = tuple[str | None, str]

FREE: tuple[Kind, ...] = ("text_locality", "image_locality")
"""Kinds that may ask about anything, so that another probe can stand in. The others are about their own edit."""


def clean(slots: Sequence[Slot], setting: Setting) -> tuple[list[Slot], Notes]:
    """Replace or remove the locality probes that leak or that the stream contaminates.

    A probe goes when its question (picture and prompt) stands in `train`, when its answer rests on a fact that the
    stream edits, or when it shows an edited picture or asks about an edited entity (but for `locality_other_question`,
    which shows its edit's picture by its nature). A text or image locality probe is replaced by one of the same kind
    out of `pool` to which none of this applies and which stands nowhere in the stream; each is used once. What cannot
    be replaced is removed. Both are counted, by kind and reason.

    What counts as edited grows with the stream, so a shorter one gives no prefix.
    """
    faults = _Faults(slots, setting.train)
    edits = [setting.edit(slot) for slot in slots]
    present = {_question(probe.image, probe.prompt) for edit in edits for probe in edit.probes}
    spare = _spare(setting, faults.of, present)
    counts: dict[str, Counter[str]] = {}
    row: list[Slot] = []
    for slot in slots:
        swaps: dict[int, Swap | None] = {}
        for index, probe in _probes(setting, slot):
            if probe.kind not in LOCALITY_KINDS:
                continue
            count = counts.setdefault(probe.kind, Counter())
            count["asked"] += 1
            fault = faults.of(probe)
            if fault is None:
                continue
            swaps[index] = next(spare[probe.kind], None) if probe.kind in spare else None
            why = "" if swaps[index] is not None else f", {_why(probe.kind, setting)}"
            count[f"{'replaced' if swaps[index] else 'removed'}: {fault}{why}"] += 1
        row.append(replace(slot, swaps=MappingProxyType({**slot.swaps, **swaps})) if swaps else slot)
    notes: Notes = {kind: dict(sorted(count.items())) for kind, count in counts.items()}
    if setting.train is None:
        notes["train"] = "none was given: leaks from training were not looked for"
    return row, notes


def _probes(setting: Setting, slot: Slot) -> Iterator[tuple[int, Probe]]:
    """The probes of a slot by the places they have in the edit as it was given."""
    edit = setting.edit(replace(slot, again=None))
    kept = [index for index in range(len(setting.given(slot).probes)) if slot.swaps.get(index, index) is not None]
    return zip(kept, edit.probes, strict=True)


class _Faults:
    """What is wrong with a locality probe."""

    def __init__(self, slots: Sequence[Slot], train: EditStream | None) -> None:
        self._keys = {slot.key for slot in slots}
        self._pictures = {slot.image for slot in slots if slot.image is not None}
        self._things = {thing for slot in slots for thing in (slot.entity, slot.key.partition("/")[0]) if thing}
        self._trained = set[Question]() if train is None else _questions(train)

    def of(self, probe: Probe) -> str | None:
        """The first fault in words, None when there is none."""
        if _question(probe.image, probe.prompt) in self._trained:
            return "stands in train"
        if not self._keys.isdisjoint((probe.fact, *probe.facts_used)):
            return "rests on an edited fact"
        if probe.kind == "locality_other_question":
            return None
        if probe.image is not None and probe.image.sha256 in self._pictures:
            return "shows an edited picture"
        return "asks about an edited entity" if probe.thing in self._things else None


def _questions(stream: EditStream) -> set[Question]:
    found: set[Question] = set()
    for edit in stream:
        found.add(_question(edit.image, edit.prompt))
        found.update(_question(probe.image, probe.prompt) for probe in edit.probes)
    return found


def _question(picture: Picture | None, prompt: str) -> Question:
    return None if picture is None else picture.sha256, " ".join(prompt.casefold().split())


def _spare(setting: Setting, fault: Callable[[Probe], str | None], present: set[Question]) -> dict[str, Iterator[Swap]]:
    """Kind -> where in the pool a probe stands that nothing is wrong with, in drawn order, each question once."""
    found: dict[str, list[Swap]] = {kind: [] for kind in FREE}
    known = set(present)
    for position, edit in enumerate(setting.pool or ()):
        for index, probe in enumerate(edit.probes):
            if probe.kind not in FREE or fault(probe) is not None:
                continue
            question = _question(probe.image, probe.prompt)
            if question not in known:
                known.add(question)
                found[probe.kind].append(Swap(position, index))
    return {kind: iter(Dice("clean", setting.seed, kind).shuffled(swaps)) for kind, swaps in found.items()}


def _why(kind: Kind, setting: Setting) -> str:
    if kind not in FREE:
        return "belongs to its own edit"
    return "no pool was given" if setting.pool is None else "the pool is used up"
