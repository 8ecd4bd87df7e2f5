"""What is right after t edits: the base world with edits 1..t applied.

The world moves whether or not an editor managed an edit, so failed edits count here like all others.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from ..benchmark.edits import LOCALITY_KINDS, Edit, Normalisation, Probe
from ..metrics.answers import normalise


class Ledger:
    """Answers `expected` for every probe of a stream at every step.

    An edit overrides one fact (`Facts.key`) and never the rule behind it: other facts of the thing, and the same
    attribute of other things, stay as they are. `normalisation` says when two targets are the same answer.
    """

    def __init__(self, edits: Sequence[Edit], *, normalisation: Normalisation = "exact") -> None:
        self._edits = edits
        self._writers: dict[str, list[int]] = {}
        for position, edit in enumerate(edits):
            self._writers.setdefault(edit.facts.key, []).append(position)
        self._overridden_by: dict[int, int] = {}
        for writers in self._writers.values():
            self._note_overrides(writers, [normalise(edits[position].target, normalisation) for position in writers])

    def touched(self, key: str) -> bool:
        """Does any edit anywhere in the stream override this fact?"""
        return key in self._writers

    def newest(self, key: str, step: int) -> int | None:
        """Position of the last of the first `step` edits that overrides a fact; None when none does."""
        writers = self._writers.get(key, [])
        before = bisect_left(writers, step)
        return writers[before - 1] if before else None

    def overridden(self, position: int, step: int) -> bool:
        """Has one of the first `step` edits given the fact of the edit at `position` another target since?

        A repeat (the same fact, the same target) changes nothing: both edits stand. Once overridden an edit stays so,
        also when a third edit brings its target back.
        """
        by = self._overridden_by.get(position)
        return by is not None and by < step

    def superseded(self, position: int, probe: Probe, step: int) -> bool:
        """Does the probe ask for the fact of an edit that is overridden by now? It then expects the newest target."""
        return self._asks_edited_fact(position, probe) and self.overridden(position, step)

    def expected(self, position: int, probe: Probe, step: int) -> str | None:
        """The right answer to a probe of the edit at `position` once `step` edits are applied.

        None: the answer rests on a fact that an edit has overridden meanwhile, and nobody knows it any more.
        A question for the edited fact itself never expires: it expects the newest target.
        """
        superseded = self.superseded(position, probe, step)
        own = None if probe.kind in LOCALITY_KINDS else self._edits[position].facts.key
        for key in (probe.fact, *probe.facts_used):
            if key != own:
                gone = self.newest(key, step) is not None
            else:
                gone = self.overridden(position, step) and not superseded
            if gone:
                return None
        if superseded:
            return self._edits[self._newest_of(position, step)].target
        return probe.target

    def deciding(self, position: int, probe: Probe, step: int) -> int | None:
        """Position of the edit that decides the answer to an unexpired probe; None when no edit does (locality)."""
        return None if probe.kind in LOCALITY_KINDS else self._newest_of(position, step)

    def _asks_edited_fact(self, position: int, probe: Probe) -> bool:
        return probe.fact == self._edits[position].facts.key and probe.kind not in LOCALITY_KINDS

    def _newest_of(self, position: int, step: int) -> int:
        newest = self.newest(self._edits[position].facts.key, step)
        return position if newest is None else newest

    def _note_overrides(self, writers: Sequence[int], targets: Sequence[str]) -> None:
        """For each edit of one fact the next one with another target, where there is one."""
        for index in range(len(writers) - 2, -1, -1):
            follower = writers[index + 1]
            if targets[index + 1] != targets[index]:
                self._overridden_by[writers[index]] = follower
            elif follower in self._overridden_by:
                self._overridden_by[writers[index]] = self._overridden_by[follower]
