"""Whatever a tracker does, the run is what it would have been without it."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import Buckets, FakeBackbone, Nothing, Options, build

from liveedit_bench.runners import lifelong, paper
from liveedit_bench.runners.tracking import following

STEPS, OPTIONS = 12, Options(buckets=500, forget=0.3)
Trouble = Callable[[], None]


class Listener:
    """Keeps what it is told; `trouble` strikes at one of begin, point and end."""

    def __init__(self, at: str = "", trouble: Trouble | None = None) -> None:
        self.at, self.trouble = at, trouble
        self.runs: list[Any] = []
        self.points: list[tuple[int, dict[str, float]]] = []
        self.ends: list[Any] = []

    def begin(self, run: Any) -> None:
        self.runs.append(run)
        self._strike("begin")

    def point(self, step: int, numbers: Any) -> None:
        self.points.append((step, dict(numbers)))
        self._strike("point")

    def end(self, summary: Any) -> None:
        self.ends.append(summary)
        self._strike("end")

    def _strike(self, at: str) -> None:
        if at == self.at and self.trouble is not None:
            self.trouble()


def fall_over() -> None:
    raise RuntimeError("the cloud\nis gone")


def play(monkeypatch: pytest.MonkeyPatch, out: Path, *listeners: Listener, **more: Any) -> dict[str, Any]:
    found = {f"listener{number}": each for number, each in enumerate(listeners)}
    monkeypatch.setattr(lifelong, "load_trackers", lambda names: found)
    given: dict[str, Any] = {"editor": Buckets(FakeBackbone(), OPTIONS), "stream": build(STEPS), "steps": STEPS}
    return lifelong.run(**given | more, out=out, progress=False)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "run"
    lifelong.run(editor=Buckets(FakeBackbone(), OPTIONS), stream=build(STEPS), steps=STEPS, out=out, progress=False)
    return out


def same_answers(out: Path, alone: Path) -> bool:
    return (out / "probes.parquet").read_bytes() == (alone / "probes.parquet").read_bytes()


def test_every_point_is_told_with_the_numbers_of_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: Path
):
    listener = Listener()
    result = play(monkeypatch, tmp_path / "run", listener)
    assert [step for step, _ in listener.points] == [point["step"] for point in result["curve"]]
    for (_, numbers), point in zip(listener.points, result["curve"], strict=True):
        told = {name: value for name, value in numbers.items() if not name.startswith("cost/")}
        wanted = {
            f"{kind}/{scorer}": of[scorer]["value"]
            for kind, of in point["metrics"].items()
            for scorer in ("teacher_forced", "free_running")
            if scorer in of
        }
        assert wanted.items() <= told.items()
        assert set(told) - set(wanted) <= {
            f"{name}/{scorer}"
            for name in ("score", "generality", "locality")
            for scorer in ("free_running", "teacher_forced")
        }
        assert {"cost/state_bytes", "cost/edit_seconds", "cost/peak_memory_bytes"} <= set(numbers)
    assert numbers["score/free_running"] == result["score"]["value"]
    assert listener.ends == [{"score": result["score"]["value"], "paper_average": result["paper_average"]["value"]}]
    (run,) = listener.runs
    assert run.name == "run"
    assert run.config["stream_sha256"] == result["stream"]["sha256"]
    assert same_answers(tmp_path / "run", alone)


def test_the_paper_protocol_tells_a_point_for_each_block_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    listener = Listener()
    monkeypatch.setattr(paper, "load_trackers", lambda names: {"listener": listener})
    editor = Nothing(FakeBackbone())
    result = paper.run(editor=editor, stream=build(6), blocks=[1, 3], steps=6, out=tmp_path / "run", progress=False)
    assert [step for step, _ in listener.points] == [1, 3]
    for (_, numbers), point in zip(listener.points, result["curve"], strict=True):
        assert numbers["reliability/teacher_forced"] == point["metrics"]["reliability"]["teacher_forced"]["value"]
        assert numbers["average/teacher_forced"] == point["average"]["value"]
    assert listener.ends == [{"average": result["curve"][-1]["average"]["value"]}]


@pytest.mark.parametrize("at", ["begin", "point", "end"])
def test_trouble_costs_one_warning_and_one_tracker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], alone: Path, at: str
):
    bad, good = Listener(at, fall_over), Listener()
    result = play(monkeypatch, tmp_path / "run", bad, good)
    assert result["status"] == "complete"
    assert same_answers(tmp_path / "run", alone)
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning:")]
    what = {"begin": "begin", "point": "take a point", "end": "end"}[at]
    assert warnings == [f"warning: listener0 could not {what} (the cloud is gone); the run goes on without it"]
    assert (len(bad.points), len(bad.ends)) == {"begin": (0, 0), "point": (1, 0), "end": (len(good.points), 1)}[at]
    assert len(good.points) == len(result["curve"])


def test_what_a_tracker_draws_stays_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: Path):
    def noise() -> None:
        random.random()
        np.random.rand()
        torch.rand(3)
        torch.manual_seed(5)

    play(monkeypatch, tmp_path / "run", Listener("point", noise))
    assert same_answers(tmp_path / "run", alone)


def test_numbers_that_cannot_be_had_are_a_warning_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], alone: Path
):
    def none(*given: Any) -> Any:
        raise ValueError("no rows")

    monkeypatch.setattr(following, "point_numbers", none)
    play(monkeypatch, tmp_path / "run", Listener())
    assert same_answers(tmp_path / "run", alone)
    assert "could not take a point (no rows)" in capsys.readouterr().err


class Stops(Buckets):
    """Is interrupted at its eighth edit, once."""

    stops = True

    def edit(self, request: Any) -> None:
        if self.stops and self.edits >= 7:
            type(self).stops = False
            raise KeyboardInterrupt
        super().edit(request)


def test_an_interrupted_run_is_told_so_and_goes_on_under_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first, second, fresh = Listener(), Listener(), Listener()
    options = Options(buckets=500)

    def once(listener: Listener, **more: Any) -> None:
        play(monkeypatch, tmp_path / "run", listener, editor=Stops(FakeBackbone(), options), **more)

    with pytest.raises(KeyboardInterrupt):
        once(first)
    assert first.ends == [None]
    once(second)
    assert [step for step, _ in first.points + second.points] == [1, 2, 5, 10, 12]
    assert first.runs[0].id == second.runs[0].id
    assert second.ends[0] is not None
    finished = Listener()
    once(finished)  # nothing is left to follow
    assert finished.runs == []
    once(fresh, fresh=True)
    assert fresh.runs[0].id != first.runs[0].id
