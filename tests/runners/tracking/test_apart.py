"""A tracker in its own process, which makes all the trouble there is."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from liveedit_bench.runners.tracking import apart
from liveedit_bench.runners.tracking.apart import Apart, TrackerError
from liveedit_bench.runners.tracking.tracker import TrackedRun

TESTS = Path(__file__).parents[2]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    return tmp_path / "log"


def told(log: Path) -> list[str]:
    return [json.loads(line)[0] for line in log.read_text().splitlines()]


def tell(tracker: Apart, folder: Path) -> None:
    tracker.begin(TrackedRun("ab", "my-run", {"seed": 3, "where": Path("x")}, folder))
    tracker.point(5, {"score/free_running": 0.5})
    tracker.end({"score": 0.5})


def test_calls_arrive_as_they_were_given(log: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    tell(Apart("troubled_tracker"), tmp_path)
    assert [json.loads(line) for line in log.read_text().splitlines()] == [
        ["begin", ["ab", "my-run", str(tmp_path)]],
        ["point", [5, {"score/free_running": 0.5}]],
        ["end", {"score": 0.5}],
    ]
    out, err = capfd.readouterr()
    assert (out, err.count("a greeting")) == ("", 3)


@pytest.mark.parametrize("at", ["begin", "point", "end"])
@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("raise", "RuntimeError: the cloud is gone"),
        ("leave", "SystemExit: 3"),
        ("interrupt", "KeyboardInterrupt"),
        ("die", "its process ended"),
        ("hang", "no answer within 2 s"),
    ],
)
def test_trouble_is_one_line_and_leaves_no_process(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, trouble: str, said: str
):
    monkeypatch.setenv("AT", at)
    monkeypatch.setenv("TROUBLE", trouble)
    if trouble == "hang":
        monkeypatch.setattr(apart, "PATIENCE", 2.0)
    tracker, started = Apart("troubled_tracker"), list[subprocess.Popen[bytes]]()
    usual: Any = subprocess.Popen

    def popen(*given: Any, **more: Any) -> subprocess.Popen[bytes]:
        started.append(usual(*given, **more))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(TrackerError, match=said):
        tell(tracker, tmp_path)
    assert told(log)[-1] == at
    (process,) = started
    assert process.poll() is not None
    with pytest.raises(TrackerError, match="has not begun"):
        tracker.point(6, {})


@pytest.mark.parametrize("trouble", ["linger", "ask"])
def test_what_a_tracker_leaves_behind_does_not_hold_up_the_exit(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
):
    monkeypatch.setenv("AT", "begin")
    monkeypatch.setenv("TROUBLE", trouble)
    monkeypatch.setattr(apart, "LEAVE", 60.0)
    began = time.monotonic()
    tell(Apart("troubled_tracker"), tmp_path)
    assert time.monotonic() - began < 50
    assert told(log) == ["begin", "point", "end"]


def test_a_run_that_ends_without_a_word_takes_its_tracker_along(log: Path, tmp_path: Path):
    code = (
        "import os; from pathlib import Path; from liveedit_bench.runners.tracking.apart import Apart;"
        "from liveedit_bench.runners.tracking.tracker import TrackedRun;"
        f"t = Apart('troubled_tracker'); t.begin(TrackedRun('ab', 'r', {{}}, Path({str(tmp_path)!r})));"
        "print(t._process.pid, flush=True); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    child = Path("/proc") / done.stdout.strip()
    until = time.monotonic() + 20
    while child.exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not child.exists() or "Z" in (child / "stat").read_text().split()[2]
