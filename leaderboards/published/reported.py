"""Table 1 of the LiveEdit paper as rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ...benchmark.edits import Kind

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Source:
    """Where the numbers were printed, and what is known to be wrong with the copy."""

    title: str
    venue: str
    url: str
    table: str
    unit: str
    protocol: str
    columns: Mapping[str, Kind]
    caveats: Sequence[str]

    @property
    def cited(self) -> str:
        """One line that names the table."""
        return f"{self.table} of {self.title} ({self.venue}, {self.url})"


@dataclass(frozen=True)
class Reported:
    """One row. columns, average: in [0, 1]; without entries, and None, where the row could not be recovered.

    plus_minus: as printed behind the average, in the same unit; the paper does not say what it means.
    """

    backbone: str
    size: int
    editor: str
    dataset: str
    columns: Mapping[Kind, float]
    average: float | None
    plus_minus: float | None


@cache
def source() -> Source:
    """The source of `rows`."""
    value: dict[str, Any] = json.loads((_HERE / "liveedit_table1.json").read_text(encoding="utf-8"))
    return Source(**value)


@cache
def rows() -> tuple[Reported, ...]:
    """Every row, in the order of the table."""
    with (_HERE / "liveedit_table1.csv").open(encoding="utf-8", newline="") as file:
        return tuple(map(_row, csv.DictReader(file)))


def _row(row: Mapping[str, str]) -> Reported:
    columns: dict[Kind, float | None] = {kind: _share(row[name]) for name, kind in source().columns.items()}
    return Reported(
        backbone=row["backbone"],
        size=int(row["n_edits"]),
        editor=row["editor"],
        dataset=row["dataset"],
        columns={kind: share for kind, share in columns.items() if share is not None},
        average=_share(row["avg"]),
        plus_minus=_share(row["pm"]),
    )


def _share(percent: str) -> float | None:
    """``93.88`` -> 0.9388, the same float on every machine; None for an empty cell."""
    return round(float(percent) / 100, 6) if percent.strip() else None
