"""Emblems: the generated default world. Drawings with five attributes whose meanings are invented.

Needs no download and no licence. `build` makes a stream, `capacity` says how many edits a split holds.
"""

from __future__ import annotations

from .build import build, capacity

__all__ = ["build", "capacity"]
