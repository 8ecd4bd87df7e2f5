"""What a check is, and how it may end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .subject import Subject

Verdict = Literal["passed", "failed", "exempt", "not reached"]


class Fault(Exception):
    """A promise that the editor breaks, in one line."""


@dataclass(frozen=True)
class Check:
    """One promise of the contract.

    promise: what the editor must do, in one line.
    test: raises `Fault` (or whatever the editor raises); may return a few words on what was seen.
    needs: checks without which this one says nothing.
    exemptible: whether a method may declare that it fails by how it is built (`Editor.exempt`).
    """

    name: str
    promise: str
    test: Callable[[Subject], str | None]
    needs: tuple[str, ...] = ("effect",)
    exemptible: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a check ended. why: the fault, the reason of an exemption, or what was seen."""

    check: str
    promise: str
    verdict: Verdict
    why: str
    seconds: float
    error: Exception | None = None


def one_line(error: BaseException) -> str:
    """What went wrong, as one line; the words of a fault stand for themselves."""
    from ...errors import BenchError

    text = " ".join(str(error).split())
    return text if isinstance(error, Fault | BenchError) else f"{type(error).__name__}: {text}".rstrip(": ")
