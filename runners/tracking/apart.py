"""A tracker in a process of its own: it can neither hang the run or its exit, nor draw from its random numbers.

The child is ``python -m liveedit_bench.runners.tracking.apart MODULE``; it takes one JSON line per call on stdin and
answers each with one JSON line, null or what went wrong. It ends when its stdin does, and so with the run.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from .tracker import Numbers, TrackedRun, Tracker

PATIENCE = 30.0
"""Seconds that a tracker is waited for, each time; a cloud's answer may take some."""
LEAVE = 5.0
"""Seconds that it has to end by itself after it was told of the end."""


class TrackerError(Exception):
    """What a tracker could not do, in one line."""


class Apart:
    """A `Tracker` whose calls another process carries out. Raises `TrackerError` for one that fails or takes too long.

    module: has the class as `TRACKER`.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, run: TrackedRun) -> None:
        """Start the process and begin."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is the run's
        )
        self._call("begin", {**asdict(run), "folder": str(run.folder)})

    def point(self, step: int, numbers: Numbers) -> None:
        """One point of the curve."""
        self._call("point", step, dict(numbers))

    def end(self, summary: Numbers | None) -> None:
        """Tell of the end, and let the process end."""
        self._call("end", None if summary is None else dict(summary))
        self._stop(LEAVE)

    def _call(self, name: str, *given: Any) -> None:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise TrackerError("it has not begun")
        try:
            process.stdin.write(json.dumps([name, *given], default=str).encode() + b"\n")
            process.stdin.flush()
            if not select.select([process.stdout], [], [], PATIENCE)[0]:
                raise TrackerError(f"no answer within {PATIENCE:g} s")
            answer = process.stdout.readline()
            problem = json.loads(answer) if answer else "its process ended"
        except (OSError, ValueError) as error:
            problem = f"its process ended ({type(error).__name__})"
        except BaseException:
            self._stop(0)
            raise
        if problem is not None:
            self._stop(0)
            raise TrackerError(problem)

    def _stop(self, seconds: float) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def serve(module: str, calls: IO[bytes], answers: IO[bytes]) -> None:
    """Carry out the calls of one tracker until there are no more."""
    tracker: Tracker | None = None
    for line in calls:
        name, *given = json.loads(line)
        problem: str | None = None
        try:
            tracker = tracker or importlib.import_module(module).TRACKER()
            if name == "begin":
                about: dict[str, Any] = given[0]
                given = [TrackedRun(about["id"], about["name"], about["config"], Path(about["folder"]))]
            getattr(tracker, name)(*given)
        except BaseException as error:  # SystemExit too: the answer is waited for
            problem = f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
        answers.write(json.dumps(problem).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    # A tracker may read and print what it likes: calls and answers have pipes that it does not know.
    calls, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    serve(sys.argv[1], calls, answers)
    sys.stderr.flush()
    os._exit(0)  # no exit hook may wait
