"""The contact sheet shows every value and the first edits."""

import numpy as np

from liveedit_bench.data_builders.emblems import build
from liveedit_bench.data_builders.emblems.sheet import sheet
from liveedit_bench.data_builders.emblems.world import TASKS, VALUES, emblem


def test_every_value_lies_on_the_sheet_pixel_by_pixel() -> None:
    page = np.asarray(sheet(build(2, split="validation"), edits=2, zoom=2))
    found = 0
    for task in TASKS:
        for value in range(len(VALUES[task])):
            picture = np.asarray(emblem(1, 5, 0, 0, 0).with_value(task, value).draw("sheet", task, value))
            corner = (page == picture[0, 0]).all(axis=-1)
            found += any(
                (page[y : y + 96 : 2, x : x + 96 : 2] == picture).all()
                for y, x in np.argwhere(corner)
                if y + 96 <= page.shape[0] and x + 96 <= page.shape[1]
            )
    assert found == sum(map(len, VALUES.values()))


def test_zoom_and_edits_set_the_size() -> None:
    stream = build(2, split="validation")
    small, tall = sheet(stream, edits=0, zoom=1), sheet(stream, edits=2, zoom=1)
    assert small.width == tall.width
    assert tall.height > small.height
    assert sheet(stream, edits=0, zoom=3).width > 2 * small.width
