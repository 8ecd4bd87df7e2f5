"""`liveedit-bench check`."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .check import Outcome

_STYLES = {"passed": "green", "failed": "bold red", "exempt": "yellow", "not reached": "dim"}


def check(
    editor: Annotated[str, typer.Argument(help="A name, path/to/file.py:Class or package.module:Class.")],
    *,
    backbone: Annotated[str, typer.Option(help="What it is checked on: a name, a hub id or a model's folder.")] = (
        "emblem-llava"
    ),
    option: Annotated[list[str] | None, typer.Option(help="An option of the editor: name=value. Repeatable.")] = None,
    seed: Annotated[int, typer.Option(help="Of the editor's own randomness.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...; auto takes an accelerator when there is one.")] = "auto",
    dtype: Annotated[str, typer.Option(help="Of the backbone's weights.")] = "float32",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the tracebacks of what failed.")] = False,
) -> None:
    """Check that an editor keeps the contract; the exit code is 1 when it does not.

    A few edits are made and asked about in many ways. A check that the method need not pass is shown as exempt.
    """
    from rich.console import Console

    from ...benchmark.options import split_pairs
    from .suite import CHECKS, examine

    began = time.perf_counter()
    examination = examine(
        editor, backbone=backbone, options=split_pairs(option or []), seed=seed, device=device, dtype=dtype
    )
    outcomes: list[Outcome] = []
    with Console(stderr=True).status("loading") as status:
        for each in CHECKS:
            status.update(each.name)
            outcomes.append(examination.outcome(each.name))
    seconds = time.perf_counter() - began
    name = examination.subject.kind.name
    if as_json:
        print(json.dumps(_plain(name, backbone, outcomes, seconds), indent=2, allow_nan=False, ensure_ascii=False))
    else:
        _print(name, backbone, outcomes, seconds)
    if debug:
        import traceback

        for outcome in outcomes:
            if outcome.error is not None:
                traceback.print_exception(outcome.error)
    if any(outcome.verdict == "failed" for outcome in outcomes):
        raise typer.Exit(1)


def _plain(editor: str, backbone: str, outcomes: Sequence[Outcome], seconds: float) -> dict[str, object]:
    checks = [{name: value for name, value in vars(outcome).items() if name != "error"} for outcome in outcomes]
    failed = sum(outcome.verdict == "failed" for outcome in outcomes)
    return {"editor": editor, "backbone": backbone, "passes": not failed, "seconds": seconds, "checks": checks}


def _print(editor: str, backbone: str, outcomes: Sequence[Outcome], seconds: float) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("check", no_wrap=True)
    table.add_column("what must hold")
    table.add_column("", no_wrap=True)
    table.add_column("why, or what was seen")
    for outcome in outcomes:
        verdict = f"[{_STYLES[outcome.verdict]}]{outcome.verdict}[/]"
        table.add_row(outcome.check, outcome.promise, verdict, escape(outcome.why))
    counts = {verdict: sum(outcome.verdict == verdict for outcome in outcomes) for verdict in _STYLES}
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    console = Console()
    console.print(table)
    console.print(f"{editor} on {backbone}: {told}, in {seconds:.0f} s", markup=False, highlight=False)
