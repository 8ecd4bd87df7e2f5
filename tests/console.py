"""The installed console script in a process of its own, and the main job, which runs once and is read by many tests."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

SCRIPT = Path(sysconfig.get_path("scripts")) / "liveedit-bench"
ROOT = Path(__file__).resolve().parents[1]
STEPS = 1000


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines on stderr that are no progress."""
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


def liveedit_bench(*words: str | Path, before: Callable[[], None] | None = None, **environment: str) -> Finished:
    """Give a command and wait for it. `before` is called in the new process, in front of the command."""
    done = subprocess.run(
        [str(SCRIPT), *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        preexec_fn=before,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class MainJob:
    """The folder of the main job and what it cost.

    wall: seconds from the command to its end. own: processor seconds of its process. foreign: the share of the machine
    that others took meanwhile.
    """

    folder: Path
    finished: Finished
    wall: float
    own: float
    foreign: float

    @cached_property
    def result(self) -> dict[str, Any]:
        """`result.json`."""
        return json.loads((self.folder / "result.json").read_text(encoding="utf-8"))

    def __str__(self) -> str:
        return f"{self.wall:.0f} s wall, {self.own:.0f} s processor, others took {self.foreign:.0%} of the machine"


def run_main_job(out: Path) -> MainJob:
    """`liveedit-bench run --editor liveedit --steps 1000`, as a user gives it."""
    before, busy, began = os.times(), _busy_seconds(), time.perf_counter()
    finished = liveedit_bench("run", "--editor", "liveedit", "--steps", str(STEPS), "--out", out)
    wall, after = time.perf_counter() - began, os.times()
    own = after.children_user + after.children_system - before.children_user - before.children_system
    others = max(0.0, _busy_seconds() - busy - own)
    return MainJob(out, finished, wall, own, others / (wall * (os.cpu_count() or 1)))


def _busy_seconds() -> float:
    """Seconds that all processors together have not been idle, time taken by the host included; 0 where unknown."""
    try:
        words = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    except OSError:
        return 0.0
    user, nice, system, _idle, _wait, interrupts, soft, stolen = (int(word) for word in words[1:9])
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")
