"""Facts that are edited again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ...benchmark.edits import LOCALITY_KINDS
from ..emblems.dice import Dice
from .slots import Again, Setting, Slot, asks_edited_fact

Notes = dict[str, object]


def superseding(slots: Sequence[Slot], setting: Setting) -> tuple[list[Slot], Notes]:
    """A share of the edits is followed, anywhere later, by a second edit of the same fact with another target.

    Which edits, and after which edit the second one comes, is drawn. The new target is one of the same stream's
    targets of the same task; it differs from the old answer, from the first target, and from the answers of the edit's
    own locality probes (or `leak` would tell nothing). Its questions are the first edit's with the target replaced;
    portability is left out, because nobody knows what follows from the new target. An edit whose fact the stream edits
    again anyway is never drawn. The targets to draw from grow with the stream, so a shorter one gives no prefix.
    """
    dice = Dice("superseding", setting.seed)
    times = Counter(slot.key for slot in slots)
    alone = [position for position, slot in enumerate(slots) if times[slot.key] == 1]
    wanted = seconds(len(slots), setting.share)
    offered = _targets(slots)
    passed, left_out = Counter[str](), Counter[str]()
    after: dict[int, list[Slot]] = {}
    made = 0
    for position in dice.shuffled(alone):
        if made == wanted:
            break
        slot = slots[position]
        edit = setting.edit(slot)
        if not edit.probes or not asks_edited_fact(edit.probes[0], slot.key):
            passed["its first question asks for another fact"] += 1
            continue
        taken = {edit.target, edit.facts.old, *(probe.target for probe in edit.probes if probe.kind in LOCALITY_KINDS)}
        again = _drawn(dice, offered[slot.part, slot.task], taken, setting)
        if again is None:
            passed["no other target of its task"] += 1
            continue
        second = replace(slot, target=again.target, seen_target=again.seen_target, again=again)
        after.setdefault(dice.between(position, len(slots) - 1), []).append(second)
        left_out.update(
            probe.kind
            for probe in edit.probes
            if probe.kind not in LOCALITY_KINDS and not asks_edited_fact(probe, slot.key)
        )
        made += 1
    row: list[Slot] = []
    for position, slot in enumerate(slots):
        row += [slot, *after.get(position, ())]
    notes: Notes = {"share": setting.share, "second edits": made, "edits": len(slots)}
    if made < wanted:
        notes["fewer than the share asks for"] = wanted - made
    if len(alone) < len(slots):
        notes["not drawn: the stream edits their fact again anyway"] = len(slots) - len(alone)
    notes |= {f"passed over: {why}": count for why, count in sorted(passed.items())}
    notes |= {
        f"{kind} left out of second edits, what follows from the new target is not known": count
        for kind, count in sorted(left_out.items())
    }
    return row, notes


def seconds(edits: int, share: float) -> int:
    """How many of so many edits are edited again."""
    return int(edits * share + 0.5)


def _targets(slots: Sequence[Slot]) -> dict[tuple[int, str], dict[str, bool | None]]:
    """Stream and task -> targets, each once and as they come, and whether a training stream holds them."""
    found: dict[tuple[int, str], dict[str, bool | None]] = {}
    for slot in slots:
        found.setdefault((slot.part, slot.task), {}).setdefault(slot.target, slot.seen_target)
    return found


def _drawn(dice: Dice, offered: dict[str, bool | None], taken: set[str], setting: Setting) -> Again | None:
    from ...metrics.answers import normalise  # brings pandas, which no --help should wait for

    used = {normalise(text, setting.normalisation) for text in taken}
    left = [text for text in offered if normalise(text, setting.normalisation) not in used]
    if not left:
        return None
    target = dice.choice(left)
    return Again(target, offered[target])
