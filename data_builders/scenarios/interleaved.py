"""Several datasets in one stream."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import BenchError
from .slots import Setting, Slot


def interleaved(slots: Sequence[Slot], setting: Setting) -> list[Slot]:
    """The given streams in turns: after t edits each has given its share of t, to less than one edit.

    Each stream keeps its order, and nothing is drawn. At each turn, of the streams that are behind their share, the
    one comes whose next edit is due first (the quota method of Balinski and Young).

    Raises:
        BenchError: there is one stream only.
    """
    if len(setting.streams) < 2:
        raise BenchError("interleaved puts several streams into one and was given one; give at least two")
    queues: dict[int, list[Slot]] = {}
    for slot in slots:
        queues.setdefault(slot.part, []).append(slot)
    total = len(slots)
    taken = dict.fromkeys(queues, 0)
    row: list[Slot] = []
    for turn in range(1, total + 1):
        behind = [part for part, queue in queues.items() if taken[part] * total < turn * len(queue)]
        part = min(behind, key=lambda part: ((taken[part] + 1) / len(queues[part]), part))
        row.append(queues[part][taken[part]])
        taken[part] += 1
    return row
