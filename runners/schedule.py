"""When is asked, and what: checkpoints, the locality panel, and the sample of past edits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from ..benchmark.edits import LOCALITY_KINDS, Edit
from ..errors import BenchError
from .ledger import Ledger

PANEL_SIZE = 300
SAMPLE_BOUND = 1_000


class Place(NamedTuple):
    """Where a probe stands: the position of its edit in the stream, and its index in `Edit.probes`."""

    position: int
    probe: int


def checkpoints(steps: int, chosen: Sequence[int] | None = None) -> tuple[int, ...]:
    """Steps at which everything is asked: 1, 2, 5, 10, 20, 50, ... and `steps`, or the chosen ones and `steps`.

    Raises `BenchError` for a chosen step outside 1..steps.
    """
    if chosen is None:
        series = (base * 10**power for power in range(len(str(steps))) for base in (1, 2, 5))
        return tuple(sorted({*(step for step in series if step <= steps), steps}))
    for step in chosen:
        if not 1 <= step <= steps:
            raise BenchError(f"--checkpoints {step} lies outside the run; give steps from 1 to {steps}")
    return tuple(sorted({*chosen, steps}))


def panel(edits: Sequence[Edit], ledger: Ledger, *, seed: int, size: int = PANEL_SIZE) -> list[Place]:
    """The locality probes that are asked at every checkpoint: up to `size` of each kind, drawn by `seed`.

    Only probes whose facts no edit anywhere in the stream touches can be asked from the first step to the last.
    """
    found: dict[str, list[Place]] = {}
    for position, edit in enumerate(edits):
        for index, probe in enumerate(edit.probes):
            if probe.kind in LOCALITY_KINDS and not any(map(ledger.touched, (probe.fact, *probe.facts_used))):
                found.setdefault(probe.kind, []).append(Place(position, index))
    drawn = [
        place
        for places in found.values()
        for place in sorted(places, key=lambda place: _rank(f"panel {seed} {place.position} {place.probe}"))[:size]
    ]
    return sorted(drawn)


def past_edits(step: int, *, seed: int, bound: int = SAMPLE_BOUND) -> list[int]:
    """Positions of the edits that are asked at a checkpoint: all of them, or `bound` of them.

    The sample takes one edit out of each of `bound` equal age groups: plain means over it estimate means over all.
    """
    if step <= bound:
        return list(range(step))
    starts = [group * step // bound for group in range(bound + 1)]
    return [
        min(range(start, end), key=lambda position: _rank(f"past {seed} {step} {position}"))
        for start, end in pairwise(starts)
    ]


def draw(count: int, size: int, label: str) -> list[int]:
    """`size` of the indices below `count` (all when there are fewer), drawn by `label`, in order."""
    return sorted(sorted(range(count), key=lambda index: _rank(f"{label} {index}"))[:size])


def _rank(label: str) -> bytes:
    # A hash instead of `random`: the draw is the same on every Python.
    return hashlib.sha256(label.encode()).digest()
