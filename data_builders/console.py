"""What the verbs of `liveedit-bench data` share: options, and how results are printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from ..errors import BenchError

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Seed = Annotated[int, typer.Option(help="Draws the edits and their order.")]


def check_room(out: Path, *, folder: bool) -> None:
    """Refuse, before any work, an `--out` that cannot be written."""
    if folder and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BenchError(f"{out} exists and is not empty; give a new folder with --out")
    if not folder and out.is_dir():
        raise BenchError(f"{out} is a folder; give a file with --out, such as {out / 'sheet.png'}")


def print_json(value: object) -> None:
    """Data goes to stdout."""
    print(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False))


def print_warnings(warnings: Iterable[str]) -> None:
    """One line each on stderr; the command goes on."""
    print_lines(f"warning: {warning}" for warning in warnings)


def print_lines(lines: Iterable[str]) -> None:
    """Words beside the data: on stderr."""
    for line in lines:
        print(line, file=sys.stderr)
