"""The audit on a terminal: one row per check, readable at 80 columns."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .answers import LENGTHS
from .finding import Finding, State
from .report import Report

MARKS: Final[dict[State, str]] = {"grave": "✗", "odd": "!", "fact": "·", "none": "✓", "unknown": "?"}
WORDS: Final[dict[State, str]] = {
    "grave": "spoils scores",
    "odd": "to be known",
    "fact": "describes",
    "none": "none found",
    "unknown": "not looked at",
}
_STYLES: Final[dict[State, str]] = {
    "grave": "bold red",
    "odd": "yellow",
    "fact": "cyan",
    "none": "green",
    "unknown": "dim",
}


def percent(share: float | None) -> str:
    """Per cent to one place; nearly all is never said to be all, nor nearly none to be none."""
    if share is None:
        return ""
    return f"{share * 100:.0f} %" if share in (0, 1) else f"{min(99.9, max(0.1, share * 100)):.1f} %"


def print_report(report: Report, console: Console) -> None:
    """The table, the notes below it, and the figures of emblems where there are some."""
    console.print(Text(str(report.stream), "bold"))
    if report.train:
        console.print(f"against {report.train} for training", highlight=False, markup=False)
    console.print(_table(report))
    legend = "   ".join(f"{MARKS[state]} {WORDS[state]}" for state in MARKS)
    console.print(Text(legend, "dim"))
    for note in report.notes:
        console.print(Text(f"note: {note}"))
    if report.hardness:
        console.print(Text("\nHardness of the twins", "bold"))
        for label, value in report.hardness.items():
            if isinstance(value, str):  # the digest of the weights, for JSON
                continue
            number = f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
            console.print(f"{label.replace('_', ' '):<32}{number:>8}", highlight=False, markup=False)


def _table(report: Report) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False, show_header=True, header_style="dim")
    table.add_column("", width=1)
    table.add_column("check, and one edit", overflow="ellipsis", no_wrap=True, ratio=1)
    table.add_column("count / of", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    for family, findings in report.families.items():
        table.add_row("", Text(family, "bold"), "", "")
        for finding in findings:
            table.add_row(*_row(finding))
    table.expand = True
    return table


def _row(finding: Finding) -> tuple[Text, Text, str, str]:
    state = finding.state
    title = Text(finding.title)
    mark = Text(MARKS[state], _STYLES[state])
    if finding.unknown:
        return mark, title, finding.unknown, ""
    for line in _details(finding):
        title.append(f"\n{line}", "dim")
    return mark, title, f"{finding.count:,} / {finding.of:,}", percent(finding.share)


def _details(finding: Finding) -> list[str]:
    if finding.name == "yes-no-targets":
        return [f"{unit}: {_lengths(finding, unit)}" for unit in LENGTHS if finding.of]
    if finding.weight == "fact" or not finding.records:
        return []
    record = finding.records[0]
    return [f"#{record.position} {record.why}"]


def _lengths(finding: Finding, unit: str) -> str:
    return ", ".join(f"{name} {finding.numbers[f'{unit}, {name}']:,g}" for name in ("min", "median", "p95", "max"))
