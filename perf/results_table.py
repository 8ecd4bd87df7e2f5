"""Prints the rows of the results tables in README.md and LiveEditBench.md from finished runs.

    python perf/results_table.py runs/*-emblems-test-s0-n1000

Everything is free-running, at the last step. A dagger marks a mean over kinds some of which are fixed by construction.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from liveedit_bench.benchmark.edits import GENERALITY_KINDS, LOCALITY_KINDS, Kind
from liveedit_bench.leaderboards.schema import Estimate, Headline, Result, read_result

HEADS = ("editor", "`score`", "reliability", "generality", "locality", "right after the edit", "portability")
ORDER = ("liveedit", "retrieval", "ft-l", "oracle", "majority", "vandal", "none")


def cell(found: Estimate | Headline | None, *, interval: bool = False, mark: str = "") -> str:
    if found is None:
        return ""
    ends = " [{:.3f}, {:.3f}]".format(*found.ci95) if interval and found.ci95 else ""
    return f"{found.value:.3f}{ends}{mark}"


def of_kind(result: Result, kind: Kind) -> Estimate | None:
    scores = result.curve[-1].metrics.get(kind)
    return scores.free_running if scores else None


def row(result: Result) -> list[str]:
    """The cells of one editor."""
    fixed = set(result.editor.fixed_scores or ())
    marks = ["†" if fixed & set(kinds) else "" for kinds in (GENERALITY_KINDS, LOCALITY_KINDS)]
    return [
        f"`{result.editor.name}`{' (bound)' if result.editor.bound else ''}",
        cell(result.score, interval=True),
        cell(of_kind(result, "reliability")),
        cell(result.generality.free_running if result.generality else None, mark=marks[0]),
        cell(result.locality.free_running if result.locality else None, mark=marks[1]),
        cell(result.immediate.free_running if result.immediate else None),
        cell(of_kind(result, "portability")),
    ]


def table(results: list[Result]) -> str:
    """A Markdown table. Raises `ValueError` for results that cannot stand in one."""
    if len({(one.protocol.id, one.stream.sha256, one.backbone.weights_sha256) for one in results}) > 1:
        raise ValueError("the runs differ in protocol, stream or backbone; a table holds one of each")
    names = [one.editor.name for one in results]
    known = [*ORDER, *sorted(set(names) - set(ORDER))]
    rows = [row(one) for one in sorted(results, key=lambda one: known.index(one.editor.name))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (HEADS, ["---"] * len(HEADS), *rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="run folders, or files of the shape of result.json")
    given = parser.parse_args()
    print(table([read_result(path / "result.json" if path.is_dir() else path) for path in given.runs]))


if __name__ == "__main__":
    main()
