"""Tells trackers how a run goes; one that fails is left alone, and the run goes on. `apart` keeps the rest from it."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ...benchmark.editor import Editor
from ...benchmark.edits import Normalisation
from ..folder import RunFolder
from ..journal import Journal
from ..randomness import undisturbed
from .numbers import cost_numbers, point_numbers, summary_numbers
from .tracker import TrackedRun, Tracker


@dataclass
class Following:
    """The trackers that still work. One that fails once is left alone from then on; the run goes on without it."""

    trackers: dict[str, Tracker]
    protocol: str
    normalisation: Normalisation
    editor: Editor
    journal: Journal

    def begin(self, run: TrackedRun) -> None:
        """Tell what is run."""
        self._tell("begin", lambda tracker: tracker.begin(run))

    def point(self, step: int, table: pd.DataFrame) -> None:
        """Tell the point of the curve whose rows these are."""

        def tell(tracker: Tracker) -> None:
            numbers = point_numbers(table, self.protocol, self.normalisation)
            tracker.point(step, {**numbers, **cost_numbers(self.journal, self.editor)})

        self._tell("take a point", tell)

    def end(self, result: Mapping[str, Any] | None) -> None:
        """Tell the headlines of a finished run, or that it was interrupted."""
        self._tell("end", lambda tracker: tracker.end(None if result is None else summary_numbers(result)))

    def _tell(self, what: str, call: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self.trackers.items()):
            try:
                with undisturbed():
                    call(tracker)
            except Exception as error:
                del self.trackers[name]
                problem = " ".join(str(error).split()) or type(error).__name__
                print(f"warning: {name} could not {what} ({problem}); the run goes on without it", file=sys.stderr)


@contextmanager
def followed(
    trackers: Mapping[str, Tracker],
    folder: RunFolder,
    journal: Journal,
    *,
    spec: Mapping[str, Any],
    normalisation: Normalisation,
    editor: Editor,
) -> Generator[Following]:
    """Trackers that are told when the run begins and, should it break off, that it did."""
    following = Following(dict(trackers), spec["protocol"], normalisation, editor, journal)
    if trackers:
        name = folder.path.resolve().name
        following.begin(TrackedRun(_id(folder), name, {**spec, "run": name}, folder.path.resolve()))
    try:
        yield following
    except BaseException:
        following.end(None)
        raise


def _id(folder: RunFolder) -> str:
    """What a run is known by: drawn once, kept beside what it writes."""
    try:
        return str(json.loads(folder.tracking.read_text(encoding="utf-8"))["id"])
    except (OSError, ValueError, KeyError, TypeError):
        drawn = uuid.uuid4().hex  # from the operating system: no random state of the run is touched
        folder.write(folder.tracking, json.dumps({"id": drawn}).encode() + b"\n")
        return drawn
