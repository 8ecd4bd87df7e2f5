"""Tells trackers how a run goes, and keeps from the run whatever they do: raise, hang, print or draw random numbers."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from threading import Thread
from typing import Any

import pandas as pd

from ...benchmark.editor import Editor
from ...benchmark.edits import Normalisation
from ..folder import RunFolder
from ..journal import Journal
from ..randomness import undisturbed
from .numbers import cost_numbers, point_numbers, summary_numbers
from .tracker import TrackedRun, Tracker

PATIENCE = 30.0
"""Seconds that a tracker is waited for, each time; a cloud's answer may take some."""


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

        def numbers() -> Mapping[str, float]:
            found = point_numbers(table, self.protocol, self.normalisation)
            return {**found, **cost_numbers(self.journal, self.editor)}

        if self.trackers:
            known = numbers()
            self._tell("take a point", lambda tracker: tracker.point(step, known))

    def end(self, result: Mapping[str, Any] | None) -> None:
        """Tell the headlines of a finished run, or that it was interrupted."""
        known = None if result is None else summary_numbers(result)
        self._tell("end", lambda tracker: tracker.end(known))

    def _tell(self, what: str, call: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self.trackers.items()):
            problem = _attempt(lambda tracker=tracker: call(tracker), PATIENCE)
            if problem is not None:
                del self.trackers[name]
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


def _attempt(call: Callable[[], None], seconds: float) -> str | None:
    """What went wrong in one line, None for nothing. A call that takes longer is left behind."""
    outcome: list[BaseException | None] = []

    def work() -> None:
        try:
            call()
        except BaseException as error:  # even SystemExit: a tracker's is not the run's
            outcome.append(error)
        else:
            outcome.append(None)

    thread = Thread(target=work, daemon=True)
    # What a run prints on stdout is for whoever reads it, not for a tracker's greetings.
    with undisturbed(), redirect_stdout(sys.stderr):
        thread.start()
        thread.join(seconds)
    if not outcome:
        return f"no answer within {seconds:g} s"
    error = outcome[0]
    return None if error is None else f"{type(error).__name__}: {_one_line(error)}"


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:197] + "..."
