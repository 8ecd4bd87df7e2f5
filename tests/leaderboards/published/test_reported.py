"""The published table: as printed, with what is missing left missing."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from liveedit_bench.leaderboards.published import reported
from liveedit_bench.metrics.curves import PAPER_COLUMNS

FILE = Path(reported.__file__).with_name("liveedit_table1.csv")


def test_every_complete_row_reproduces_its_printed_average():
    complete = [row for row in reported.rows() if row.average is not None]
    assert len(complete) == 89
    for row in complete:
        assert tuple(row.columns) == PAPER_COLUMNS
        assert sum(row.columns.values()) / 5 == pytest.approx(row.average, abs=1.01e-4), row


def test_what_could_not_be_recovered_is_empty():
    (row,) = (row for row in reported.rows() if row.average is None)
    assert (row.editor, row.backbone, row.size, row.dataset) == ("RECIPE", "BLIP2", 1000, "VLKEB")
    assert (row.columns, row.plus_minus) == ({}, None)


def test_which_rows_there_are():
    found = Counter((row.backbone, row.size, row.dataset) for row in reported.rows())
    assert set(found.values()) == {9}
    assert set(found) == {
        (backbone, size, dataset)
        for backbone, sizes in (("LLaVA", (1, 10, 1000)), ("BLIP2", (1, 1000)))
        for size in sizes
        for dataset in ("E-VQA", "VLKEB")
    }


def test_shares_are_the_printed_numbers():
    with FILE.open(newline="") as file:
        printed = list(csv.DictReader(file))
    for row, text in zip(reported.rows(), printed, strict=True):
        if text["avg"]:
            shares = [*row.columns.values(), row.average]
            names = (*reported.source().columns, "avg")
            assert [f"{100 * (share or 0):.2f}" for share in shares] == [text[name] for name in names]


def test_the_source_is_named():
    source = reported.source()
    assert "2411.15432" in source.url
    assert source.unit == "percent"
    assert "Table 1 of Lifelong Knowledge Editing" in source.cited
    assert any("could not be recovered" in caveat for caveat in source.caveats)
