"""A number with its n and its interval, and how dataclasses of them become JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, cast, get_args

Scorer = Literal["teacher_forced", "free_running"]
SCORERS: tuple[Scorer, ...] = get_args(Scorer)
HEADLINE: Scorer = "free_running"


@dataclass(frozen=True)
class Estimate:
    """A mean over a stream.

    value: the mean. n: how many edits were averaged (for a number made of several means: the smallest n among them).
    ci95: 95 % interval "within stream" (`intervals`), None when fewer than two things were asked about.
    """

    value: float
    n: int
    ci95: tuple[float, float] | None = None


Metrics = Mapping[str, Mapping[str, Estimate]]
"""name of a probe kind or of a composite -> scorer -> estimate. What does not exist has no key."""


def plain(value: object) -> Any:
    """Dataclasses, mappings and sequences as dicts and lists for `json`; a field that is None is left out."""
    if is_dataclass(value) and not isinstance(value, type):
        named = {item.name: getattr(value, item.name) for item in fields(value)}
        return {name: plain(inner) for name, inner in named.items() if inner is not None}
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in cast("Mapping[object, object]", value).items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(inner) for inner in cast("Sequence[object]", value)]
    return value
