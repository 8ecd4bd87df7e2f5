"""Puts the measured tables into docs/why-numbers-differ.md, between its `<!-- legacy ... -->` comments.

python perf/legacy_table.py

The numbers are those that `perf/why_numbers_differ.py` has written; here nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(<!-- legacy ([\w-]+)[^>]*-->\n).*?(<!-- /legacy -->)", re.DOTALL)
TITLES = {
    "all-positions": "locality at every position",
    "rank-wise": "ten likeliest tokens, rank by rank",
    "apart": "targets tokenised apart",
    "itself": "locality against the edited model",
    "previous": "locality against the model one edit earlier",
    "unrestored": "locality against the edit before",
    "late": "labels one place off",
    "targets": "targets compared with targets",
    "failed": "failed edits left out",
    "teacher-forcing": "teacher forcing",
    "right-after": "asked right after the edit",
    "restart": "blocks that restart",
    "trained-on": "locality that was trained on",
    "fixed": "a column that cannot fall",
    "easy-neighbours": "easy neighbours",
    "remainder": "incomplete last block dropped",
}
"""Every difference of the page, in its order."""

Row = Mapping[str, Any]


def lines(heads: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(each)} |" for each in (heads, ["---"] * len(heads), *cells))


def numbers(row: Row) -> list[str]:
    return [f"{row['right']:.3f}", f"{row['legacy']:.3f}", f"{row['legacy'] - row['right']:+.3f}", f"{row['n']:,}"]


def named(row: Row) -> str:
    name, _, more = str(row["editor"]).partition(",")
    if " " in name:
        return name
    return f"`{name}`{f', {more.strip()}' if more else ''}"


def table(found: Mapping[str, Any], difference: str) -> str:
    """A difference, one line per editor and kind of question."""
    rows = [row for row in found["rows"] if row["difference"] == difference]
    cells = [[named(row), str(row["asked"]).replace("_", " "), *numbers(row)] for row in rows]
    return lines(("editor", "asked", "here", "there", "difference", "n"), cells)


def tokenisers(found: Mapping[str, Any]) -> str:
    """How often a target is cut otherwise without its question."""
    heads = ("tokeniser", "a space before it", "targets", "other tokens", "more or fewer", "a perfect model scores")
    return lines(
        heads,
        [
            [
                row["tokeniser"],
                "yes" if row["space"] else "no",
                f"{row['targets']:,}",
                *(f"{row[name]:.3f}" for name in ("other_ids", "other_length", "perfect")),
            ]
            for row in found["tokenisers"]
        ],
    )


def perfect(row: Row) -> Row:
    """What a model that says every target gets under a tokeniser."""
    asked = f"every target, {row['tokeniser']}"
    return {"editor": "a perfect model", "asked": asked, "right": 1.0, "legacy": row["perfect"], "n": row["targets"]}


def summary(found: Mapping[str, Any]) -> str:
    """The row of each difference in which the two numbers lie furthest apart; for tokenisers, a perfect model's."""
    cells: list[list[str]] = []
    for difference, title in TITLES.items():
        rows = [row for row in found["rows"] if row["difference"] == difference]
        if difference == "apart":
            rows += [perfect(row) for row in found["tokenisers"]]
        furthest = max(rows, key=lambda row: abs(row["legacy"] - row["right"]))
        asked = str(furthest["asked"]).replace("_", " ")
        cells.append([f"[{title}](#{title.replace(' ', '-').replace(',', '')})", named(furthest), asked])
        cells[-1] += numbers(furthest)
    return lines(("difference", "editor", "asked", "here", "there", "difference", "n"), cells)


def block(found: Mapping[str, Any], name: str) -> str:
    """What stands between the comments of that name."""
    if name == "summary":
        return summary(found)
    return tokenisers(found) if name == "tokenisers" else table(found, name)


def filled(page: str, found: Mapping[str, Any]) -> str:
    """The page with every table as measured."""
    return BLOCK.sub(lambda match: f"{match[1]}{block(found, match[2])}\n{match[3]}", page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--found", type=Path, default=ROOT / "perf" / "results" / "legacy" / "emblems.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "why-numbers-differ.md")
    given = parser.parse_args()
    found = json.loads(given.found.read_text(encoding="utf-8"))
    given.page.write_text(filled(given.page.read_text(encoding="utf-8"), found), encoding="utf-8")


if __name__ == "__main__":
    main()
