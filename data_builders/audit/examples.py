"""Example edits of a finding, with small pictures.

Nobody chooses them: the hash of the edit does, and edits that belong together stay together.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from PIL.Image import Image, Resampling

from ...benchmark.edits import Edit, Picture, sha256_text
from ...errors import BenchError
from .finding import Finding, Record
from .material import Material

MOST: Final = 6
"""Cards of a finding."""
_MOST_OF_A_GROUP: Final = 3
_LARGEST: Final = 160  # pixels of the longer side
_SMALL: Final = 96  # up to here PNG keeps every pixel of a drawing; photographs become JPEG


@dataclass(frozen=True)
class Shot:
    """A picture of a card. `uri` is None when it cannot be shown; `says` then tells why."""

    caption: str
    uri: str | None
    says: str = ""


@dataclass(frozen=True)
class Card:
    """One edit of a finding, and the probe or the training edit that it meets."""

    position: int
    why: str
    shots: tuple[Shot, ...]
    prompt: str
    old: str
    target: str
    asked: str | None
    expected: str | None
    train: tuple[int, str, str] | None  # position, prompt, target


@dataclass(frozen=True)
class Gallery:
    """Cards in groups (of one card each where a finding has no groups), and how many edits there are in all."""

    groups: tuple[tuple[Card, ...], ...]
    edits: int

    @property
    def cards(self) -> int:
        """How many cards there are."""
        return sum(map(len, self.groups))


class Thumbnails:
    """Pictures as data URIs, each made once."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[str | None, str]] = {}

    def shot(self, picture: Picture, caption: str) -> Shot:
        """The picture, or why there is none to be seen."""
        if picture.sha256 not in self._made:
            self._made[picture.sha256] = _thumbnail(picture)
        return Shot(caption, *self._made[picture.sha256])


def gallery(finding: Finding, given: Material, thumbnails: Thumbnails) -> Gallery:
    """At most `MOST` cards of a finding."""
    groups = tuple(
        tuple(_card(record, given, thumbnails) for record in group) for group in _chosen(finding, given.edits)
    )
    return Gallery(groups, len({record.position for record in finding.records}))


def _chosen(finding: Finding, edits: Sequence[Edit]) -> Iterator[list[Record]]:
    by_position = {record.position: record for record in finding.records}
    groups = finding.groups or tuple((position,) for position in by_position)
    room = MOST
    for group in sorted(groups, key=lambda group: sha256_text(f"{finding.name} {group[0]} {edits[group[0]].id}")):
        shown = [by_position[position] for position in group[:_MOST_OF_A_GROUP]]
        if len(shown) > room:
            return
        room -= len(shown)
        yield shown


def _card(record: Record, given: Material, thumbnails: Thumbnails) -> Card:
    edit = given.edits[record.position]
    probe = None if record.probe is None else edit.probes[record.probe]
    met = None if record.train is None or given.train is None else given.train[record.train]
    asked = None if probe is None else probe.image
    shots = list[Shot]()
    if edit.image is not None:
        same = asked is not None and given.pictures[asked] == given.pictures[edit.image]
        shots.append(thumbnails.shot(edit.image, "edited and asked" if same else "edited"))
        if same:
            asked = None
    if asked is not None:
        shots.append(thumbnails.shot(asked, "asked"))
    elif met is not None and met.image is not None and probe is None:
        shots.append(thumbnails.shot(met.image, f"train #{record.train}"))
    return Card(
        position=record.position,
        why=record.why,
        shots=tuple(shots),
        prompt=edit.prompt,
        old=edit.facts.old,
        target=edit.target,
        asked=None if probe is None else probe.prompt,
        expected=None if probe is None else probe.target,
        train=None if met is None or record.train is None else (record.train, met.prompt, met.target),
    )


def _thumbnail(picture: Picture) -> tuple[str | None, str]:
    name = picture.path or ""
    if picture.missing:
        return None, f"missing: {name}"
    try:
        image = picture.open()
    except (BenchError, OSError, ValueError):
        return None, f"cannot be read: {name}"
    kind = "PNG" if max(image.size) <= _SMALL else "JPEG"
    if max(image.size) > _LARGEST:
        image.thumbnail((_LARGEST, _LARGEST), Resampling.LANCZOS)
    return _uri(image, kind), ""


def _uri(image: Image, kind: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, optimize=True, quality=82)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
