"""The audit as one HTML file that needs no network and runs no script."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .answers import LENGTHS
from .examples import Gallery, Thumbnails, gallery
from .finding import Finding
from .histogram import draw
from .material import Material
from .report import Report
from .table import MARKS, WORDS, percent

_HERE: Final = Path(__file__).parent
_CLIP: Final = 200


def render(report: Report, given: Material) -> str:
    """The page. Every value is escaped by the template, and the page's policy lets no script run."""
    thumbnails, galleries = Thumbnails(), dict[str, Gallery]()
    for finding in report.findings.values():
        if finding.records:
            galleries[finding.name] = gallery(finding, given, thumbnails)
    charts = {unit: draw([length(edit.target) for edit in given.edits], unit=unit) for unit, length in LENGTHS.items()}
    return (
        _environment()
        .get_template("page.html")
        .render(
            report=report,
            told=[finding for finding in report.findings.values() if finding.name in galleries],
            galleries=galleries,
            charts={unit: Markup(chart) for unit, chart in charts.items() if chart},
            marks=MARKS,
            words=WORDS,
            style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    cast("dict[str, Any]", environment.filters).update(
        percent=percent, width=_width, count=_count, number=_number, clip=_clip, told=_told
    )
    return environment


def _width(share: float | None) -> str:
    return f"{100 * (share or 0):.2f}%"


def _count(value: int) -> str:
    return f"{value:,}"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}" if value < 1 else f"{value:,g}"


def _clip(text: str) -> str:
    return text if len(text) <= _CLIP else text[:_CLIP] + "\u2026"


def _told(finding: Finding) -> str:
    """How much of what, in words."""
    return f"{finding.count:,} of {finding.of:,} {finding.unit}"
