"""The short form of the release check perf/resume_check.py: kill the real thing, continue, compare."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from console import ROOT


@pytest.mark.slow
def test_killed_runs_come_to_the_same_end(tmp_path: Path) -> None:
    words = ["--steps", "30", "--kills", "3", "--folders", "1", "--out", str(tmp_path / "resume.json")]
    done = subprocess.run([sys.executable, ROOT / "perf" / "resume_check.py", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    evidence = json.loads((tmp_path / "resume.json").read_text())
    assert evidence["folders_equal"] == 1
    assert evidence["most_edits_repeated"] <= 50
    assert evidence["probes_asked_again"] == 0
    assert evidence["kills"]
