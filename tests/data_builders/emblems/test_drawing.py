"""Pixels: the same everywhere, and every value of every attribute told apart."""

import itertools

import numpy as np
import pytest

from liveedit_bench.data_builders.emblems import drawing, golden
from liveedit_bench.data_builders.emblems.dice import Dice
from liveedit_bench.data_builders.emblems.world import TASKS, VALUES, Task, emblem

BARE = emblem(1, 5, 0, 0, 0)


def test_256_emblems_have_the_golden_pixels() -> None:
    # Found alike with Pillow 12.0.0 (the floor) and 13.0.0; `golden` says how to try another.
    assert golden.golden_sha256() == golden.GOLDEN


def test_the_golden_emblems_show_every_value_and_every_shape_with_every_pattern() -> None:
    some = golden.golden_emblems()
    assert len(some) == 256
    for task in TASKS:
        assert {each.value(task) for each in some} == set(range(len(VALUES[task])))
    assert len({(each.clan, each.craft) for each in some}) == len(VALUES["clan"]) * len(VALUES["craft"])


def test_a_picture_is_48_pixels_square_in_rgb() -> None:
    picture = BARE.draw("any")
    assert (picture.mode, picture.size) == ("RGB", (48, 48))


@pytest.mark.parametrize("task", TASKS)
def test_every_value_is_drawn_differently(task: Task) -> None:
    """Under one view and beside any other attributes, two values differ visibly in six pixels or more."""
    dice = Dice("tell apart", task)
    for index in range(40):
        base = emblem(*(dice.below(len(VALUES[each])) for each in TASKS))
        view = ("tell apart", index)
        pixels = [
            np.asarray(base.with_value(task, value).draw(*view)).astype(int) for value in range(len(VALUES[task]))
        ]
        for (first, one), (second, other) in itertools.combinations(enumerate(pixels), 2):
            changed = int((np.abs(one - other).max(axis=-1) > 24).sum())
            assert changed >= 6, (base.name, index, VALUES[task][first], VALUES[task][second], changed)


def test_views_differ_and_return() -> None:
    first, second = BARE.draw("one"), BARE.draw("two")
    assert first.tobytes() != second.tobytes()
    assert first.tobytes() == BARE.draw("one").tobytes()


def test_a_twin_stands_under_the_same_view() -> None:
    """Only the attribute differs: where neither drawing has ink, pixels agree to the last one."""
    changed = np.asarray(BARE.draw("v")) != np.asarray(BARE.with_value("era", 1).draw("v"))
    assert 0 < changed.any(axis=-1).mean() < 0.1


def test_patterns_are_cut_to_the_shape_and_shared_lists_stay_whole() -> None:
    look = drawing.view("cut")
    plain, checks = (
        np.asarray(drawing.draw("disc", "red", name, "none", "none", look)) for name in ("plain", "checks")
    )
    changed = (plain != checks).any(axis=-1)
    rows, columns = np.nonzero(changed)
    assert np.hypot(rows - rows.mean(), columns - columns.mean()).max() < 16
    again = np.asarray(drawing.draw("disc", "red", "checks", "none", "none", look))
    assert (again == checks).all()


def test_averaging_is_the_rounded_mean_of_each_block() -> None:
    rng = np.random.default_rng(0)
    colours = [(int(r), int(g), int(b)) for r, g, b in rng.integers(0, 256, (9, 3))]
    numbers = rng.integers(0, 9, (3 * drawing.SIZE, 3 * drawing.SIZE)).astype(np.uint8)
    painted = np.array(colours)[numbers].reshape(drawing.SIZE, 3, drawing.SIZE, 3, 3)
    expected = np.floor(painted.mean(axis=(1, 3)) + 0.5).astype(int)
    assert (drawing._averaged(numbers, colours) == expected).all()
