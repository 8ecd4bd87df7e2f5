"""Weights & Biases. ``WANDB_MODE``, ``WANDB_PROJECT``, ``WANDB_ENTITY`` and ``wandb login`` count as everywhere."""

from __future__ import annotations

import importlib
import os
from typing import Any

from .tracker import PROJECT, Numbers, TrackedRun


class Wandb:
    """One wandb run per run folder; nothing of the console, the code or the repository is sent."""

    def begin(self, run: TrackedRun) -> None:
        """Begin, or go on with the run of that id."""
        wandb: Any = importlib.import_module("wandb")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=run.id,
            name=run.name,
            config=dict(run.config),
            resume="allow",
            settings=wandb.Settings(console="off", silent=True, disable_git=True, save_code=False),
        )

    def point(self, step: int, numbers: Numbers) -> None:
        """One line of the run's history."""
        self._run.log(dict(numbers), step=step)

    def end(self, summary: Numbers | None) -> None:
        """Put the headlines into the summary and close the run, as failed when it was interrupted."""
        for name, value in (summary or {}).items():
            self._run.summary[name] = value
        self._run.finish(exit_code=1 if summary is None else 0)


TRACKER = Wandb
