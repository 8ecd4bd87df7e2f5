"""The charts of the leaderboard: curves over edit count, and locality against reliability with cost as size."""

from __future__ import annotations

import json
import math
from typing import Any, Final, cast

import altair as alt

from ..figures import spread
from ..schema import Scorer
from ..theme import Spec
from ..words import interval, share
from .labels import Box, beside
from .rows import Board, Column

COLOURED: Final = 6
"""So many methods, the best first, have a colour of their own; the others are grey until they are pointed at."""

HEIGHT: Final = 380
WIDTH: Final = 520
AREAS: Final = (60, 900)
"""Of the circles, in square pixels."""
ROOM: Final = 56
"""Pixels to the right of the circles, for names."""
LINE: Final = 15
"""Pixels that a name takes at the end of its line; as many of the best are named as find room."""


def curves(board: Board) -> Spec:
    """Every method's curve; the signal ``number`` says of which number."""
    scorers: dict[str, Scorer] = {column.name: column.scorer for column in board.columns}
    rows: list[Spec] = []
    for place, entry in enumerate(board.standing.entries):
        for point in entry.submission.curve:
            for name, scorer in scorers.items():
                found = point.metrics.get(name, {}).get(scorer)
                if found is not None:
                    rows.append(
                        {
                            "method": entry.submission.name,
                            "group": place if place < COLOURED else COLOURED,
                            "number": name,
                            "step": point.step,
                            "value": found.value,
                            "Edits": f"{point.step:,}",
                            "Value": share(found.value),
                            "Interval": interval(found.ci95),
                            "Seeds": found.n,
                        }
                    )
    first = board.columns[0].name
    steps = sorted({row["step"] for row in rows})
    pointed = alt.selection_point(
        name="pointed", fields=["method"], on="pointerover", nearest=True, clear="pointerout", empty=True
    )
    title = "edits per block" if board.standing.protocol == "paper" else "edits applied"
    x = alt.X("step:Q", title=title, scale=alt.Scale(type="log", domain=[1, max(steps[-1], 2)], nice=False)).axis(
        values=[step for step in steps if str(step)[0] == "1"], grid=False, format=",d"
    )
    base = (
        alt.Chart(_data(rows))
        .transform_filter("datum.number == number")
        .encode(
            x=x,
            y=alt.Y("value:Q", title=None, scale=alt.Scale(domain=[0, 1])),
            color=_colour(),
            detail="method:N",
            opacity=alt.condition(pointed, alt.value(1), alt.value(0.12)),
            tooltip=_tooltip(["method", "Edits", "Value", "Interval", "Seeds"]),
        )
    )
    lines = base.mark_line(strokeWidth=2, strokeJoin="round")
    points = base.mark_point(filled=True, size=40).add_params(pointed)
    names = (
        alt.Chart(_data(_names(rows, steps[-1])))
        .transform_filter("datum.number == number")
        .mark_text(align="left", dx=8)
        .encode(x=alt.value("width"), y=alt.Y("place:Q"), text="method:N", color=_colour())
        .encode(opacity=alt.condition(pointed, alt.value(1), alt.value(0.12)))
    )
    chart = alt.layer(lines, points, names).add_params(alt.param(name="number", value=first))
    return _spec(chart, right=96)


def _names(rows: list[Spec], last: int) -> list[Spec]:
    """Names of the methods at the right ends of their lines, moved apart where they would overlap."""
    found: list[Spec] = []
    for number in dict.fromkeys(row["number"] for row in rows):
        # The best come first.
        ends = [row for row in rows if (row["number"], row["step"]) == (number, last)][: HEIGHT // LINE]
        ends.sort(key=lambda row: -row["value"])
        places = spread([row["value"] for row in ends], gap=LINE / HEIGHT)
        found += [
            {key: row[key] for key in ("method", "group", "number")} | {"place": place}
            for row, place in zip(ends, places, strict=True)
        ]
    return found


def scatter(board: Board) -> Spec | None:
    """Locality against reliability, seconds of one edit as size; None where a table has no such columns."""
    names = [column.name for column in board.columns]
    across = "locality" if "locality" in names else "image_locality"
    if across not in names or "reliability" not in names:
        return None
    columns = {column.name: column for column in board.columns}
    rows: list[Spec] = []
    for place, line in enumerate(board.lines):
        x, y = (line.cells[names.index(name)].estimate for name in (across, "reliability"))
        if x is None or y is None:
            continue
        rows.append(
            {
                "method": line.name,
                "group": place if place < COLOURED else COLOURED,
                "x": x.value,
                "y": y.value,
                "cost": max(line.edit_seconds or 0.0, 1e-5),
                columns[across].label: share(x.value),
                "Reliability": share(y.value),
                "One edit": line.edit_time,
                "State": line.state,
            }
        )
    _place(rows)
    base = alt.Chart(_data(rows)).encode(
        x=alt.X("x:Q", title=_axis(columns[across]), scale=alt.Scale(domain=[0, 1])),
        y=alt.Y("y:Q", title=_axis(columns["reliability"]), scale=alt.Scale(domain=[0, 1])),
        color=_colour(),
    )
    points = base.mark_circle(opacity=0.75).encode(
        size=alt.Size("cost:Q", scale=alt.Scale(type="log", range=list(AREAS)), legend=None),
        tooltip=_tooltip(["method", columns[across].label, "Reliability", "One edit", "State"]),
    )
    names_ = base.mark_text(
        dx=cast("Any", alt.ExprRef("datum.dx")), dy=cast("Any", alt.ExprRef("datum.dy")), fontSize=11, baseline="middle"
    ).encode(text="method:N")
    return _spec(alt.layer(points, names_), right=ROOM)


def _place(rows: list[Spec]) -> None:
    """Give every row the offset of its name, in pixels, for the narrowest chart beside another one."""
    if not rows:
        return
    costs = [math.log(row["cost"]) for row in rows]
    least, span = min(costs), max(costs) - min(costs)
    small, large = AREAS
    areas = [small + (large - small) * ((cost - least) / span if span else 0.5) for cost in costs]
    offsets = beside(
        [row["method"] for row in rows],
        [(row["x"] * WIDTH, (1 - row["y"]) * HEIGHT) for row in rows],
        [math.sqrt(area / math.pi) for area in areas],
        within=Box(0, -4 * LINE, WIDTH + ROOM, HEIGHT),
    )
    for row, (dx, dy) in zip(rows, offsets, strict=True):
        row["dx"], row["dy"] = round(dx, 1), round(dy, 1)


def _axis(column: Column) -> str:
    return column.label.lower()


def _colour() -> Any:
    own = alt.Color("group:O", legend=None, scale=alt.Scale(domain=list(range(COLOURED)), range="category"))
    return alt.condition(f"datum.group < {COLOURED}", own, alt.value(cast("Any", alt.ExprRef("faint"))))


def _tooltip(fields: list[str]) -> Any:
    """A table of fields. Near a point (and not on it) Vega-Lite hands the point's datum inside another."""
    pairs = [f"'{_title(field)}': (datum.datum || datum)['{field}']" for field in fields]
    return alt.value(cast("Any", alt.ExprRef(f"{{{', '.join(pairs)}}}")))


def _title(field: str) -> str:
    return "Method" if field == "method" else field


def _data(rows: list[Spec]) -> alt.Data:
    return alt.Data(values=cast("Any", rows))


def _spec(chart: Any, *, right: int) -> Spec:
    made = chart.properties(
        width="container",
        height=HEIGHT,
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        padding={"left": 8, "top": 12, "bottom": 8, "right": right},
    )
    spec: Spec = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    return spec
