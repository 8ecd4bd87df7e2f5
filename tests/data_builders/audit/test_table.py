"""The table on a terminal."""

import io
from typing import Any

from made_up_edits import clean, made, stream
from rich.console import Console

from liveedit_bench.benchmark.edits import EditStream
from liveedit_bench.data_builders.audit import Report, audit
from liveedit_bench.data_builders.audit.table import percent, print_report


def printed(report: Report, width: int = 80) -> list[str]:
    out = io.StringIO()
    print_report(report, Console(file=out, width=width))
    return out.getvalue().splitlines()


def report(*, train: EditStream | None = None, **more: Any) -> Report:
    edits = [*clean(3), made(3, old="red", target="Red", prompt="[bold] colour?"), made(4, image="eval/thing2.jpg")]
    return audit(stream(edits), train=train, **more)[0]


def test_a_row_for_each_check_within_80_columns() -> None:
    found = report()
    lines = printed(found)
    assert max(map(len, lines)) <= 80
    for finding in found.findings.values():
        [line] = [line for line in lines if line[3:].startswith(f"{finding.title} ")]
        assert ("needs --train" in line) == bool(finding.unknown)
        if not finding.unknown:
            assert f"{finding.count:,} / {finding.of:,}" in line
            assert line.endswith(percent(finding.share))


def test_a_mark_and_one_edit() -> None:
    lines = printed(report())
    at = next(at for at, line in enumerate(lines) if "target is the old answer" in line)
    assert lines[at].startswith("!")
    assert lines[at + 1].strip() == "#3 \u201cred\u201d becomes \u201cRed\u201d"
    assert any(line.startswith("\u2713  whole edit repeated") for line in lines)


def test_lengths_notes_and_hardness() -> None:
    lines = printed(
        report(
            train=stream(clean(2, "train"), split="train"),
            notes=["2 records became no edit"],
            hardness={"backbone": "0" * 64, "twins": 1234, "twins_nearer_in_pixels": 0.5},
        )
    )
    assert "   words: min 1, median 1, p95 1, max 1" in [line.rstrip() for line in lines]
    assert "against 2 edits of made-up/train for training" in lines
    assert "note: 2 records became no edit" in lines
    assert f"{'twins nearer in pixels':<32}{'0.500':>8}" in lines
    assert f"{'twins':<32}{'1,234':>8}" in lines
    assert not any("needs --train" in line or "0" * 64 in line for line in lines)


def test_percent() -> None:
    assert [percent(share) for share in (None, 0, 1, 0.0001, 0.99999, 0.5)] == [
        "", "0 %", "100 %", "0.1 %", "99.9 %", "50.0 %",
    ]  # fmt: skip
