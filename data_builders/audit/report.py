"""The audit: every check over a stream, in families."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...benchmark.edits import EditStream, Source
from . import answers, leakage, locality, phrasing, repeats
from .finding import Finding, Number, State
from .material import Material

Check = Callable[[Material], Finding]

_REPEATS: tuple[Check, ...] = (
    repeats.duplicates,
    repeats.same_key,
    repeats.conflicting_targets,
    repeats.no_ops,
    repeats.entities_twice,
    repeats.shared_pictures,
    repeats.shared_pictures_other_targets,
)
_LOCALITY: tuple[Check, ...] = (locality.edited_facts, locality.edited_pictures, locality.edited_entities)
_WORDING: tuple[Check, ...] = (
    answers.prompts,
    phrasing.chatter,
    phrasing.unchanged,
    phrasing.answer_in_prompt,
    phrasing.answer_in_rephrase,
)
_ANSWERS: tuple[Check, ...] = (
    answers.target_lengths,
    answers.seen_targets,
    answers.seen_prompts,
    answers.missing_pictures,
)


@dataclass(frozen=True)
class Named:
    """A stream as the report names it."""

    source: Source
    edits: int
    sha256: str

    @classmethod
    def of(cls, stream: EditStream) -> Named:
        """What a reader needs to find the stream again."""
        return cls(stream.source, len(stream), stream.sha256)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.source.canonical(), "edits": self.edits, "sha256": self.sha256}

    def __str__(self) -> str:
        texts = f", {self.source.texts} texts" if self.source.texts else ""
        return f"{self.edits:,} edits of {self.source.dataset}/{self.source.split}{texts}"


@dataclass(frozen=True)
class Report:
    """Every finding, by family. `hardness` are the figures of emblems; empty for other streams."""

    stream: Named
    train: Named | None
    families: Mapping[str, tuple[Finding, ...]]
    notes: tuple[str, ...]
    hardness: Mapping[str, Number | str]

    @cached_property
    def findings(self) -> dict[str, Finding]:
        """By name."""
        return {finding.name: finding for findings in self.families.values() for finding in findings}

    def many(self, state: State) -> int:
        """How many findings are in a state."""
        return sum(finding.state == state for finding in self.findings.values())

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "stream": self.stream.plain(),
            "train": self.train and self.train.plain(),
            "notes": list(self.notes),
            "checks": [
                {"family": family, **finding.plain()}
                for family, findings in self.families.items()
                for finding in findings
            ],
            **({"hardness": dict(self.hardness)} if self.hardness else {}),
        }


def audit(
    stream: EditStream,
    *,
    train: EditStream | None = None,
    pixels: Mapping[str, str] | None = None,
    hardness: Mapping[str, Number | str] | None = None,
    notes: Sequence[str] = (),
) -> tuple[Report, Material]:
    """Look a stream through.

    Args:
        stream: in its order; findings name positions in it.
        train: what editors are trained on; the checks for leaks need it.
        pixels: file digest -> pixel digest, as far as known (`opening.open_stream`).
        hardness: figures of emblems, to be shown beside.
        notes: what else a reader should know.

    Returns:
        The findings, and what they were found in (a page shows examples from it).
    """
    stream = _read(stream)  # once: a stored stream reads its rows anew each time
    train = None if train is None else _read(train)
    given = Material(list(stream), None if train is None else list(train), pixels)
    families = {
        "Repeats": _REPEATS,
        "Locality": _LOCALITY,
        "Train and evaluation": tuple(leakage.checks_of(given.edits)),
        "Wording": _WORDING,
        "Answers and pictures": _ANSWERS,
    }
    found = {family: tuple(check(given) for check in checks) for family, checks in families.items()}
    named = None if train is None else Named.of(train)
    return Report(Named.of(stream), named, found, (*notes, *_notes(given)), hardness or {}), given


def _read(stream: EditStream) -> EditStream:
    return EditStream(list(stream), stream.source)


def _notes(given: Material) -> tuple[str, ...]:
    if not (ambiguous := given.pictures.ambiguous):
        return ()
    return (
        f"{len(ambiguous):,} picture paths stand for files that differ (first: {ambiguous[0]});"
        " these pictures are compared by their bytes",
    )
