"""Locality probes that are none: what they ask about is edited somewhere in the stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ...benchmark.edits import LOCALITY_KINDS, Edit, Probe
from .finding import Finding, Record, quoted
from .material import Material

SAME_PICTURE_BY_DESIGN = "locality_other_question"
"""This kind asks something else about the edited picture; that is its point."""


def edited_facts(given: Material) -> Finding:
    """Locality probes that ask for an edited fact."""
    keys = first(edit.facts.key for edit in given.edits)

    def touched(_edit: Edit, probe: Probe) -> int | None:
        return next((keys[key] for key in (probe.fact, *probe.facts_used) if key in keys), None)

    return _finding(
        given,
        touched,
        name="locality-edited-fact",
        title="locality asks an edited fact",
        what="asks the fact that #{} edits",
        meaning="These probes ask the very fact that an edit of the stream changes; they expire once it is made.",
        by_design=True,
    )


def edited_pictures(given: Material) -> Finding:
    """Locality probes with an edited picture."""
    pictures = first(None if edit.image is None else given.pictures[edit.image] for edit in given.edits)

    def touched(_edit: Edit, probe: Probe) -> int | None:
        return None if probe.image is None else pictures.get(given.pictures[probe.image])

    return _finding(
        given,
        touched,
        name="locality-edited-picture",
        title="locality shows an edited picture",
        what="shows the picture of #{}",
        meaning="These locality probes show a picture that an edit of the stream is about: not unrelated.",
    )


def edited_entities(given: Material) -> Finding:
    """Locality probes about an edited entity."""
    entities = first(edit.facts.entity for edit in given.edits)
    entities |= first(edit.facts.key.partition("/")[0] for edit in given.edits)
    return _finding(
        given,
        lambda _edit, probe: entities.get(probe.thing),
        name="locality-edited-entity",
        title="locality about an edited entity",
        what="is about the entity of #{}",
        meaning="These locality probes are about a thing that an edit of the stream is about: not unrelated.",
    )


def _finding(
    given: Material,
    touched: Callable[[Edit, Probe], int | None],
    *,
    name: str,
    title: str,
    what: str,
    meaning: str,
    by_design: bool = False,
) -> Finding:
    asked = [place for place in locality(given) if by_design or place[3].kind != SAME_PICTURE_BY_DESIGN]
    found = [
        (at, edit, index, probe, other)
        for at, edit, index, probe in asked
        if (other := touched(edit, probe)) is not None
    ]
    kinds = sorted({probe.kind for _, _, _, probe, _ in found})
    return Finding(
        name=name,
        title=title,
        count=len(found),
        of=len(asked),
        unit="locality probes",
        meaning=meaning,
        weight="odd",
        records=tuple(
            Record(at, edit.id, f"{what.format(other)}: {quoted(probe.prompt)}", probe=index)
            for at, edit, index, probe, other in found
        ),
        numbers={kind: sum(probe.kind == kind for _, _, _, probe, _ in found) for kind in kinds},
    )


def locality(given: Material) -> Iterator[tuple[int, Edit, int, Probe]]:
    """Every locality probe with its edit, and where both stand."""
    for at, edit in enumerate(given.edits):
        for index, probe in enumerate(edit.probes):
            if probe.kind in LOCALITY_KINDS:
                yield at, edit, index, probe


def first(keys: Iterable[str | None]) -> dict[str, int]:
    """Key -> the first position that holds it."""
    found: dict[str, int] = {}
    for position, key in enumerate(keys):
        if key is not None:
            found.setdefault(key, position)
    return found
