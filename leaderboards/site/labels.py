"""Where names of points may stand so that they cover neither each other nor a point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LETTER, LINE = 6.4, 13.0
"""Pixels of a letter and of a line, at eleven pixels."""


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether the two overlap."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def lies_in(self, other: Box) -> bool:
        """Whether no part of it is outside of the other."""
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.top <= self.top
            and self.bottom <= other.bottom
        )


def beside(
    names: Sequence[str], points: Sequence[tuple[float, float]], radii: Sequence[float], *, within: Box
) -> list[tuple[float, float]]:
    """The offset (dx, dy) in pixels of the middle of each name from its point; y grows downwards.

    points, radii, within: in pixels. The first names choose first; one that finds no room stands above its point.
    """
    circles = [Box(x - r, y - r, x + r, y + r) for (x, y), r in zip(points, radii, strict=True)]
    taken: list[Box] = []
    found: list[tuple[float, float]] = []
    for name, (x, y), radius in zip(names, points, radii, strict=True):
        half = len(name) * LETTER / 2
        offsets = list(_offsets(half, radius))
        boxes = [_box(x + dx, y + dy, half) for dx, dy in offsets]
        free = [box.lies_in(within) and not any(map(box.meets, (*taken, *circles))) for box in boxes]
        chosen = free.index(True) if True in free else 0
        taken.append(boxes[chosen])
        found.append(offsets[chosen])
    return found


def _offsets(half: float, radius: float) -> Iterator[tuple[float, float]]:
    """Above, below, at either side, and ever farther off."""
    for away in range(8):
        up = radius + LINE * (away + 0.6)
        yield from ((0.0, -up), (0.0, up))
        side = radius + half + 3
        shift = LINE * away
        yield from ((side, -shift), (-side, -shift), (side, shift), (-side, shift))


def _box(x: float, y: float, half: float) -> Box:
    return Box(x - half, y - LINE / 2, x + half, y + LINE / 2)
