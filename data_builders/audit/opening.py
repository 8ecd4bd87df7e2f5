"""The stream that a command line names: a stored one with what its builder left beside it, or a generated one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ...benchmark.edits import EditStream
from ...errors import BenchError

USUAL_EDITS = 1000


@dataclass(frozen=True)
class Opened:
    """A stream.

    pixels: file digest -> pixel digest of its pictures, as far as its manifest has them.
    notes: what its builder said.
    """

    stream: EditStream
    pixels: Mapping[str, str]
    notes: tuple[str, ...] = ()


def open_stream(
    name: str, *, edits: int | None = None, seed: int = 0, split: str | None = None, usual_split: str
) -> Opened:
    """Open a stored stream whole, in its order, or build one.

    Args:
        name: a folder, or the name of a dataset.
        edits: the first so many; None: all of a stored stream, 1,000 of a generated one.
        seed: of a generated one.
        split: None: `usual_split` of a generated stream, a stored one's own.
        usual_split: see there.

    Raises:
        BenchError: There is no such stream, or it holds fewer edits.
    """
    from ...benchmark.plugins import find_dataset, names

    if ":" not in name and name not in names("datasets") and Path(name).is_dir():
        return _stored(Path(name), edits, split)
    dataset, split = find_dataset(name), split or usual_split
    most = None if dataset.capacity is None else dataset.capacity(split)
    wanted = min(USUAL_EDITS, most or USUAL_EDITS) if edits is None else edits
    _check(wanted, most, split)
    return Opened(dataset.build(wanted, seed=seed, split=split), {})


def _stored(folder: Path, edits: int | None, split: str | None) -> Opened:
    stream = EditStream.load(folder)
    if split not in (None, stream.source.split):
        raise BenchError(f"{folder} holds the split {stream.source.split!r}, not {split!r}; leave --split out")
    if edits is not None:
        _check(edits, len(stream), stream.source.split)
        stream = stream[:edits]
    return Opened(stream, _pixels(folder / "pictures.jsonl"), _skipped(folder / "build.json"))


def _check(edits: int, most: int | None, split: str) -> None:
    if edits < 1 or (most is not None and edits > most):
        raise BenchError(f"--edits {edits} cannot be audited; {split} holds from 1 to {most or 'any number'}")


def _pixels(manifest: Path) -> dict[str, str]:
    from ..manifest import read_manifest

    if not manifest.is_file():
        return {}
    entries = read_manifest(manifest).entries
    return {
        entry.sha256: entry.pixels_sha256
        for entry in entries
        if entry.sha256 is not None and entry.pixels_sha256 is not None
    }


def _skipped(notes: Path) -> tuple[str, ...]:
    """The records that became no edit, by reason."""
    try:
        skipped = cast("dict[str, Any]", json.loads(notes.read_text(encoding="utf-8"))).get("skipped", {})
        parts = [f"{reason} ({int(count):,})" for reason, count in skipped.items()]
        many = sum(int(count) for count in skipped.values())
    except (OSError, ValueError, TypeError, AttributeError):  # a stream without such notes, or with other ones
        return ()
    return (f"{many:,} records became no edit: {', '.join(parts)}; records.jsonl lists them",) if many else ()
