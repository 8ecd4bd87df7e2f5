"""The contact sheet: every value of every attribute, then edits with the pictures that are asked about them."""

from __future__ import annotations

from PIL import Image

from ...benchmark.edits import EditStream
from .drawing import SIZE
from .world import TASKS, VALUES, Emblem

_GAP, _ACROSS = 4, 12


def sheet(stream: EditStream, *, edits: int = 6, zoom: int = 2) -> Image.Image:
    """Rows of values (shape, colour, pattern, marks, border), then one row an edit.

    An edit's row shows its picture, its second view, the two twins, and another emblem; then the next edit's.
    """
    base = Emblem(clan=1, region=5, craft=0, era=0, motto=0)
    rows = [
        [base.with_value(task, value).draw("sheet", task, value) for value in range(len(VALUES[task]))]
        for task in TASKS
    ]
    asked = ("reliability", "image_generality", "locality_twin_same", "locality_twin_other", "image_locality")
    for start in range(0, edits, 2):
        row = list[Image.Image]()
        for edit in stream[start : start + 2]:
            pictures = {probe.kind: probe.image for probe in edit.probes}
            row += [picture.open() for kind in asked if (picture := pictures[kind]) is not None]
            row.append(Image.new("RGB", (SIZE, SIZE), "white"))
        rows.append(row)
    step = SIZE + _GAP
    canvas = Image.new("RGB", (_ACROSS * step + _GAP, len(rows) * step + _GAP), "white")
    for down, row in enumerate(rows):
        for across, picture in enumerate(row):
            canvas.paste(picture, (_GAP + across * step, _GAP + down * step))
    return canvas.resize((zoom * canvas.width, zoom * canvas.height), Image.Resampling.NEAREST)
