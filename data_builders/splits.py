"""Which split an annotation file is: what the user says, or the known file it looks like."""

from __future__ import annotations

from .annotations import Annotations
from .card import Card, KnownFile

CUSTOM = "custom"
"""The split of a file that nobody knows."""


def split_of(card: Card, file: Annotations, given: str | None) -> tuple[str, tuple[str, ...]]:
    """The split, and what is unusual about the file.

    A file of another size or name than the known ones is built all the same: people cut and mend files.
    """
    count = len(file.records)
    same_bytes = [known for known in card.files if known.sha256 == file.sha256]
    same_name = [known for known in card.files if file.name in known.names]
    same_count = [known for known in card.files if known.records == count]
    if given is not None:
        named = [known for known in card.files if known.split == given]
        return given, _differences(file, named[0]) if named else ()
    for found in (same_bytes, same_name, same_count):
        if len(found) == 1:
            return found[0].split, _differences(file, found[0])
    known = ", ".join(each.split for each in card.files)
    return CUSTOM, (
        f"{file.name} with {count:,} records is no known file of {card.name}; the split is called {CUSTOM!r} "
        f"(--split names it: {known}, or a name of your own)",
    )


def _differences(file: Annotations, known: KnownFile) -> tuple[str, ...]:
    count, said = len(file.records), list[str]()
    if known.records not in (None, count):
        said.append(f"{file.name} holds {count:,} records, the file {known.split!r} as distributed {known.records:,}")
    if known.sha256 not in (None, file.sha256):
        said.append(f"{file.name} is not the file {known.split!r} as distributed: its sha256 is {file.sha256}")
    return tuple(said)
