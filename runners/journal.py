"""The journal of a run: one JSON line per thing done, on disk before the next thing begins."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from ..errors import BenchError

Event = dict[str, Any]


class Journal:
    """Append-only. A line that a crash tore in two is cut off when the file is opened.

    Every line carries `at`, the seconds since this process opened the journal, so that the time of a run is
    the sum over its processes even when the last one was killed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._began = time.perf_counter()
        self.events: list[Event] = _read_and_mend(path)
        self._named: dict[str, list[Event]] = {}
        for event in self.events:
            self._named.setdefault(event["event"], []).append(event)
        self._file = path.open("ab")

    def append(self, event: Event) -> None:
        """Write one line and wait until the disk has it."""
        line: Event = {**event, "at": round(time.perf_counter() - self._began, 3)}
        self._file.write(json.dumps(line, allow_nan=False, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.events.append(line)
        self._named.setdefault(line["event"], []).append(line)

    def of(self, name: str) -> Sequence[Event]:
        """The events of one name, in order."""
        return self._named.get(name, [])

    def last(self, name: str) -> Event | None:
        """The last event of a name."""
        return self.of(name)[-1] if self.of(name) else None

    def checkpoint(self, step: int) -> Event | None:
        """The line of a checkpoint, None while it has not been asked to its end."""
        return next((event for event in self.of("checkpoint") if event["step"] == step), None)

    def wall_seconds(self) -> float:
        """Seconds that all processes of the run have taken together."""
        total, before = 0.0, 0.0
        for event in self.events:
            at = float(event["at"])
            if at < before or event["event"] in ("begin", "resume"):
                total += before
            before = at
        return total + before

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _read_and_mend(path: Path) -> list[Event]:
    if not path.exists():
        return []
    content = path.read_bytes()
    lines = content.split(b"\n")
    torn = lines.pop()  # empty when the last line was written to its end
    events: list[Event] = []
    for number, line in enumerate(lines, start=1):
        event = _parse(line)
        if event is None:
            if number == len(lines) and not torn:
                torn = line + b"\n"
                break
            raise BenchError(f"{path} is damaged in line {number}; start over with --fresh")
        events.append(event)
    if torn:
        with path.open("r+b") as file:
            file.truncate(len(content) - len(torn))
            os.fsync(file.fileno())
    return events


def _parse(line: bytes) -> Event | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    event = cast("Event", value)
    return event if isinstance(event.get("event"), str) and isinstance(event.get("at"), int | float) else None
