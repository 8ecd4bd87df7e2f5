"""Edits that meet again, by content, key, entity or picture; and edits that change nothing."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise

from ...benchmark.edits import Edit, Probe
from .finding import Finding, Number, Record, grouped, members, quoted
from .material import Material, Pictures
from .wording import alike


def duplicates(given: Material) -> Finding:
    """Edits equal in everything but where they were read."""

    def content(edit: Edit) -> Hashable:
        probes = tuple((probe.kind, _picture(given, probe), probe.prompt, probe.target) for probe in edit.probes)
        return _picture(given, edit), edit.prompt, edit.target, edit.facts.old, probes

    groups = grouped(content(edit) for edit in given.edits)
    return Finding(
        name="duplicates",
        title="whole edit repeated",
        count=_many(groups),
        of=len(given.edits),
        unit="edits",
        meaning="These edits equal another one letter by letter, probes included, and count twice in every mean.",
        weight="odd",
        records=members(given.edits, groups, "equals"),
        groups=groups,
        numbers={"groups": len(groups), "repetitions": _many(groups) - len(groups)},
    )


def same_key(given: Material) -> Finding:
    """Edits of one and the same fact."""
    groups = grouped(edit.facts.key for edit in given.edits)
    return Finding(
        name="same-key",
        title="same key as another edit",
        count=_many(groups),
        of=len(given.edits),
        unit="edits",
        meaning="These edits ask the same question about the same thing as another edit of the stream.",
        weight="odd",
        records=members(given.edits, groups, "same key as"),
        groups=groups,
        numbers={"keys": len(groups)},
    )


def conflicting_targets(given: Material) -> Finding:
    """Edits of one fact with different targets."""
    targets = [alike(edit.target) for edit in given.edits]
    groups = _unequal(grouped(edit.facts.key for edit in given.edits), targets)
    return Finding(
        name="conflicting-targets",
        title="same key, other target",
        count=_many(groups),
        of=len(given.edits),
        unit="edits",
        meaning="These edits want another answer to the very question of another edit; both cannot hold at once.",
        weight="grave",
        records=_with_targets(given.edits, groups),
        groups=groups,
        numbers={"keys": len(groups)},
    )


def no_ops(given: Material) -> Finding:
    """Edits whose target is the old answer."""
    found = [(at, edit) for at, edit in enumerate(given.edits) if alike(edit.target) == alike(edit.facts.old)]
    return Finding(
        name="no-op",
        title="target is the old answer",
        count=len(found),
        of=len(given.edits),
        unit="edits",
        meaning="These edits change nothing but case or white space, so that an editor that does nothing is right.",
        weight="odd",
        records=tuple(
            Record(at, edit.id, f"{quoted(edit.facts.old)} becomes {quoted(edit.target)}") for at, edit in found
        ),
        numbers={"letter by letter": sum(edit.target == edit.facts.old for _, edit in found)},
    )


def entities_twice(given: Material) -> Finding:
    """Entities that more than one edit is about."""
    groups = grouped(edit.facts.entity or None for edit in given.edits)
    neighbours = [group for group in groups if any(b - a == 1 for a, b in pairwise(group))]
    return Finding(
        name="entities-edited-twice",
        title="entities edited more than once",
        count=len(groups),
        of=len({edit.facts.entity for edit in given.edits}),
        unit="entities",
        meaning="More than one edit is about each of these entities; a later one may undo an earlier one.",
        weight="odd",
        records=members(given.edits, groups, "same entity as"),
        groups=groups,
        numbers={
            "edits of these entities": _many(groups),
            "side by side": len(neighbours),
            "most edits of one entity": max(map(len, groups), default=1 if len(given.edits) else 0),
        },
    )


def shared_pictures(given: Material) -> Finding:
    """Edits of one picture."""
    groups = grouped(_picture(given, edit) for edit in given.edits)
    return Finding(
        name="shared-pictures",
        title="edited picture shared",
        count=_many(groups),
        of=_with_picture(given.edits),
        unit="edits",
        meaning="These edits have their picture in common with another edit.",
        weight="fact",
        records=members(given.edits, groups, "same picture as"),
        groups=groups,
        numbers={"groups": len(groups), **_ways(given, lambda groups: groups)},
    )


def shared_pictures_other_targets(given: Material) -> Finding:
    """Edits of one picture with different targets."""
    targets = [alike(edit.target) for edit in given.edits]
    exact = [edit.target for edit in given.edits]
    shared = grouped(_picture(given, edit) for edit in given.edits)
    groups = _unequal(shared, targets)
    return Finding(
        name="shared-pictures-other-targets",
        title="edited picture shared, other target",
        count=_many(groups),
        of=_with_picture(given.edits),
        unit="edits",
        meaning="These edits share their picture with an edit of another target; only the question tells them apart.",
        weight="odd",
        records=_with_targets(given.edits, groups),
        groups=groups,
        numbers={
            "groups": len(groups),
            "targets compared letter by letter": _many(_unequal(shared, exact)),
            **_ways(given, lambda groups: _unequal(groups, targets)),
        },
    )


def _picture(given: Material, asked: Edit | Probe) -> str | None:
    return None if asked.image is None else given.pictures[asked.image]


def _with_picture(edits: Sequence[Edit]) -> int:
    return sum(edit.image is not None for edit in edits)


Groups = tuple[tuple[int, ...], ...]


def _ways(given: Material, kept: Callable[[Groups], Groups]) -> dict[str, Number]:
    """How many edits each way of comparing pictures finds by itself, where the stream allows it at all."""
    found = dict[str, Number]()
    pictures: Pictures = given.pictures
    for way in ("path", "file", "pixels"):
        keys = [None if edit.image is None else pictures.by(way, edit.image) for edit in given.edits]
        if any(key is not None for key in keys):
            found[f"by {way}"] = _many(kept(grouped(keys)))
    return found


def _unequal(groups: Groups, values: Sequence[str]) -> Groups:
    return tuple(group for group in groups if len({values[position] for position in group}) > 1)


def _many(groups: Groups) -> int:
    return sum(map(len, groups))


def _with_targets(edits: Sequence[Edit], groups: Groups) -> tuple[Record, ...]:
    records = list[Record]()
    for group in groups:
        for position in group:
            other = next(at for at in group if alike(edits[at].target) != alike(edits[position].target))
            ours, theirs = (quoted(edits[at].target, most=40) for at in (position, other))
            why = f"{ours}, but {theirs} in #{other}"
            records.append(Record(position, edits[position].id, why))
    return tuple(records)
