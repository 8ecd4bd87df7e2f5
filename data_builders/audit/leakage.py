"""What the training stream gives away: edits, locality probes and pictures that stand in both."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial

from ...benchmark.edits import Edit, Kind, Probe
from .finding import Finding, Number, Record, Weight, quoted
from .locality import first, locality
from .material import Material, pictures_of, shown
from .wording import alike, question

NO_TRAIN = "needs --train"


def keys(given: Material) -> Finding:
    """Edits whose key is edited in training."""
    return _edits(
        given,
        lambda edit: edit.facts.key,
        name="train-key",
        title="key also edited in train",
        what="same key as train #{}",
        meaning="The training stream edits the same question about the same thing.",
        weight="grave",
    )


def edited_pictures(given: Material) -> Finding:
    """Edits whose picture is edited in training."""
    return _edits(
        given,
        lambda edit: None if edit.image is None else given.pictures[edit.image],
        name="train-edited-picture",
        title="picture also edited in train",
        what="same picture as train #{}",
        meaning="The training stream edits something about the very picture.",
        weight="grave",
    )


def prompts_with_targets(given: Material) -> Finding:
    """Edits whose question and target, both, stand in an edit of training."""
    return _edits(
        given,
        lambda edit: (question(edit.prompt), alike(edit.target)),
        name="train-prompt-and-target",
        title="prompt and target also in train",
        what="same question and target as train #{}",
        meaning="The training stream teaches this answer to this question, with whatever picture.",
        weight="odd",
    )


def entities(given: Material) -> Finding:
    """Entities edited in both streams."""
    name, title = "train-entity", "entities also edited in train"
    meaning = "The training stream edits these entities too, so an editor may have learnt about them."
    ours = {edit.facts.entity for edit in given.edits if edit.facts.entity}
    if given.train is None:
        return Finding(name, title, 0, len(ours), "entities", meaning, "odd", unknown=NO_TRAIN)
    theirs = first(edit.facts.entity or None for edit in given.train)
    records = tuple(
        Record(at, edit.id, f"same entity as train #{theirs[edit.facts.entity]}", train=theirs[edit.facts.entity])
        for at, edit in enumerate(given.edits)
        if edit.facts.entity in theirs
    )
    both = ours & set(theirs)
    numbers = {"edits of these entities": len(records)}
    return Finding(name, title, len(both), len(ours), "entities", meaning, "odd", records, numbers=numbers)


def pictures(given: Material) -> Finding:
    """Pictures shown in both streams, in whatever role."""
    name, title, unit = "train-pictures", "pictures also shown in train", "pictures"
    meaning = "The training stream shows these pictures too, as edited, as second or as unrelated ones."
    ours = {given.pictures[picture] for edit in given.edits for picture in pictures_of(edit)}
    if given.train is None:
        return Finding(name, title, 0, len(ours), unit, meaning, "odd", unknown=NO_TRAIN)
    theirs = {given.pictures[picture]: at for at, edit in enumerate(given.train) for picture in pictures_of(edit)}
    records = list[Record]()
    for at, edit in enumerate(given.edits):
        for index, picture in shown(edit):
            if (met := theirs.get(given.pictures[picture])) is not None:
                records.append(Record(at, edit.id, f"shows a picture of train #{met}", index, met))
                break
    both = ours & set(theirs)
    return Finding(
        name,
        title,
        len(both),
        len(ours),
        unit,
        meaning,
        "odd",
        tuple(records),
        numbers={"edits that show one": len(records)},
    )


def _edits(
    given: Material,
    key: Callable[[Edit], Hashable],
    *,
    name: str,
    title: str,
    what: str,
    meaning: str,
    weight: Weight,
) -> Finding:
    of = len(given.edits)
    if given.train is None:
        return Finding(name, title, 0, of, "edits", meaning, weight, unknown=NO_TRAIN)
    theirs = _positions(map(key, given.train))
    records = tuple(
        Record(at, edit.id, what.format(theirs[mine]), train=theirs[mine])
        for at, edit in enumerate(given.edits)
        if (mine := key(edit)) in theirs
    )
    return Finding(name, title, len(records), of, "edits", meaning, weight, records)


def _positions(keys: Iterable[Hashable]) -> dict[Hashable, int]:
    """Key -> the first position that holds it; None is no key."""
    found = dict[Hashable, int]()
    for position, key in enumerate(keys):
        if key is not None:
            found.setdefault(key, position)
    return found


_TITLES: dict[Kind, str] = {
    "text_locality": "text-locality query also in train",
    "image_locality": "image-locality query also in train",
    "locality_twin_same": "query about a twin also in train",
    "locality_twin_other": "query about an other-answer twin also in train",
    "locality_other_question": "other question also in train",
    "locality_no_image": "question without picture also in train",
}
_USUAL: tuple[Kind, ...] = ("text_locality", "image_locality")


def of_locality(kind: Kind) -> Callable[[Material], Finding]:
    """The check of one kind of locality probes: does the query, picture and question, stand in training?"""
    return partial(_locality, kind=kind)


def _locality(given: Material, *, kind: Kind) -> Finding:
    def query(asked: Edit | Probe) -> Hashable:
        return None if asked.image is None else given.pictures[asked.image], question(asked.prompt)

    asked = [place for place in locality(given) if place[3].kind == kind]
    name, title = f"train-{kind.replace('_', '-')}", _TITLES[kind]
    weight: Weight = "grave" if kind in _USUAL else "odd"
    meaning = "The training stream asks the same question of the same picture to teach what must not change."
    if kind in ("text_locality", "locality_no_image"):
        meaning = "The training stream asks the same question without a picture to teach what must not change."
    if given.train is None:
        return Finding(name, title, 0, len(asked), "locality probes", meaning, weight, unknown=NO_TRAIN)
    theirs = dict[Hashable, tuple[int, Probe]]()
    for at, edit in enumerate(given.train):
        for probe in edit.probes:
            if probe.kind == kind:
                theirs.setdefault(query(probe), (at, probe))
    edited = {query(edit) for edit in given.train}
    records = list[Record]()
    queries, same_answer, as_edit = set[Hashable](), 0, 0
    for at, edit, index, probe in asked:
        mine = query(probe)
        as_edit += mine in edited
        if mine in theirs:
            position, other = theirs[mine]
            records.append(Record(at, edit.id, f"as in train #{position}: {quoted(probe.prompt)}", index, position))
            queries.add(mine)
            same_answer += alike(other.target) == alike(probe.target)
    numbers: dict[str, Number] = {
        "distinct queries": len(queries),
        "with the same answer": same_answer,
        "asked in train as an edit": as_edit,
    }
    return Finding(
        name, title, len(records), len(asked), "locality probes", meaning, weight, tuple(records), numbers=numbers
    )


def checks_of(edits: Sequence[Edit]) -> list[Callable[[Material], Finding]]:
    """The checks of this family; those of locality kinds that a stream does not have are left out."""
    kinds = {probe.kind for edit in edits for probe in edit.probes}
    kept: list[Kind] = [kind for kind in _TITLES if kind in kinds or kind in _USUAL]
    return [keys, edited_pictures, entities, prompts_with_targets, *map(of_locality, kept), pictures]
