"""The datasets that are built from a user's own annotation files, by name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from ..benchmark.plugins import ANNOTATED, names, near
from ..errors import BenchError

if TYPE_CHECKING:
    from .card import Card
    from .choices import Choices
    from .notes import Built


class AnnotatedSource(Protocol):
    """A module of `ANNOTATED`."""

    CARD: Card

    def build(self, annotations: Path, choices: Choices, /) -> Built:
        """The stream of one annotation file. Raises `BenchError` for what a user can mend; writes nothing."""
        ...


def find_source(name: str) -> AnnotatedSource:
    """The module of an annotated dataset. Raises `BenchError` with near names when there is none."""
    if name in ANNOTATED:
        return cast("AnnotatedSource", import_module(ANNOTATED[name]))
    if name in names("datasets"):
        raise BenchError(f"{name} is generated and has no annotations; known with annotations: {', '.join(ANNOTATED)}")
    raise BenchError(f"no dataset is called {name!r}{near(name, ANNOTATED)}; known: {', '.join(ANNOTATED)}")
