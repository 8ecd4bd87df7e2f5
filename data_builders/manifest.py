"""What became of the pictures that an annotation file names: which are there, which are not, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

from ..benchmark.edits import Picture, canonical_json, missing_picture
from ..benchmark.pictures import PictureFile
from ..errors import BenchError

Status = Literal["ok", "missing", "broken", "refused"]
_FIRST = 3  # so many of a kind are named in a message


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture.

    path: as the annotation has it.
    status: ``ok``; ``missing``, no folder holds it; ``broken``, the file does not decode; ``refused``, the path leads
        out of the image root.
    problem: one sentence, unless it is ok.
    looked_in: the folders that were tried.
    file: where it was found.
    sha256: of the file's bytes; the digest its `Picture` goes by.
    pixels_sha256: of the decoded RGB pixels; the same for copies under other names.
    bytes: size of the file.
    format, mode: as Pillow calls them, before the conversion to RGB.
    """

    path: str
    status: Status
    problem: str | None = None
    looked_in: tuple[str, ...] = ()
    file: str | None = None
    sha256: str | None = None
    pixels_sha256: str | None = None
    bytes: int | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None
    mode: str | None = None


@dataclass(frozen=True)
class Manifest:
    """The pictures of an annotation file, each path once, in the order in which they are named first."""

    entries: tuple[Entry, ...]

    @cached_property
    def by_path(self) -> Mapping[str, Entry]:
        """The entries by the path in the annotation."""
        return {entry.path: entry for entry in self.entries}

    @property
    def problems(self) -> list[Entry]:
        """Those that are not ok."""
        return [entry for entry in self.entries if entry.status != "ok"]

    @property
    def counts(self) -> dict[Status, int]:
        """How many there are of each status, none left out."""
        found = Counter(entry.status for entry in self.entries)
        return {status: found[status] for status in get_args(Status)}

    def picture(self, path: str) -> Picture:
        """The picture behind a path, with its digest; one that is not ok is a missing one. Raises `KeyError`."""
        entry = self.by_path[path]
        if entry.status != "ok" or entry.file is None:
            return missing_picture(path, entry.looked_in)
        return Picture(PictureFile(Path(entry.file), path), entry.sha256, path)

    def require_all(self) -> None:
        """Raise `BenchError` when a picture is not ok: how many are not, the first paths, the folders looked in."""
        if self.problems:
            raise BenchError(f"{self.complaint()}; mend that, or go on without with --on-missing-image skip-edit")

    def complaint(self) -> str:
        """What is wrong with the pictures, in one line; empty when nothing is."""
        said = {
            "missing": "missing",
            "broken": "no picture that can be read",
            "refused": "outside the image root",
        }
        parts: list[str] = []
        for status, words in said.items():
            found = [entry for entry in self.problems if entry.status == status]
            if not found:
                continue
            more = f" and {len(found) - _FIRST:,} more" if len(found) > _FIRST else ""
            if status == "missing":
                named = ", ".join(entry.path for entry in found[:_FIRST])
                named += f"{more}; the first was looked for in {', '.join(found[0].looked_in)}"
            else:
                named = "; ".join(entry.problem or entry.path for entry in found[:_FIRST]) + more
            verb = "is" if len(found) == 1 else "are"
            parts.append(f"{len(found):,} of {len(self.entries):,} pictures {verb} {words}: {named}")
        return "; ".join(parts)

    def lines(self) -> bytes:
        """JSON lines for `pictures.jsonl`, sorted by path, without what is not known."""
        rows = (
            {key: value for key, value in asdict(entry).items() if value not in (None, ())} for entry in self.entries
        )
        return "".join(canonical_json(row) + "\n" for row in sorted(rows, key=lambda row: str(row["path"]))).encode()


def read_manifest(file: Path) -> Manifest:
    """Read what `Manifest.lines` wrote. Raises `BenchError` for a file that holds something else."""
    from pydantic import TypeAdapter, ValidationError

    entry = TypeAdapter(Entry)
    try:
        return Manifest(tuple(entry.validate_json(line) for line in file.read_bytes().splitlines()))
    except (OSError, ValidationError) as error:
        raise BenchError(f"{file} is no manifest of pictures ({str(error).splitlines()[0]}); build again") from error
