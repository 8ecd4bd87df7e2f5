"""How MiniGPT-4 differs from other backbones: hardly."""

from __future__ import annotations

from ..family import Family


class MiniGpt4(Family):
    """Asked plainly, as LiveEdit's authors ask it: picture, line break, question."""

    projector = ("language_projection",)
