"""LiveEdit that keeps count: every edit and every question it is given becomes a line of the file that COUNTED names.

What a killed run repeats is seen from the editor's side, through the same door as any other editor:
``liveedit-bench run --editor perf/counted.py:Counted``.
"""

import json
import os

from torch import Tensor

from liveedit_bench.benchmark.backbone import Batch
from liveedit_bench.benchmark.editor import EditRequest
from liveedit_bench.benchmark.editors.liveedit import LiveEdit


class Counted(LiveEdit):
    """The same answers, and a log."""

    def edit(self, request: EditRequest) -> None:
        """Note the number of the edit, then apply it."""
        _note(edit=len(self.repository))
        super().edit(request)

    def logits(self, batch: Batch) -> Tensor:
        """Note after how many edits these questions are asked, then answer."""
        _note(asked=len(batch), step=len(self.repository))
        return super().logits(batch)


def _note(**line: int) -> None:
    with open(os.environ["COUNTED"], "a") as file:
        file.write(json.dumps(line) + "\n")
