"""What follows a run, and which followers there are."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast, get_args

from ...errors import BenchError

TrackerName = Literal["wandb", "trackio", "tensorboard"]
"""The files of this folder by these names each hold one `Tracker`; so are the extras of the package called."""
TRACKERS = cast("tuple[TrackerName, ...]", get_args(TrackerName))
PROJECT = "liveedit-bench"

Numbers = Mapping[str, float]
"""``reliability/free_running`` and the like."""


@dataclass(frozen=True)
class TrackedRun:
    """What is followed.

    id: the same when an interrupted run goes on, another one after ``--fresh``. name: of the run folder. config: what
    was asked for. folder: where a tracker that writes files may put them.
    """

    id: str
    name: str
    config: Mapping[str, Any]
    folder: Path


class Tracker(Protocol):
    """May raise, hang or print whatever it likes: it is called in a process of its own (`apart`)."""

    def begin(self, run: TrackedRun) -> None:
        """Begin, or go on with the run of that id."""
        ...

    def point(self, step: int, numbers: Numbers) -> None:
        """One point of the curve. step: edits applied, or the size of the blocks."""
        ...

    def end(self, summary: Numbers | None) -> None:
        """The run is over. summary: its headlines, None when it was interrupted."""
        ...


def load_trackers(names: Sequence[str]) -> dict[str, Tracker]:
    """The trackers of these names. Raises `BenchError` for an unknown one and for one that is not installed."""
    from .apart import Apart  # which needs the names of this file

    found: dict[str, Tracker] = {}
    for name in names:
        if name not in TRACKERS:
            raise BenchError(f"--track {name} is unknown; there are {', '.join(TRACKERS)}")
        if importlib.util.find_spec(name) is None:
            raise BenchError(f"--track {name} needs the package {name}: pip install 'liveedit-bench[{name}]'")
        found[name] = Apart(f"{__package__}.{name}")
    return found
