"""The paper's columns, worked out by hand."""

from typing import Any

import pandas as pd
import pytest

from liveedit_bench.errors import BenchError
from liveedit_bench.metrics.curves import PAPER_COLUMNS
from liveedit_bench.metrics.paper import paper_points


def rows(size: int, shares: dict[str, list[tuple[list[int], list[int]]]], *, failed: int | None = None) -> list[Any]:
    """Per kind one (said, right) for each position."""
    return [
        {
            "step": size,
            "when": "checkpoint",
            "position": position,
            "probe": probe,
            "kind": kind,
            "thing": f"thing{position}",
            "task": "clan",
            "seen_target": None,
            "seen_prompt": None,
            "status": "failed" if position == failed and "locality" not in kind else "asked",
            "expected": "x",
            "leak": None,
            "expected_ids": right,
            "teacher_ids": said,
            "ids": [],
            "answer": None,
        }
        for probe, (kind, answers) in enumerate(shares.items())
        for position, (said, right) in enumerate(answers)
    ]


HALF, FULL, NONE = ([1, 9], [1, 2]), ([3], [3]), ([4, 4, 4], [5, 5, 5])
ANSWERS = {
    "reliability": [HALF, FULL],
    "text_generality": [NONE, FULL],
    "image_generality": [NONE, HALF],
    "text_locality": [FULL, FULL],
    "image_locality": [HALF, FULL],
}


def test_columns_are_plain_means_over_records():
    one, two = paper_points(pd.DataFrame(rows(1, ANSWERS) + rows(2, ANSWERS, failed=1)), normalisation="exact")
    found = {kind: estimate.value for kind, estimate in one.columns.items()}
    assert found == dict(zip(PAPER_COLUMNS, (0.75, 0.5, 0.25, 1.0, 0.75), strict=True))
    assert one.average is not None
    assert one.average.value == pytest.approx(0.65)
    assert (one.size, one.records, one.failed) == (1, 2, 0)
    # The failed edit scores 0 where it is not asked about locality, and stays in the denominator.
    found = {kind: estimate.value for kind, estimate in two.columns.items()}
    assert found == dict(zip(PAPER_COLUMNS, (0.25, 0.0, 0.0, 1.0, 0.75), strict=True))
    assert (two.size, two.records, two.failed) == (2, 2, 1)
    assert {estimate.n for estimate in two.columns.values()} == {2}


def test_without_a_column_there_is_no_average():
    answers = {kind: found for kind, found in ANSWERS.items() if kind != "image_generality"}
    (point,) = paper_points(pd.DataFrame(rows(1, answers)), normalisation="exact")
    assert point.average is None
    assert "image_generality" not in point.columns


def test_misaligned_answers_are_no_score():
    answers = {**ANSWERS, "reliability": [([1], [1, 2]), FULL]}
    with pytest.raises(BenchError, match="misaligns"):
        paper_points(pd.DataFrame(rows(1, answers)), normalisation="exact")
