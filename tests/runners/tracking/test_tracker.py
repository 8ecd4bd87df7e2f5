import importlib.machinery
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from liveedit_bench.cli import main
from liveedit_bench.errors import BenchError
from liveedit_bench.runners.tracking.tracker import TRACKERS, TrackedRun, load_trackers
from liveedit_bench.runners.tracking.trackio import Trackio
from liveedit_bench.runners.tracking.wandb import Wandb


def tracked(folder: Path) -> TrackedRun:
    return TrackedRun("ab" * 16, "my-run", {"editor": "oracle", "seed": 3}, folder)


def test_unknown_and_missing_trackers_are_told_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    with pytest.raises(BenchError, match="--track mlflow is unknown; there are wandb, trackio, tensorboard"):
        load_trackers(["mlflow"])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name in TRACKERS:
        with pytest.raises(BenchError, match=rf"--track {name} needs the package {name}: pip install"):
            load_trackers([name])
    with pytest.raises(SystemExit) as ended:
        main(["run", "--editor", "oracle", "--track", "wandb", "--out", str(tmp_path / "run")])
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: --track wandb needs the package wandb: pip install 'liveedit-bench[wandb]'"
    ]
    assert not (tmp_path / "run").exists()


def test_nothing_is_imported_that_nobody_asked_for():
    assert load_trackers([]) == {}
    assert {"wandb", "trackio"}.isdisjoint(sys.modules)


def test_tensorboard_reads_what_was_told(tmp_path: Path):
    for step, value in ((1, 0.5), (10, 0.25)):  # interrupted in between: two event files, one run
        (tracker,) = load_trackers(["tensorboard"]).values()  # in a process of its own
        tracker.begin(tracked(tmp_path))
        tracker.point(step, {"reliability/free_running": value})
        tracker.end({"score": 0.75} if step == 10 else None)
    found = EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    assert [(each.step, each.value) for each in found.Scalars("reliability/free_running")] == [(1, 0.5), (10, 0.25)]
    assert [(each.step, each.value) for each in found.Scalars("result/score")] == [(10, 0.75)]
    assert b'"editor": "oracle"' in found.Tensors("run/text_summary")[0].tensor_proto.string_val[0]


class Recorded:
    """A run of wandb or trackio."""

    def __init__(self, into: list[Any]) -> None:
        self.into, self.summary = into, dict[str, float]()

    def log(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.into.append(("log", metrics, step))

    def finish(self, **more: Any) -> None:
        self.into.append(("finish", self.summary, more))


def pretend(monkeypatch: pytest.MonkeyPatch, name: str) -> list[Any]:
    """A package of this name whose `init` keeps what it is given."""
    calls: list[Any] = []

    def init(**given: Any) -> Recorded:
        calls.append(("init", given))
        return Recorded(calls)

    module: Any = ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    module.init, module.Settings = init, lambda **given: SimpleNamespace(**given)
    monkeypatch.setitem(sys.modules, name, module)
    return calls


def test_wandb_is_told_the_curve_and_the_headlines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls = pretend(monkeypatch, "wandb")
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    tracker = Wandb()
    run = tracked(tmp_path)
    tracker.begin(run)
    tracker.point(5, {"score/free_running": 0.5})
    tracker.end({"score": 0.5})
    (_, given), logged, finished = calls
    assert {name: given[name] for name in ("project", "id", "name", "config", "resume")} == {
        "project": "mine",
        "id": run.id,
        "name": "my-run",
        "config": run.config,
        "resume": "allow",
    }
    assert (given["settings"].console, given["settings"].disable_git, given["settings"].save_code) == (
        "off",
        True,
        False,
    )
    assert logged == ("log", {"score/free_running": 0.5}, 5)
    assert finished == ("finish", {"score": 0.5}, {"exit_code": 0})
    tracker.end(None)
    assert calls[-1][2] == {"exit_code": 1}


def test_trackio_is_told_the_curve_and_the_headlines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls = pretend(monkeypatch, "trackio")
    monkeypatch.delenv("TRACKIO_PROJECT", raising=False)
    tracker = Trackio()
    run = tracked(tmp_path)
    tracker.begin(run)
    tracker.point(5, {"score/free_running": 0.5})
    tracker.end({"score": 0.5})
    (_, given), *logged, finished = calls
    assert (given["project"], given["name"], given["resume"]) == ("liveedit-bench", "my-run-abababab", "allow")
    assert json.loads(json.dumps(given["config"])) == run.config
    assert logged == [("log", {"score/free_running": 0.5}, 5), ("log", {"result/score": 0.5}, None)]
    assert finished[0] == "finish"
