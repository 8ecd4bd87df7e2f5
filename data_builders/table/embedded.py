"""Pictures whose bytes stand in the table: each distinct one is decoded once before anything is built."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...benchmark.edits import Picture, missing_picture
from ...benchmark.pictures import decode, pixels_sha256
from ...errors import BenchError
from ..manifest import Entry
from .rows import Embedded

if TYPE_CHECKING:
    from PIL.Image import Image

_AHEAD = 16  # pictures per worker whose bytes are in memory at a time


@dataclass(frozen=True)
class Place:
    """Where a picture stands first."""

    row: int
    column: str

    def __str__(self) -> str:
        return f"row {self.row} column {self.column!r}"


@dataclass(frozen=True)
class _Cell:
    """Opens one picture of the table."""

    embedded: Embedded
    name: str

    def encoded(self) -> bytes:
        return self.embedded.read()

    def __call__(self) -> Image:
        return decode(self.encoded(), name=self.name).image


def check(cells: Mapping[str, tuple[Embedded, Place]], *, workers: int | None = None) -> dict[str, Entry]:
    """Decode every picture, and say what was found: sha256 -> an entry for the manifest.

    Args:
        cells: sha256 -> the picture and its first place.
        workers: threads; by default as many as there are processors, at most 8.
    """
    workers = workers or min(8, os.cpu_count() or 1)
    found: dict[str, Entry] = {}
    with ThreadPoolExecutor(workers) as pool:
        todo = list(cells.items())
        for at in range(0, len(todo), _AHEAD * workers):
            # Tables are read by this thread alone; only decoding is shared out.
            batch = [(sha, str(place), cell.read()) for sha, (cell, place) in todo[at : at + _AHEAD * workers]]
            found.update(pool.map(_look, batch))
    return found


def picture(embedded: Embedded, entry: Entry) -> Picture:
    """What an edit holds of it; one that does not decode is a missing picture, named by its place."""
    if entry.status != "ok":
        return missing_picture(entry.path)
    return Picture(_Cell(embedded, entry.path), embedded.sha256)


def broken(entries: Iterable[Entry]) -> list[Entry]:
    """Those that do not decode."""
    return [entry for entry in entries if entry.status != "ok"]


def _look(item: tuple[str, str, bytes]) -> tuple[str, Entry]:
    sha, place, data = item
    entry = Entry(place, "ok", sha256=sha, bytes=len(data))
    try:
        decoded = decode(data, name=place)
    except BenchError as error:
        return sha, replace(entry, status="broken", problem=str(error))
    size = decoded.image.size
    return sha, replace(
        entry,
        pixels_sha256=pixels_sha256(decoded.image),
        width=size[0],
        height=size[1],
        format=decoded.format,
        mode=decoded.mode,
    )
