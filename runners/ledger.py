"""What is right after t edits: the base world with edits 1..t applied.

The world moves whether or not an editor managed an edit, so failed edits count here like all others.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from ..benchmark.edits import LOCALITY_KINDS, Edit, Probe


class Ledger:
    """Answers `expected` for every probe of a stream at every step.

    An edit overrides one fact (`Facts.key`) and never the rule behind it: other facts of the thing, and the same
    attribute of other things, stay as they are.
    """

    def __init__(self, edits: Sequence[Edit]) -> None:
        self._edits = edits
        self._writers: dict[str, list[int]] = {}
        for position, edit in enumerate(edits):
            self._writers.setdefault(edit.facts.key, []).append(position)

    def touched(self, key: str) -> bool:
        """Does any edit anywhere in the stream override this fact?"""
        return key in self._writers

    def newest(self, key: str, step: int) -> int | None:
        """Position of the last of the first `step` edits that overrides a fact; None when none does."""
        writers = self._writers.get(key, [])
        before = bisect_left(writers, step)
        return writers[before - 1] if before else None

    def expected(self, position: int, probe: Probe, step: int) -> str | None:
        """The right answer to a probe of the edit at `position` once `step` edits are applied.

        None: the answer rests on a fact that another edit has overridden meanwhile, and nobody knows it any more.
        A question for the edited fact itself never expires: it expects the newest target.
        """
        newest = self.newest(probe.fact, step)
        superseded = newest is not None and newest != position
        asks_edited_fact = probe.fact == self._edits[position].facts.key and probe.kind not in LOCALITY_KINDS
        if superseded and not asks_edited_fact:
            return None
        for key in probe.facts_used:
            if key != probe.fact and self.newest(key, step) not in (None, position):
                return None
        return self._edits[newest].target if superseded and newest is not None else probe.target
