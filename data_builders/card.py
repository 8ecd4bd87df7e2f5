"""What is known about a source of annotations: its files, licence, citation and the prompts of the paper protocol."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from .texts import Role

WIDTH = 100


@dataclass(frozen=True, kw_only=True)
class KnownFile:
    """One annotation file as it is distributed.

    Attributes:
        split: what streams built of it are called.
        records: how many it holds; None where we have not counted them.
        sha256: of the file; None where no copy could be hashed.
        what: in a few words.
        names: the file names it goes by.
    """

    split: str
    records: int | None
    what: str
    sha256: str | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Card:
    """A source of annotations: everything a reader wants to know before building, on one screen.

    Attributes:
        image_roots: folders below ``--images`` that annotations leave out, or that releases add.
        suffixes: what the paper's code appends to a question, by role; used by the recipe ``paper`` only.
        notes: what readers of results must know.
    """

    name: str
    title: str
    licence: str
    citation: str
    url: str
    files: tuple[KnownFile, ...]
    image_roots: tuple[str, ...] = ()
    suffixes: Mapping[Role, str] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()

    def plain(self) -> dict[str, object]:
        """For JSON."""
        files = [{**vars(file), "names": list(file.names)} for file in self.files]
        lists = {"image_roots": list(self.image_roots), "notes": list(self.notes)}
        return {**vars(self), "files": files, "suffixes": dict(self.suffixes), **lists}

    def text(self) -> str:
        """The card for a terminal of 100 columns, at most 40 lines."""
        lines = [f"{self.name}: {self.title}", self.url, ""]
        lines += _wrapped("licence", self.licence) + _wrapped("citation", self.citation)
        lines += ["", *self._files()]
        roots = ", ".join("the folder itself" if root in ("", ".") else root for root in self.image_roots)
        lines += _wrapped("pictures", f"looked for below --images in: {roots or 'the folder itself'}")
        appended = ", ".join(f"{role.replace('_', ' ')} {suffix!r}" for role, suffix in self.suffixes.items())
        lines += _wrapped("paper", f"appended to questions: {appended or 'nothing'}")
        lines += [line for note in self.notes for line in _wrapped("note", note)]
        return "\n".join(lines)

    def _files(self) -> list[str]:
        lines: list[str] = []
        for file in self.files:
            count = "not counted" if file.records is None else f"{file.records:,} records"
            lines += _wrapped("file", f"{file.split}: {count}, {file.what}{_named(file.names)}")
            lines += _wrapped("", f"sha256 {file.sha256}") if file.sha256 else []
        if self.files and not any(file.sha256 for file in self.files):
            lines += _wrapped("sha256", "of no file is known: counts are compared, and a difference is a warning")
        return [*lines, ""] if lines else []


def _named(names: tuple[str, ...]) -> str:
    return f" ({', '.join(names)})" if names else ""


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=f"{label:<10}", subsequent_indent=" " * 10, break_long_words=False)
