"""What a check found: how many of how many, what that means, and which edits are concerned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ...benchmark.edits import Edit

Weight = Literal["grave", "odd", "fact"]
"""What a count above zero is: it spoils scores, a reader has to know of it, or it only describes the stream."""
State = Literal["grave", "odd", "fact", "none", "unknown"]
Number = int | float

_JOINERS = "\u200c\u200d"  # they make letters and emoji


@dataclass(frozen=True)
class Record:
    """An edit that a finding concerns.

    `probe` is the index of the probe in question, `train` the position of the training edit it meets; None: neither.
    """

    position: int
    id: str
    why: str
    probe: int | None = None
    train: int | None = None

    def plain(self) -> dict[str, Any]:
        """For JSON; what is None is left out."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Finding:
    """One check's answer. Positions count from 0, in the order of the stream.

    Attributes:
        name: stable; for JSON.
        title: a few words.
        count: of the things in `unit` that have the trait.
        of: how many there are.
        unit: what is counted, in the plural.
        meaning: one sentence.
        weight: what a count above zero is.
        records: every edit concerned; where edits belong together, side by side.
        groups: the positions that belong together, where the trait is about several edits.
        numbers: further figures, by name.
        unknown: why nothing could be counted; empty when it could.
    """

    name: str
    title: str
    count: int
    of: int
    unit: str
    meaning: str
    weight: Weight
    records: tuple[Record, ...] = ()
    groups: tuple[tuple[int, ...], ...] = ()
    numbers: Mapping[str, Number] = field(default_factory=dict[str, Number])
    unknown: str = ""

    @property
    def share(self) -> float | None:
        """`count` in `of`; None where there is nothing to count."""
        return self.count / self.of if self.of else None

    @property
    def state(self) -> State:
        """What a reader has to make of it."""
        if self.unknown:
            return "unknown"
        return self.weight if self.count or self.weight == "fact" else "none"

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **vars(self),
            "state": self.state,
            "share": self.share,
            "records": [record.plain() for record in self.records],
            "groups": [list(group) for group in self.groups],
            "numbers": dict(self.numbers),
        }


def grouped(keys: Iterable[Hashable]) -> tuple[tuple[int, ...], ...]:
    """The positions that hold the same key, where there are two or more of them; None is no key."""
    found = defaultdict[Hashable, list[int]](list)
    for position, key in enumerate(keys):
        if key is not None:
            found[key].append(position)
    return tuple(tuple(positions) for positions in found.values() if len(positions) > 1)


def members(edits: Sequence[Edit], groups: Iterable[Sequence[int]], why: str) -> tuple[Record, ...]:
    """A record for each edit of each group; `why` is followed by the positions of the others."""
    return tuple(
        Record(position, edits[position].id, f"{why} {_list([other for other in group if other != position])}")
        for group in groups
        for position in group
    )


def _list(positions: Sequence[int]) -> str:
    shown = ", ".join(f"#{position}" for position in positions[:5])
    return shown if len(positions) <= 5 else f"{shown} and {len(positions) - 5} more"


def quoted(text: str, *, most: int = 60) -> str:
    """A text in quotes, on one line, cut where it is long."""
    line = visible(text)
    if len(line) > most:
        line = line[: most - 1] + "\u2026"
    return f"\u201c{line}\u201d"


def visible(text: str) -> str:
    """A text on one line and without what a terminal would obey: control characters, marks of direction."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable() or letter in _JOINERS)
