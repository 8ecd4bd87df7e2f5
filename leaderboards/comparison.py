"""A comparison in its three forms: for a terminal, as Markdown, as plain values for JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from ..metrics.estimates import plain
from .compare import HEADLINES, Cell, Row, Table
from .published.reported import source

_SHORT = 12  # of a sha256, where people read it
_WHOLE = 150  # characters that a table with all its intervals needs


def as_values(tables: Sequence[Table]) -> dict[str, Any]:
    """Shares in [0, 1], whatever the other forms print."""
    made: list[dict[str, Any]] = []
    for table in tables:
        rows: list[dict[str, Any]] = []
        for row in table.rows:
            values = {
                name: {**plain(cell), "fixed": cell.fixed}
                for name, cell in zip(table.columns, row.cells, strict=True)
                if cell is not None
            }
            named = {"name": row.name, "edits": row.size, "source": "reported" if row.reported else "measured"}
            marks = {
                **({} if row.rank is None else {"rank": row.rank}),
                **({"void": True} if row.void else {}),
                **({"bound": True} if row.bound else {}),
            }
            rows.append({**named, **marks, "values": values})
        made.append({"protocol": table.protocol, "facts": dict(table.facts), "rows": rows, "notes": list(table.notes)})
    told = any(row.reported for table in tables for row in table.rows)
    return {"tables": made, **({"reported": plain(source())} if told else {})}


def as_markdown(tables: Sequence[Table]) -> str:
    """One Markdown table each, under a line of what its rows have in common."""
    return "\n\n".join(_markdown(table) for table in tables)


def print_tables(tables: Sequence[Table]) -> None:
    """To stdout: into the width of a terminal, which may show fewer intervals, or whole when it goes into a file."""
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console = Console(file=sys.stdout, highlight=False, width=_WHOLE)
    for table in tables:
        console.print(Text(_heading(table), style="bold"))
        console.print(_rich(table, whole=console.width >= _WHOLE))
        for note in table.notes:
            console.print(Text(note, style="dim"))
        console.print()


def _markdown(table: Table) -> str:
    heads = ["rank", *_heads(table)]
    lines = [heads, ["---"] * len(heads)]
    for row in table.rows:
        cells = [_number(cell, table, " ") for cell in row.cells]
        lines.append([_rank(row), _name(row).replace("|", "\\|"), f"{row.size:,}", *cells])
    body = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    notes = "\n".join(f"- {note}" for note in table.notes)
    return f"**{_heading(table)}**\n\n{body}\n\n{notes}"


def _rich(table: Table, *, whole: bool) -> RichTable:
    made = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=not whole)
    made.add_column("rank", justify="right")
    for index, head in enumerate(_heads(table)):
        made.add_column(head, justify="left" if index == 0 else "right", no_wrap=index > 0)
    sizes = [row.size for row in table.rows]
    for index, row in enumerate(table.rows):
        shown = [whole or head in HEADLINES for head in table.columns]
        cells = [_number(cell, table, "\n" if each else None) for cell, each in zip(row.cells, shown, strict=True)]
        made.add_row(
            _rank(row),
            Text(_name(row)),
            f"{row.size:,}",
            *cells,
            style="dim" if row.reported else None,
            end_section=index + 1 < len(sizes) and sizes[index + 1] != row.size,
        )
    return made


def _heading(table: Table) -> str:
    facts = table.facts
    return (
        f"{facts['Protocol']} protocol, {facts['Scorer']}{', percent' if _percent(table) else ''} · {facts['Stream']} "
        f"(sha256 {facts['Stream sha256'][:_SHORT]}) · {facts['Backbone']} "
        f"(weights {facts['Backbone weights sha256'][:_SHORT]}"
        f"{', ' + facts['Loaded as'] if 'Loaded as' in facts else ''})"
    )


def _heads(table: Table) -> list[str]:
    return ["editor", "edits", *table.columns]


def _name(row: Row) -> str:
    marks = {"reported": row.reported, "void": row.void, "bound": row.bound}
    return row.name + "".join(f" ({mark})" for mark, holds in marks.items() if holds)


def _rank(row: Row) -> str:
    return "" if row.rank is None else str(row.rank)


def _number(cell: Cell | None, table: Table, between: str | None) -> str:
    """A share with its interval, `between` them (None: no interval)."""
    if cell is None:
        return ""
    digits = 2 if _percent(table) else 3
    ends = ""
    if cell.ci95 is not None and between is not None:
        low, high = (_share(end, table, 1 if _percent(table) else 3) for end in cell.ci95)
        ends = f"{between}[{low}, {high}]"
    return f"{_share(cell.value, table, digits)}{'†' if cell.fixed else ''}{ends}"


def _share(value: float, table: Table, digits: int) -> str:
    """As the field prints it: per cent under the paper's protocol."""
    return f"{100 * value if _percent(table) else value:.{digits}f}"


def _percent(table: Table) -> bool:
    return table.protocol == "paper"
