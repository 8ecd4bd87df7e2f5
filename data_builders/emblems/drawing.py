"""Draws an emblem under a view: 48 x 48 RGB pixels, the same on every machine and Pillow.

Only filled polygons with whole-number corners are drawn (at three times the size), and everything after
them is integer arithmetic: outlines, text, resampling and colour tables changed between releases of Pillow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from .dice import Dice

SIZE = 48
_ZOOM = 3
_FULL = (SIZE * _ZOOM, SIZE * _ZOOM)
_INK = (24, 21, 30)

SHAPES = (
    "disc",
    "square",
    "triangle",
    "diamond",
    "star",
    "plus",
    "crescent",
    "heart",
    "hourglass",
    "arrow",
    "dome",
    "bar",
)
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (205, 35, 40),
    "orange": (240, 130, 25),
    "yellow": (240, 215, 45),
    "lime": (150, 220, 60),
    "green": (30, 125, 55),
    "cyan": (60, 200, 215),
    "blue": (35, 70, 205),
    "violet": (120, 50, 185),
    "magenta": (225, 45, 165),
    "pink": (250, 165, 190),
    "brown": (120, 72, 38),
    "white": (248, 248, 248),
}
PATTERNS = ("plain", "rows", "columns", "slant", "checks", "dots", "disc", "saltire", "half", "inset")
MARKS = ("none", "four", "top", "bottom", "left", "right")
BORDERS = ("none", "single", "double", "dashed")

Point = tuple[float, float]
Polygon = list[Point]


@dataclass(frozen=True)
class View:
    """One way of looking at an emblem. Lengths in pixels of the final picture, the turn in degrees."""

    scale: float
    turn: float
    shift: Point
    background: tuple[int, int, int]
    clutter: tuple[tuple[int, int, int, int, int], ...]
    light: int  # 256 is neutral
    slope: Point  # how much the light falls off across the picture, in 1/256 per pixel
    speck: tuple[int, int, int, int] | None  # x, y, size, grey of something that lies on the picture
    noise: int  # largest deviation of a pixel
    noise_key: str


@lru_cache(maxsize=4096)
def view(*key: object) -> View:
    """The view that a key names."""
    dice = Dice("view", *key)
    hue = [dice.between(118, 186) for _ in range(3)]
    return View(
        scale=dice.between(78, 102) / 100,
        turn=float(dice.between(-16, 16)),
        shift=(dice.between(-6, 6) / 2, dice.between(-6, 6) / 2),
        background=(hue[0], hue[1], hue[2]),
        clutter=tuple(
            (
                dice.between(0, SIZE),
                dice.between(0, SIZE),
                dice.between(4, 26),
                dice.between(2, 12),
                dice.between(-26, 26),
            )
            for _ in range(dice.between(2, 5))
        ),
        light=dice.between(196, 292),
        slope=(dice.between(-14, 14) / 10, dice.between(-14, 14) / 10),
        speck=(dice.between(4, 40), dice.between(4, 40), dice.between(3, 6), dice.between(70, 210))
        if dice.chance(600)
        else None,
        noise=dice.between(4, 16),
        noise_key="/".join(map(str, key)),
    )


def _ngon(sides: int, radius: float, *, phase: float = -90.0, centre: Point = (0.0, 0.0)) -> Polygon:
    angles = (math.radians(phase + 360 * side / sides) for side in range(sides))
    return [(centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle)) for angle in angles]


def _box(left: float, top: float, right: float, bottom: float) -> Polygon:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _star() -> Polygon:
    outer, inner = _ngon(5, 15.5), _ngon(5, 7.0, phase=-54)
    return [point for pair in zip(outer, inner, strict=True) for point in pair]


def _crescent() -> Polygon:
    outer = [(14 * math.cos(math.radians(a)) - 1, 14 * math.sin(math.radians(a))) for a in range(45, 316, 10)]
    inner = [(11 * math.cos(math.radians(a)) + 6.2, 10 * math.sin(math.radians(a))) for a in range(290, 69, -10)]
    return outer + inner


def _heart() -> Polygon:
    def point(t: float) -> Point:
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        return 0.9 * x, -0.9 * y - 1.5

    return [point(2 * math.pi * step / 36) for step in range(36)]


# Corners in pixels around the emblem's centre, y downwards. The anchor is where a centred pattern sits.
_OUTLINES: dict[str, Polygon] = {
    "disc": _ngon(32, 13.0),
    "square": _box(-10.8, -10.8, 10.8, 10.8),
    "triangle": [(0, -14), (14.5, 11.5), (-14.5, 11.5)],
    "diamond": [(0, -15), (15, 0), (0, 15), (-15, 0)],
    "star": _star(),
    "plus": [
        (-5, -14),
        (5, -14),
        (5, -5),
        (14, -5),
        (14, 5),
        (5, 5),
        (5, 14),
        (-5, 14),
        (-5, 5),
        (-14, 5),
        (-14, -5),
        (-5, -5),
    ],
    "crescent": _crescent(),
    "heart": _heart(),
    "hourglass": [(-13, -14), (13, -14), (4, 0), (13, 14), (-13, 14), (-4, 0)],
    "arrow": [(0, -15), (14, 0), (6, 0), (6, 14), (-6, 14), (-6, 0), (-14, 0)],
    "dome": [
        *[(14.5 * math.cos(math.radians(a)), 8 + 18 * math.sin(math.radians(a))) for a in range(180, 361, 12)],
        (14.5, 9),
        (-14.5, 9),
    ],
    "bar": _box(-15.5, -6.5, 15.5, 6.5),
}
_ANCHORS: dict[str, Point] = {
    "triangle": (0, 3),
    "crescent": (-8, 0),
    "heart": (0, -1),
    "dome": (0, 0),
    "arrow": (0, 0),
}


@cache
def _pattern(name: str, shape: str) -> list[tuple[Polygon, bool]]:
    """The polygons of a pattern with what they do: True inks, False clears. The caller cuts them to the shape."""
    x, y = _ANCHORS.get(shape, (0.0, 0.0))
    if name == "inset":  # a ring, drawn from the outline itself
        outline = _OUTLINES[shape]
        inner = [(x + 0.5 * (px - x), y + 0.5 * (py - y)) for px, py in outline]
        core = [(x + 0.24 * (px - x), y + 0.24 * (py - y)) for px, py in outline]
        return [(inner, True), (core, False)]
    return [(polygon, True) for polygon in _plain_pattern(name, x, y)]


def _plain_pattern(name: str, x: float, y: float) -> list[Polygon]:
    steps = range(-24, 25, 6)
    if name == "rows":
        return [_box(-24, at + y - 1.4, 24, at + y + 1.4) for at in steps]
    if name == "columns":
        return [_box(at + x - 1.4, -24, at + x + 1.4, 24) for at in steps]
    if name == "slant":
        return [[(at - 26, 24), (at + 22, -24), (at + 26, -24), (at - 22, 24)] for at in range(-42, 43, 7)]
    if name == "checks":
        cells = [(column, row) for column in range(-6, 6) for row in range(-6, 6) if (column + row) % 2]
        return [_box(4 * column + x, 4 * row + y, 4 * column + 4 + x, 4 * row + 4 + y) for column, row in cells]
    if name == "dots":
        places = [(6 * column + 3 * (row % 2), 5 * row) for column in range(-4, 5) for row in range(-4, 5)]
        return [_ngon(8, 1.5, centre=(px + x, py + y)) for px, py in places]
    if name == "disc":
        return [_ngon(20, 4.6, centre=(x, y))]
    if name == "saltire":
        arm = 2.0
        return [
            [
                (x - 24 - arm, y - 24 + arm),
                (x - 24 + arm, y - 24 - arm),
                (x + 24 + arm, y + 24 - arm),
                (x + 24 - arm, y + 24 + arm),
            ],
            [
                (x + 24 - arm, y - 24 - arm),
                (x + 24 + arm, y - 24 + arm),
                (x - 24 + arm, y + 24 + arm),
                (x - 24 - arm, y + 24 - arm),
            ],
        ]
    if name == "half":
        return [_box(x, -24, 24, 24)]
    return []


def _border(name: str) -> list[tuple[Polygon, bool]]:
    """Polygons with what they do: True inks, False clears to the background below."""
    if name == "single":
        return [(_box(-20.5, -20.5, 20.5, 20.5), True), (_box(-18.3, -18.3, 18.3, 18.3), False)]
    if name == "double":
        return [
            (_box(-21.2, -21.2, 21.2, 21.2), True),
            (_box(-20.0, -20.0, 20.0, 20.0), False),
            (_box(-18.0, -18.0, 18.0, 18.0), True),
            (_box(-16.8, -16.8, 16.8, 16.8), False),
        ]
    if name == "dashed":
        inked = _border("single")
        gaps = [at for at in range(-18, 19, 9)]
        cuts = [_box(at - 2.2, side - 2, at + 2.2, side + 2) for at in gaps for side in (-19.4, 19.4)]
        cuts += [_box(side - 2, at - 2.2, side + 2, at + 2.2) for at in gaps for side in (-19.4, 19.4)]
        return inked + [(cut, False) for cut in cuts]
    return []


@cache
def _frame(marks: str, border: str) -> list[tuple[Polygon, bool]]:
    """Border and corner marks: polygons with what they do."""
    corners = [(_ngon(10, 2.3, centre=_PLACES[corner]), True) for corner in _CORNERS[marks]]
    return _border(border) + corners


_CORNERS = {"four": "abcd", "top": "ab", "bottom": "cd", "left": "ac", "right": "bd", "none": ""}
_PLACES: dict[str, Point] = {"a": (-14.2, -14.2), "b": (14.2, -14.2), "c": (-14.2, 14.2), "d": (14.2, 14.2)}


def _placed(polygon: Polygon, look: View) -> list[tuple[int, int]]:
    """Turns, scales and shifts a polygon, then rounds it to the enlarged grid."""
    cos, sin = math.cos(math.radians(look.turn)), math.sin(math.radians(look.turn))
    centre_x, centre_y = SIZE / 2 + look.shift[0], SIZE / 2 + look.shift[1]
    return [
        (
            round(_ZOOM * (centre_x + look.scale * (cos * x - sin * y))),
            round(_ZOOM * (centre_y + look.scale * (sin * x + cos * y))),
        )
        for x, y in polygon
    ]


def _mask(polygons: list[tuple[Polygon, bool]], look: View) -> Image.Image:
    mask = Image.new("L", _FULL)
    pen = ImageDraw.Draw(mask)
    for polygon, inked in polygons:
        pen.polygon(_placed(polygon, look), fill=255 if inked else 0)
    return mask


def draw(shape: str, colour: str, pattern: str, marks: str, border: str, look: View) -> Image.Image:
    """The picture, 48 x 48 RGB."""
    red, green, blue = look.background
    # The canvas holds numbers of colours, which `_averaged` looks up: a third of the work of painting in RGB.
    colours = [look.background, _INK, COLOURS[colour]]
    canvas = Image.new("L", _FULL, 0)
    pen = ImageDraw.Draw(canvas)
    for x, y, width, height, tone in look.clutter:
        left, top = _ZOOM * (x - width // 2), _ZOOM * (y - height // 2)
        pen.polygon(_grid_box(left, top, left + _ZOOM * width, top + _ZOOM * height), fill=len(colours))
        colours.append((red + tone, green + tone, blue + tone))
    outline = _OUTLINES[shape]
    body = _mask([(outline, True)], look)
    canvas.paste(1, mask=_mask(_frame(marks, border), look))
    # A thin dark rim keeps a shape apart from its background whatever both colours are.
    pen.polygon(_placed(_grown(outline, 1.07), look), fill=1)
    canvas.paste(2, mask=body)
    if pattern != "plain":
        inked = _mask(_pattern(pattern, shape), look)
        canvas.paste(1, mask=ImageChops.darker(inked, body))
    if look.speck is not None:
        x, y, size, grey = look.speck
        pen.polygon(_grid_box(_ZOOM * x, _ZOOM * y, _ZOOM * (x + size), _ZOOM * (y + size)), fill=len(colours))
        colours.append((grey, grey, grey))
    return Image.fromarray(_lit(_averaged(np.asarray(canvas), colours), look))


def _grid_box(left: int, top: int, right: int, bottom: int) -> list[tuple[int, int]]:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _grown(polygon: Polygon, factor: float) -> Polygon:
    return [(factor * x, factor * y) for x, y in polygon]


def _averaged(numbers: NDArray[np.uint8], colours: list[tuple[int, int, int]]) -> NDArray[np.int32]:
    """The mean colour of each block of the enlarged grid, rounded half up: [48, 48, 3].

    The three channels of the nine (`_ZOOM` squared) pixels are added up in one number, 20 bits each.
    """
    table = np.array([red | green << 20 | blue << 40 for red, green, blue in colours], dtype=np.int64)
    packed = table[numbers]
    rows = packed[0::_ZOOM] + packed[1::_ZOOM] + packed[2::_ZOOM]
    sums = rows[:, 0::_ZOOM] + rows[:, 1::_ZOOM] + rows[:, 2::_ZOOM]
    channels = np.stack([sums >> shift & 0xFFFFF for shift in (0, 20, 40)], axis=-1).astype(np.int32)
    return (channels + _ZOOM * _ZOOM // 2) // (_ZOOM * _ZOOM)


def _lit(small: NDArray[np.int32], look: View) -> NDArray[np.uint8]:
    """Lights a picture and adds noise; integers throughout."""
    across = np.arange(SIZE, dtype=np.int32) - SIZE // 2
    slope_x, slope_y = (round(10 * part) for part in look.slope)
    light = look.light + (across[None, :] * slope_x + across[:, None] * slope_y) // 10
    lit = small * light[:, :, None] // 256
    raw = np.frombuffer(Dice("noise", look.noise_key).bytes(SIZE * SIZE * 3), dtype=np.uint8).astype(np.int32)
    grain = raw.reshape(SIZE, SIZE, 3) * (2 * look.noise + 1) // 256 - look.noise
    return np.clip(lit + grain, 0, 255).astype(np.uint8)
