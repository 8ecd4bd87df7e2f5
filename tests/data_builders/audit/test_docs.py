"""docs/audit.md names every check with its mark, and every rule for chatter."""

import re
from pathlib import Path

from made_up_edits import clean, stream

from liveedit_bench.data_builders.audit import audit
from liveedit_bench.data_builders.audit.phrasing import RULES
from liveedit_bench.data_builders.audit.table import MARKS

TEXT = (Path(__file__).parents[3] / "docs" / "audit.md").read_text(encoding="utf-8")


def test_every_check_stands_there_with_its_mark() -> None:
    report, _ = audit(stream(clean(3)))
    listed = re.findall(r"^\| `([\w-]+)` (\S) \|", TEXT, re.MULTILINE)
    assert listed == [(name, MARKS[finding.weight]) for name, finding in report.findings.items()]


def test_every_rule_stands_there() -> None:
    section = TEXT.partition("## Rules for chatter")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([\w ]+)` \|", section, re.MULTILINE) == list(RULES)


def test_every_mark_stands_there() -> None:
    section = TEXT.partition("## Marks")[2].partition("\n## ")[0]
    assert re.findall(r"^\| (\S) \|", section, re.MULTILINE) == list(MARKS.values())
