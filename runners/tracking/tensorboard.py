"""TensorBoard: event files in ``tensorboard/`` inside the run folder (``tensorboard --logdir runs``)."""

from __future__ import annotations

import json
from typing import Any

from .tracker import Numbers, TrackedRun


class TensorBoard:
    """Scalars by their names; what was asked for stands among the texts."""

    def begin(self, run: TrackedRun) -> None:
        """One more event file; TensorBoard reads all of a folder as one run."""
        from torch.utils.tensorboard import SummaryWriter

        self._last = 0
        self._writer: Any = SummaryWriter(str(run.folder / "tensorboard"))
        self._writer.add_text("run", "```json\n" + json.dumps(dict(run.config), indent=2, default=str) + "\n```")
        self._writer.flush()

    def point(self, step: int, numbers: Numbers) -> None:
        """One value of each curve, on disk at once."""
        self._last = step
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def end(self, summary: Numbers | None) -> None:
        """The headlines under ``result/``, at the last step."""
        for name, value in (summary or {}).items():
            self._writer.add_scalar(f"result/{name}", value, self._last)
        self._writer.close()


TRACKER = TensorBoard
