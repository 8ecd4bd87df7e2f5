"""How long the targets are, as one small drawing (SVG) that takes its colours from the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 460
HEIGHT: Final = 170
_BARS: Final = 16
_WIDEST: Final = 56
_LEFT, _TOP, _BOTTOM = 4, 20, 22


@dataclass(frozen=True)
class Bar:
    """A bar: the sizes that it covers, both ends included (None: and everything above), and how many there are."""

    low: int
    high: int | None
    count: int

    @property
    def label(self) -> str:
        """The sizes, as the axis names them."""
        if self.high is None:
            return f"{self.low}+"
        return str(self.low) if self.low == self.high else f"{self.low}\u2013{self.high}"


def bars(sizes: Sequence[int], *, most: int = _BARS) -> list[Bar]:
    """Bars of equal width from the smallest size to the 99th percentile; the last one holds what is above."""
    if not sizes:
        return []
    ordered = sorted(sizes)
    low, top, end = ordered[0], ordered[(len(ordered) - 1) * 99 // 100], ordered[-1]
    width = -(-(top - low + 1) // most)
    counts = Counter((min(size, top) - low) // width for size in ordered)
    last = (top - low) // width
    found = [Bar(low + at * width, low + (at + 1) * width - 1, counts[at]) for at in range(last + 1)]
    if found[-1].high is not None and found[-1].high < end:
        found[-1] = Bar(found[-1].low, None, found[-1].count)
    return found


def draw(sizes: Sequence[int], *, unit: str) -> str:
    """The histogram as SVG; empty when there is nothing to draw. No text of a stream is in it."""
    found = bars(sizes)
    if not found:
        return ""
    step, highest = min((WIDTH - 2 * _LEFT) / len(found), _WIDEST), max(bar.count for bar in found)
    room = HEIGHT - _TOP - _BOTTOM
    parts = list[str]()
    every = -(-max(len(bar.label) + 1 for bar in found) * 7 // max(int(step), 1)) or 1  # labels must not overlap
    for at, bar in enumerate(found):
        tall = room * bar.count / highest
        left, top = _LEFT + at * step, _TOP + room - tall
        middle = left + step / 2
        share = bar.count / len(sizes)
        parts.append(
            f"<g><title>{bar.label} {unit}: {bar.count:,} targets ({share:.1%})</title>"
            f'<rect x="{left + 1:.1f}" y="{top:.1f}" width="{max(step - 2, 1):.1f}" height="{tall:.1f}" rx="2"/></g>'
        )
        if at % every == 0:
            parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{bar.label}</text>')
        if bar.count == highest:
            parts.append(f'<text x="{middle:.1f}" y="{top - 6:.1f}" text-anchor="middle">{bar.count:,}</text>')
    base = f'<line x1="0" x2="{WIDTH}" y1="{_TOP + room + 0.5}" y2="{_TOP + room + 0.5}"/>'
    return (
        f'<svg class="histogram" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{unit} of targets">'
        f"{''.join(parts)}{base}</svg>"
    )
