"""Trackio: a local database, or a Hugging Face Space when ``TRACKIO_SPACE_ID`` names one."""

from __future__ import annotations

import importlib
import os
from typing import Any

from .tracker import PROJECT, Numbers, TrackedRun


class Trackio:
    """One trackio run per run folder. A run is known by its name there, so that its id is part of it."""

    def begin(self, run: TrackedRun) -> None:
        """Begin, or go on with the run of that id."""
        trackio: Any = importlib.import_module("trackio")
        self._run = trackio.init(
            project=os.environ.get("TRACKIO_PROJECT", PROJECT),
            name=f"{run.name}-{run.id[:8]}",
            config=dict(run.config),
            resume="allow",
            embed=False,
            auto_log_cpu=False,
            auto_log_gpu=False,
        )

    def point(self, step: int, numbers: Numbers) -> None:
        """One line of the run's history."""
        self._run.log(dict(numbers), step=step)

    def end(self, summary: Numbers | None) -> None:
        """Log the headlines under ``result/`` and close the run."""
        if summary:
            self._run.log({f"result/{name}": value for name, value in summary.items()})
        self._run.finish()


TRACKER = Trackio
