"""Pack the finished runs of a sweep as submissions, and write down the hours they took.

    liveedit-bench sweep leaderboards/results/emblems/sweep.toml --out runs/emblems
    python perf/publish.py leaderboards/results/emblems/sweep.toml --runs runs/emblems --out leaderboards/results

For each editor and protocol with at least three finished seeds, ``OUT/<dataset>/<label>[.paper].json`` and its answers;
for each dataset ``OUT/<dataset>/hours.md``. Whatever is not finished is named on stderr and left for the next time.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from liveedit_bench.leaderboards.submission_making import submit
from liveedit_bench.leaderboards.submission_official import SEEDS
from liveedit_bench.runners.sweep.file import EditorRuns, Sweep, read_sweep
from liveedit_bench.runners.sweep.job import Job

ENDINGS = {"lifelong": ".json", "paper": ".paper.json"}


def finished(runs: Path, jobs: Sequence[Job]) -> dict[str, float]:
    """Wall seconds of each job that has a result: all its tries together, for one continues where another ended."""
    seconds: dict[str, float] = {}
    for line in (runs / "sweep.jsonl").read_text(encoding="utf-8").splitlines():
        attempt = json.loads(line)
        seconds[attempt["job"]] = seconds.get(attempt["job"], 0.0) + attempt["seconds"]
    return {job.name: seconds[job.name] for job in jobs if (runs / job.name / "result.json").is_file()}


def jobs_of(sweep: Sweep, editor: EditorRuns, protocol: str) -> list[Job]:
    """The jobs of one editor under one protocol."""
    return [job for job in sweep.jobs() if job.name.startswith(f"{editor.called}-{protocol}-s")]


def hours(lines: Sequence[tuple[str, str, Sequence[float]]], machine: str) -> str:
    """The table of `hours.md`. lines: label, protocol, wall seconds of its runs."""
    total = sum(sum(seconds) for _, _, seconds in lines) / 3600
    rows = [
        f"| `{label}` | {protocol} | {len(seconds)} | {min(seconds):.0f} | {max(seconds):.0f} |"
        for label, protocol, seconds in lines
    ]
    return "\n".join(
        [
            "# The hours these results took",
            "",
            f"{sum(len(seconds) for _, _, seconds in lines)} runs, {total:.1f} hours of runs, on {machine}.",
            "Runs may have shared the machine, so these seconds are no measure of an editor's speed.",
            "",
            "| editor | protocol | runs | shortest (s) | longest (s) |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )


def main() -> None:
    """Publish what is finished."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--runs", type=Path, required=True, help="the --out of the sweep")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the published results")
    given = parser.parse_args()
    sweep = read_sweep(given.sweep)
    (dataset,) = sweep.datasets
    folder: Path = given.out / dataset
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[tuple[str, str, Sequence[float]]] = []
    machine = ""
    for editor in sweep.editors:
        for protocol in editor.protocols or sweep.protocols:
            done = finished(given.runs, jobs_of(sweep, editor, protocol))
            if len(done) < SEEDS:
                print(f"{editor.called} ({protocol}): {len(done)} of {SEEDS} seeds", file=sys.stderr)
                continue
            runs = [given.runs / name for name in done]
            packed = submit(runs, name=editor.called, out=folder / f"{editor.called}{ENDINGS[protocol]}")
            made = packed.submission
            print(f"{editor.called} ({protocol}), seeds {made.seeds}: {'official' if made.official else made.reasons}")
            lines.append((editor.called, protocol, list(done.values())))
            about = made.result.environment
            machine = f"{about.get('cores')} cores of {about.get('cpu')}, {about.get('threads')} thread(s) a run"
    (folder / "hours.md").write_text(hours(lines, machine), encoding="utf-8")


if __name__ == "__main__":
    main()
