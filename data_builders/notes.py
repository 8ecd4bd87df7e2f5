"""What a build leaves beside its stream: what became of every record, and what was done to it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from .texts import Change

if TYPE_CHECKING:
    from ..benchmark.edits import EditStream
    from .manifest import Manifest


@dataclass(frozen=True)
class RecordNote:
    """What became of one record.

    Attributes:
        index: its place in the annotation file, from 0.
        position: of its edit in the stream; None when it became none.
        reason: why it became none.
        changes: every step that changed one of its texts, with the text before.
        unused: texts of the record that the stream has no place for, by field.
    """

    index: int
    position: int | None
    reason: str | None = None
    changes: tuple[Change, ...] = ()
    unused: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def plain(self) -> dict[str, object]:
        """A line of `records.jsonl`; what is empty is left out."""
        line: dict[str, object] = {"index": self.index, "position": self.position}
        if self.reason is not None:
            line["reason"] = self.reason
        if self.changes:
            line["changes"] = [vars(change) for change in self.changes]
        if self.unused:
            line["unused"] = dict(self.unused)
        return line


@dataclass(frozen=True)
class Built:
    """A stream, and the whole truth about how it came to be.

    Attributes:
        stream: the edits, in the order of the file.
        notes: one for each record that was read, in the order of the file.
        manifest: what was found where the pictures should be.
        warnings: what a user should know, one sentence each.
        about: card, file, recipe and options, for `build.json`.
    """

    stream: EditStream
    notes: Sequence[RecordNote]
    manifest: Manifest
    warnings: tuple[str, ...]
    about: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def steps(self) -> dict[str, int]:
        """How many texts each step changed."""
        return dict(sorted(Counter(change.step for note in self.notes for change in note.changes).items()))

    @property
    def skipped(self) -> dict[str, int]:
        """How many records became no edit, by reason (without what is particular to one record, after the colon)."""
        reasons = (note.reason.partition(":")[0] for note in self.notes if note.reason is not None)
        return dict(sorted(Counter(reasons).items()))

    def summary(self) -> dict[str, object]:
        """What `build.json` holds."""
        return {
            **self.about,
            "records": len(self.notes),
            "edits": len(self.stream),
            "probes": sum(len(edit.probes) for edit in self.stream),
            "stream_sha256": self.stream.sha256,
            "changed_texts": self.steps,
            "skipped": self.skipped,
            "warnings": list(self.warnings),
        }

    def beside(self) -> dict[str, bytes]:
        """The files that stand beside the stream, by name."""
        lines = (json.dumps(note.plain(), ensure_ascii=False, allow_nan=False) for note in self.notes)
        return {
            "build.json": (json.dumps(self.summary(), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode(),
            "records.jsonl": "".join(line + "\n" for line in lines).encode(),
            "pictures.jsonl": self.manifest.lines(),
        }

    def save(self, out: Path) -> None:
        """Store the stream with its notes in the new folder `out`; nothing is left there when it fails."""
        self.stream.save(out, beside=self.beside())
