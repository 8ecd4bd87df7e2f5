"""What the stream asks for: how many prompts there are, how long the targets are, which are new, what is missing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from ...benchmark.edits import Edit
from .finding import Finding, Number, Record, quoted, visible
from .material import Material, pictures_of, shown
from .wording import alike, question, words


def prompts(given: Material) -> Finding:
    """How many prompts the edits have between them."""
    counts = Counter(question(edit.prompt) for edit in given.edits)
    commonest, many = counts.most_common(1)[0] if counts else ("", 0)
    one = len(counts) == 1 and len(given.edits) > 1
    return Finding(
        name="distinct-prompts",
        title="one prompt for every edit" if one else "distinct prompts",
        count=len(counts),
        of=len(given.edits),
        unit="prompts per edit",
        meaning="Every edit asks the same question, so nothing tests whether an editor minds the text."
        if one
        else "The more prompts, the more it matters that an editor minds the text.",
        weight="odd" if one else "fact",
        records=tuple(
            Record(at, edit.id, f"{quoted(edit.prompt)}, the commonest prompt")
            for at, edit in enumerate(given.edits)
            if many > 1 and question(edit.prompt) == commonest
        ),
        numbers={"edits with the commonest prompt": many},
    )


def target_lengths(given: Material) -> Finding:
    """How long the targets are, and how many are yes or no."""
    short = [(at, edit) for at, edit in enumerate(given.edits) if words(edit.target) in (("yes",), ("no",))]
    numbers: dict[str, Number] = {"distinct targets": len({alike(edit.target) for edit in given.edits})}
    for unit, length in LENGTHS.items():
        sizes = sorted(length(edit.target) for edit in given.edits)
        if sizes:
            numbers |= {f"{unit}, {name}": value for name, value in summary(sizes).items()}
    return Finding(
        name="yes-no-targets",
        title="target is yes or no",
        count=len(short),
        of=len(given.edits),
        unit="edits",
        meaning="A guess is right half of the time here; the figures beside say how long targets are.",
        weight="fact",
        records=tuple(Record(at, edit.id, f"{quoted(edit.target)} to {quoted(edit.prompt)}") for at, edit in short),
        numbers=numbers,
    )


LENGTHS: dict[str, Callable[[str], int]] = {"characters": len, "words": lambda text: len(text.split())}


def summary(sizes: Sequence[int]) -> dict[str, Number]:
    """Minimum, median, 95th percentile (nearest rank) and maximum of sorted sizes."""
    middle = len(sizes) // 2
    median = sizes[middle] if len(sizes) % 2 else (sizes[middle - 1] + sizes[middle]) / 2
    return {"min": sizes[0], "median": median, "p95": sizes[math.ceil(0.95 * len(sizes)) - 1], "max": sizes[-1]}


def seen_targets(given: Material) -> Finding:
    """Targets that training teaches too."""
    theirs = None if given.train is None else {alike(edit.target) for edit in given.train}

    def seen(edit: Edit) -> bool | None:
        return edit.facts.seen_target if theirs is None else alike(edit.target) in theirs

    return _seen(given, seen, name="seen-targets", title="target also a target in train", what="target")


def seen_prompts(given: Material) -> Finding:
    """Questions that training asks too."""
    theirs = None if given.train is None else {question(edit.prompt) for edit in given.train}

    def seen(edit: Edit) -> bool | None:
        if theirs is not None:
            return question(edit.prompt) in theirs
        return next((probe.seen for probe in edit.probes if probe.kind == "reliability"), None)

    return _seen(given, seen, name="seen-prompts", title="prompt also a prompt in train", what="question")


def _seen(given: Material, seen: Callable[[Edit], bool | None], *, name: str, title: str, what: str) -> Finding:
    flags = [seen(edit) for edit in given.edits]
    known = [flag for flag in flags if flag is not None]
    return Finding(
        name=name,
        title=title,
        count=sum(known),
        of=len(known),
        unit="edits",
        meaning=f"The {what} stands in training too; runs report seen and unseen ones apart.",
        weight="fact",
        records=tuple(
            Record(at, edit.id, quoted(edit.target if what == "target" else edit.prompt))
            for at, (edit, flag) in enumerate(zip(given.edits, flags, strict=True))
            if flag
        ),
        numbers={"unseen": len(known) - sum(known)} if known else {},
        unknown="" if known or not given.edits else "needs --train",
    )


def missing_pictures(given: Material) -> Finding:
    """Pictures that an annotation names and no folder held."""
    pictures = [picture for edit in given.edits for picture in pictures_of(edit)]
    missing, present = ({given.pictures[each] for each in pictures if each.missing is lost} for lost in (True, False))
    firsts = [next((place for place in shown(edit) if place[1].missing), None) for edit in given.edits]
    records = tuple(
        Record(at, edit.id, f"{visible(first[1].path or 'it')} is missing", probe=first[0])
        for at, (edit, first) in enumerate(zip(given.edits, firsts, strict=True))
        if first is not None
    )
    return Finding(
        name="missing-pictures",
        title="picture missing",
        count=len(missing - present),
        of=len(missing | present),
        unit="pictures",
        meaning="These pictures were not there when the stream was built; no run accepts it as it is.",
        weight="grave",
        records=records,
        numbers={"edits that show one": len(records)},
    )
