"""Applying edits one after another, also when one of them fails or the process has died in between."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..benchmark.editor import Editor, EditRequest
from ..benchmark.edits import Edit
from ..errors import BenchError, EditError
from .folder import RunFolder
from .randomness import put_back, seed_everything, snapshot
from .state import load_state, save_state


@dataclass(frozen=True)
class Failure:
    """Why an edit could not be applied. `kind` is what `result.json` counts it under."""

    kind: str
    message: str


@dataclass(frozen=True)
class Applied:
    """One edit: how long it took, and the failure if it failed. crashed: the editor's state had to be put back."""

    seconds: float
    failure: Failure | None = None
    crashed: bool = False


class Applier:
    """Applies edits to one editor. A failed edit leaves neither state nor random draws behind."""

    def __init__(self, editor: Editor, edits: Sequence[Edit], folder: RunFolder, *, seed: int) -> None:
        self._editor, self._edits, self._folder, self._seed = editor, edits, folder, seed
        self.failed: set[int] = set()
        self.saved = 0
        """How many edits the state on disk stands for."""

    def start_at(self, position: int, failed: set[int]) -> None:
        """Bring the editor to where `position` edits had brought it, of which those in `failed` had failed."""
        self.failed = set(failed)
        self._restore(position)

    def apply(self, position: int) -> Applied:
        """Apply the edit at a position. Whatever the editor raises makes it a failed edit, and the run goes on."""
        before = snapshot()
        crashed = False
        failure: Failure | None = None
        began = time.perf_counter()
        try:
            self._edit(position)
        except EditError as error:
            failure = Failure(error.kind, _one_line(error))
        except Exception as error:
            crashed = True
            failure = Failure(type(error).__name__, _one_line(error))
        seconds = time.perf_counter() - began
        if failure is not None:
            self.failed.add(position)
            if crashed:  # it may have stopped half-way through its change
                self._restore(position)
            put_back(before)
        return Applied(seconds, failure, crashed)

    def save(self, position: int) -> None:
        """Write the editor's state as that of `position` edits."""
        save_state(self._folder, self._editor, position=position)
        self.saved = position

    def _edit(self, position: int) -> None:
        edit = self._edits[position]
        self._editor.edit(EditRequest(edit.image, edit.prompt, edit.target))
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    def _restore(self, position: int) -> None:
        """The last saved state with the edits since; edits that failed left nothing behind and are passed over."""
        if self._folder.state.exists():
            self.saved = load_state(self._folder, self._editor)
        else:
            self.saved = 0
            self._editor.reset()
            seed_everything(self._seed)
        if self.saved > position:
            raise BenchError(f"{self._folder.state} is ahead of the journal; start over with --fresh")
        for edit in range(self.saved, position):
            if edit in self.failed:
                continue
            try:
                self._edit(edit)
            except Exception as error:
                raise BenchError(
                    f"editor {self._editor.name!r} fails at position {edit} ({_one_line(error)}), where it succeeded "
                    "before: it is not reproducible, so the run cannot continue"
                ) from error


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:299] + "…"
