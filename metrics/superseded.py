"""Superseded edits: their fact was edited again later, so they leave the denominator and are told of apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .sheet import Sheet


@dataclass(frozen=True)
class Superseded:
    """What the model answers where a later edit overrode the asked one, at one checkpoint, free-running.

    edits: how many of the asked edits are superseded. probes: their questions that are still asked. newest: share of
    these answered with the newest target, which is right. stale: share answered with the edit's own old target, where
    that is not the newest one again.
    """

    edits: int
    probes: int
    newest: float
    stale: float


def superseded(sheet: Sheet, step: int) -> Superseded | None:
    """The superseded edits of a checkpoint, plain shares over probes; None when there is none."""
    rows = sheet.at(step)
    rows = rows[sheet.superseded[rows]]
    if not len(rows):
        return None
    return Superseded(
        edits=len(np.unique(sheet.position[rows])),
        probes=len(rows),
        newest=float(sheet.newest[rows].mean()),
        stale=float(sheet.stale[rows].mean()),
    )
