"""`liveedit-bench leaderboard build` and `leaderboard agreement`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

Results = Annotated[Path, typer.Option(help="The folder of the submissions; sub-folders are read too.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def build(
    *,
    results: Results = Path("leaderboards/results"),
    out: Annotated[Path, typer.Option(help="The folder of the site; an older site there is replaced.")] = Path("site"),
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Make the site of all submissions: tables, curves, a page for each method, CSV and Markdown. It needs no server.

    Every submission is verified first; one that does not hold is not shown, and the exit code is 1.
    """
    from rich.console import Console

    from ...errors import BenchError
    from ..badges import badges
    from ..standings import read_folder
    from ..submission import Submission
    from ..submission_reading import shown
    from ..verification import verify
    from .build import build as make

    console = Console(stderr=True)
    holding, refused, earned = list[tuple[Path, Submission]](), list[str](), dict[Path, str]()
    for path, submission in read_folder(results):
        console.print(f"verifying {shown(path, 200)}", highlight=False, markup=False)
        verdict = verify(path)
        if verdict.holds:
            holding.append((path, submission))
            earned[path] = badges(verdict).highest
        else:
            refused.append(f"{shown(path, 200)}: {verdict.failures[0].message}")
    for line in refused:
        print(f"error: not shown: {line}", file=sys.stderr)
    if not holding:
        raise BenchError(f"no submission in {results} holds; `liveedit-bench verify` says why")
    built = make(holding, out, badge=lambda entry: earned[entry.path])
    if as_json:
        print(json.dumps({"out": str(built.out), "methods": built.methods, "tables": built.tables, "refused": refused}))
    else:
        print(f"{built.out / 'index.html'}: {built.methods} methods in {built.tables} tables")
    raise typer.Exit(bool(refused))


def agreement(
    *,
    results: Results = Path("leaderboards/results"),
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Kendall's tau of the methods' order: here and in the paper's table, between seeds, between the two headlines."""
    from ..agreements import findings
    from ..standings import read_folder, standings

    found = findings(standings(read_folder(results)))
    if as_json:
        told = [
            {
                "orders": each.what,
                "tau": each.agreement.tau,
                **({} if each.agreement.ci95 is None else {"ci95": each.agreement.ci95}),
                "n": each.agreement.n,
                "values": [dict(values) for values in each.values],
            }
            for each in found
        ]
        print(json.dumps(told, indent=2, allow_nan=False, ensure_ascii=False))
        return
    for each in found:
        tau = "none" if each.agreement.tau is None else f"{each.agreement.tau:.2f}"
        ends = "" if each.agreement.ci95 is None else "  [{:.2f}, {:.2f}]".format(*each.agreement.ci95)
        print(f"{each.what:<76} tau {tau}{ends}  n {each.agreement.n}")
