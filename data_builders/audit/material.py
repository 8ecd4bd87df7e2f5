"""What the checks look at: the edits, the training edits, and which pictures are one and the same."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ...benchmark.edits import Edit, Picture


@dataclass(frozen=True)
class Material:
    """What is audited. `train` is None when nobody named a training stream.

    `pixels` gives the digest of a picture's pixels for the digest of its file, as far as a manifest tells.
    """

    edits: Sequence[Edit]
    train: Sequence[Edit] | None = None
    pixels: Mapping[str, str] | None = None

    @cached_property
    def pictures(self) -> Pictures:
        """Which pictures are the same, in both streams."""
        return Pictures(
            (picture for edit in (*self.edits, *(self.train or ())) for picture in pictures_of(edit)), self.pixels or {}
        )


def pictures_of(edit: Edit) -> Iterator[Picture]:
    """The picture of the edit and those of its probes."""
    return (picture for _, picture in shown(edit))


def shown(edit: Edit) -> Iterator[tuple[int | None, Picture]]:
    """The picture of the edit (None) and those of its probes, with the index of the probe."""
    if edit.image is not None:
        yield None, edit.image
    yield from ((index, probe.image) for index, probe in enumerate(edit.probes) if probe.image is not None)


class Pictures:
    """Which pictures are one and the same: those of the same file bytes, of the same pixels, or of the same path.

    A path counts unless it stands for files that differ (two data sets may both have a ``1.jpg``): then bytes decide.
    """

    def __init__(self, pictures: Iterable[Picture], pixels: Mapping[str, str]) -> None:
        known = {(_path(picture), picture.sha256): picture.missing for picture in pictures}
        self._pixels = pixels
        self._parent: dict[str, str] = {}
        for _, sha256 in known:
            if sha256 in pixels:
                self._join(f"file {sha256}", f"pixels {pixels[sha256]}")
        files: dict[str, set[str]] = {}
        for (path, sha256), missing in known.items():
            if path is not None and not missing:
                files.setdefault(path, set()).add(self._root(f"file {sha256}"))
        self.ambiguous = sorted(path for path, roots in files.items() if len(roots) > 1)
        """Paths that stand for more than one file."""
        self.missing = sorted({path or sha256 for (path, sha256), missing in known.items() if missing})
        """Paths of the pictures that are missing."""
        unclear = set(self.ambiguous)
        for path, sha256 in known:
            if path is not None and path not in unclear:
                self._join(f"file {sha256}", f"path {path}")

    def __getitem__(self, picture: Picture) -> str:
        """The same text for every picture that is the same."""
        return self._root(f"file {picture.sha256}")

    def by(self, way: str, picture: Picture) -> str | None:
        """A picture's ``path``, the digest of its ``file`` or of its ``pixels``; None where it has none."""
        if way == "path":
            return _path(picture)
        if picture.missing:
            return None
        return picture.sha256 if way == "file" else self._pixels.get(picture.sha256)

    def _root(self, name: str) -> str:
        while (parent := self._parent.get(name, name)) != name:
            self._parent[name] = name = self._parent.get(parent, parent)  # halves the way for whoever comes next
        return name

    def _join(self, one: str, other: str) -> None:
        one, other = self._root(one), self._root(other)
        if one != other:
            self._parent[max(one, other)] = min(one, other)


def _path(picture: Picture) -> str | None:
    return None if picture.path is None else posixpath.normpath(picture.path.replace("\\", "/"))
