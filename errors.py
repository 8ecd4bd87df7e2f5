"""The one exception that reaches a user as a single line."""

from __future__ import annotations


class BenchError(Exception):
    """Something a user can mend: the message says what is wrong, why, and what to do about it.

    The command line prints it as one line and exits with status 2; everything else is a bug and
    keeps its traceback. Raise it with a complete sentence:

    >>> raise BenchError("--steps 0 asks for no edit; give a number from 1 to 13271")
    Traceback (most recent call last):
    ...
    liveedit_bench.errors.BenchError: --steps 0 asks for no edit; give a number from 1 to 13271
    """


class EditError(BenchError):
    """An editor could not apply one edit. The run goes on; the edit counts as failed.

    ``kind`` is the short name under which `result.json` counts it (``failures.kinds``).
    """

    def __init__(self, message: str, *, kind: str = "refused") -> None:
        super().__init__(message)
        self.kind = kind
