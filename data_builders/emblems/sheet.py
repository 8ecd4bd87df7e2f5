"""The contact sheet: every value of every attribute, then edits with their pictures and all their questions."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from ...benchmark.edits import Edit, EditStream, Kind
from .drawing import SIZE
from .world import TASKS, VALUES, Task, emblem

_SHOWS: dict[Task, str] = {"clan": "shape", "region": "colour", "craft": "pattern", "era": "marks", "motto": "border"}
_PICTURES: dict[Kind, str] = {
    "reliability": "edited",
    "image_generality": "second view",
    "locality_twin_same": "twin, same answer",
    "locality_twin_other": "twin, other answer",
    "image_locality": "another emblem",
}
_INK, _FAINT, _ANSWER, _GAP = (20, 20, 20), (110, 110, 110), (0, 70, 170), 6


class _Page:
    """A canvas with a grid of pictures, captions below them; a cell is a picture with its caption."""

    def __init__(self, *, across: int, down: int, zoom: int) -> None:
        self._zoom, self.text = zoom, 4 * zoom + 2
        self.label = 11 * self.text
        self.wide, self.high = SIZE * zoom + _GAP, SIZE * zoom + self.text + 2 * _GAP
        self.image = Image.new("RGB", (self.label + across * self.wide + _GAP, down * self.high + _GAP), "white")
        self._pen = ImageDraw.Draw(self.image)
        self._fonts = {small: ImageFont.load_default(size) for small, size in ((False, self.text), (True, 4 * zoom))}

    def write(self, x: int, y: int, text: str, colour: tuple[int, int, int] = _INK, *, small: bool = False) -> int:
        """Write a text and say where it ends."""
        self._pen.text((x, y), text, fill=colour, font=self._fonts[small])
        return x + round(self._pen.textlength(text, self._fonts[small]))

    def left(self, row: int, lines: list[str]) -> None:
        for index, line in enumerate(lines):
            self.write(_GAP, _GAP + row * self.high + index * (self.text + 3), line, _FAINT if index else _INK)

    def cell(self, row: int, column: int, picture: Image.Image, caption: str) -> None:
        x, y = self.label + column * self.wide, _GAP + row * self.high
        side = SIZE * self._zoom
        self.image.paste(picture.resize((side, side), Image.Resampling.NEAREST), (x, y))
        self.write(x, y + side, caption, _FAINT)


def sheet(stream: EditStream, *, edits: int = 6, zoom: int = 3) -> Image.Image:
    """A labelled page: one row for each attribute with all its values, then one row for each of the first edits.

    Captions of values say what is drawn and what it means; beside an edit stand its questions with their answers.
    """
    shown = stream[:edits]
    page = _Page(across=max(map(len, VALUES.values())), down=len(TASKS) + len(shown), zoom=zoom)
    base = emblem(1, 5, 0, 0, 0)
    for row, task in enumerate(TASKS):
        page.left(row, [f"{task} ({_SHOWS[task]})"])
        for value, drawn in enumerate(VALUES[task]):
            each = base.with_value(task, value)
            page.cell(row, value, each.draw("sheet", task, value), f"{drawn}: {each.truth(task)}")
    for row, edit in enumerate(shown, start=len(TASKS)):
        _edit_row(page, row, edit)
    return page.image


def _edit_row(page: _Page, row: int, edit: Edit) -> None:
    page.left(row, [f"edit of a {edit.facts.task}", f"was {edit.facts.old}", f"becomes {edit.target}"])
    for column, (kind, caption) in enumerate(_PICTURES.items()):
        picture = next((probe.image for probe in edit.probes if probe.kind == kind), None)
        if picture is not None:
            page.cell(row, column, picture.open(), caption)
    x, y = page.label + len(_PICTURES) * page.wide + _GAP, _GAP + row * page.high
    step = (page.high - 2 * _GAP) // 10  # no edit has more probes
    for index, probe in enumerate(edit.probes):
        line = y + index * step
        page.write(x, line, probe.kind, _FAINT, small=True)
        end = page.write(x + 12 * page.text, line, probe.prompt, small=True)
        end = page.write(end + _GAP, line, probe.target, _ANSWER, small=True)
        if not probe.seen:
            page.write(end + _GAP, line, "(template unseen in training)", _FAINT, small=True)
