"""`perf/publish.py`: what a sweep finished becomes submissions, what it did not is named."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from submitted import make_run

from liveedit_bench.leaderboards.placement import misplaced, published_files, strays
from liveedit_bench.leaderboards.submission_reading import read_submission

SCRIPT = Path(__file__).parents[2] / "perf" / "publish.py"
SWEEP = """
steps = 30
seeds = [0, 1, 2]
protocols = ["lifelong", "paper"]
datasets = ["fake"]

[[editors]]
name = "buckets"
"""


def test_what_is_finished_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, out = tmp_path / "runs", tmp_path / "results"
    tries = [("lifelong", 0, 10.0), ("lifelong", 1, 3000.0), ("lifelong", 1, 600.0), ("lifelong", 2, 20.4)]
    tries += [("paper", 0, 5.0), ("paper", 1, 5.0)]
    for protocol, seed in {(protocol, seed) for protocol, seed, _ in tries}:
        make_run(runs / f"buckets-{protocol}-s{seed}", seed=seed, protocol=protocol)
    lines = [
        json.dumps({"job": f"buckets-{protocol}-s{seed}", "seconds": seconds}) for protocol, seed, seconds in tries
    ]
    (runs / "sweep.jsonl").write_text("\n".join(lines))
    (tmp_path / "sweep.toml").write_text(SWEEP)
    words = [str(SCRIPT), str(tmp_path / "sweep.toml"), "--runs", str(runs), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", words)
    runpy.run_path(str(SCRIPT), run_name="__main__")
    told = capsys.readouterr()
    assert "buckets (paper): 2 of 3 seeds" in told.err
    assert "buckets (lifelong), seeds [0, 1, 2]: [" in told.out, "the made-up world is not official"
    assert [file.name for file in published_files(out)] == ["buckets.json"]
    assert strays(out) + misplaced(out, [(file, read_submission(file)) for file in published_files(out)]) == []
    hours = (out / "fake" / "hours.md").read_text()
    assert "3 runs, 1.0 hours of runs" in hours
    assert "| `buckets` | lifelong | 3 | 10 | 3600 |" in hours
