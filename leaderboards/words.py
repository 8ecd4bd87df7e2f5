"""Numbers as a reader meets them: shares, intervals, ages, durations, sizes."""

from __future__ import annotations

import json

from pydantic import JsonValue

EN_DASH, MINUS, TIMES = "\u2013", "\u2212", "\u00d7"


def share(value: float) -> str:
    """A share, or a difference of shares, to three places."""
    return f"{value:.3f}".replace("-", MINUS)


def interval(ci95: tuple[float, float] | None) -> str:
    """An interval; empty when there is none."""
    if ci95 is None:
        return ""
    dash = f" {EN_DASH} " if ci95[0] < 0 else EN_DASH
    return f"{share(ci95[0])}{dash}{share(ci95[1])}"


def percent(value: float) -> str:
    """Per cent in whole numbers; nearly all is never said to be all, nor nearly none to be none."""
    if value in (0, 1):
        return f"{value * 100:.0f} %"
    return f"{min(99.9, max(0.1, value * 100)):.{0 if 0.01 <= value <= 0.99 else 1}f} %"


def age(ages: tuple[int, int]) -> str:
    """A bin of ages."""
    low, high = ages
    return f"{low:,}" if low == high else f"{low:,}{EN_DASH}{high:,}"


def seconds(value: float) -> str:
    """A duration in the unit that reads best."""
    if 0 < value < 1e-4:
        return f"{value * 1e6:.2g} µs"
    if value < 1:
        return f"{value * 1e3:.3g} ms"
    if value < 120:
        return f"{value:.3g} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def size(value: float) -> str:
    """Bytes in binary units."""
    if value < 1024:
        return f"{value:.0f} bytes"
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1000 or unit == "GiB":
            return f"{value:.3g} {unit}"
    raise AssertionError("unreachable")


def plain(value: JsonValue) -> str:
    """A JSON value as a reader writes it: texts without quotes, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value, allow_nan=False, ensure_ascii=False)
