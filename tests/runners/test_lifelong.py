import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import Buckets, Crasher, FakeBackbone, NotANumber, Nothing, Options, Peeker, WrongShape, build, number

from liveedit_bench.benchmark.edits import LOCALITY_KINDS
from liveedit_bench.errors import BenchError
from liveedit_bench.leaderboards.schema import Result
from liveedit_bench.runners import lifelong
from liveedit_bench.runners.result import rescore
from liveedit_bench.runners.table import read_table

STEPS = 60
OPTIONS = Options(buckets=500, refuse_every=9, crash_every=7)


def run(out: Path, *, editor: Any = None, stream: Any = None, steps: int = STEPS, **more: Any) -> dict[str, Any]:
    return lifelong.run(
        editor=editor or Buckets(FakeBackbone(), OPTIONS),
        stream=stream or build(steps),
        steps=steps,
        out=out,
        progress=False,
        **more,
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("lifelong") / "run"
    return out, run(out)


def test_the_result_fits_the_schema_and_can_be_computed_again(done: tuple[Path, dict[str, Any]]):
    out, result = done
    Result.model_validate(result)
    assert json.loads((out / "result.json").read_text()) == result
    part, agrees = rescore(out)
    assert agrees is True
    assert part["score"] == result["score"]


def test_the_folder_holds_what_it_should(done: tuple[Path, dict[str, Any]]):
    out, _ = done
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert files == {
        "run.json",
        "journal.jsonl",
        "f0.json",
        "editor/state.safetensors",
        "probes.parquet",
        "result.json",
    }
    assert json.loads((out / "run.json").read_text())["status"] == "complete"


def test_every_checkpoint_asks_every_edit_so_far_and_one_panel(done: tuple[Path, dict[str, Any]]):
    out, result = done
    found, info = read_table(out / "probes.parquet")
    table: Any = found
    stream = build(STEPS)
    assert info.stream_sha256 == stream.sha256 == result["stream"]["sha256"]
    assert result["protocol"]["checkpoints"] == [1, 2, 5, 10, 20, 50, 60]
    panels = set()
    for step in result["protocol"]["checkpoints"]:
        at = table[(table["when"] == "checkpoint") & (table["step"] == step)]
        local = at["kind"].isin(LOCALITY_KINDS)
        asked = sorted(zip(at[~local]["position"], at[~local]["probe"], strict=True))
        assert asked == [
            (position, index)
            for position in range(step)
            for index, probe in enumerate(stream[position].probes)
            if probe.kind not in LOCALITY_KINDS
        ]
        panels.add(tuple(zip(at[local]["position"], at[local]["probe"], strict=True)))
    assert len(panels) == 1
    after = table[table["when"] == "after_edit"]
    assert after["position"].tolist() == list(range(STEPS))
    assert after["step"].tolist() == list(range(1, STEPS + 1))
    assert set(after["kind"]) == {"reliability"}


def test_failed_edits_stay_in_the_denominator_with_nothing(done: tuple[Path, dict[str, Any]]):
    out, result = done
    failures = result["failures"]
    assert failures["kinds"].keys() == {"refused", "ValueError"}
    table: Any = read_table(out / "probes.parquet")[0]
    stream, step = build(STEPS), result["curve"][-1]["step"]
    failed = table[table["status"] == "failed"]
    assert failed["position"].nunique() == failures["edits"] == sum(failures["kinds"].values())
    assert not failed["kind"].isin(LOCALITY_KINDS).any()
    assert (failed["free_running"] == 0).all()
    assert failed["answer"].notna().all()  # it is asked all the same
    point = result["curve"][-1]["metrics"]["reliability"]["free_running"]
    assert point["n"] == len({edit.facts.key for edit in stream})  # the newest edit of each fact
    assert result["superseded"]["edits"] == STEPS - point["n"] > 0
    assert step == STEPS
    journal = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    messages = [line["message"] for line in journal if line["event"] == "edit" and not line["ok"]]
    assert "half-way through" in messages  # one line of it


def test_a_crash_inside_an_edit_leaves_no_trace(done: tuple[Path, dict[str, Any]], tmp_path: Path):
    """What follows a failed edit is what would follow had the edit not been given."""

    class Skips(Buckets):
        def edit(self, request: Any) -> None:
            value = number(request.target, request.image.sha256)
            if value % OPTIONS.refuse_every == 0 or value % OPTIONS.crash_every == 1:
                before = self.edits
                try:
                    super().edit(request)
                except Exception:  # only drawn edits that are not forgotten crash
                    self.kept = dict(self.last)
                    self.edits = before
                    raise
            else:
                super().edit(request)
            self.last = dict(self.kept)

        def reset(self) -> None:
            super().reset()
            self.last: dict[int, str] = {}

        def load_state_dict(self, state: Any) -> None:
            super().load_state_dict(state)
            self.last = dict(self.kept)

    skipped = run(tmp_path / "run", editor=Skips(FakeBackbone(), OPTIONS))
    assert skipped["curve"] == done[1]["curve"]


def test_the_same_command_twice_gives_the_same_bytes(done: tuple[Path, dict[str, Any]], tmp_path: Path):
    out, result = done
    again = run(tmp_path / "again")
    assert again["digest"] == result["digest"]
    assert (tmp_path / "again" / "probes.parquet").read_bytes() == (out / "probes.parquet").read_bytes()
    other = run(tmp_path / "other", seed=1)
    assert other["digest"] != result["digest"]


def test_a_finished_run_is_only_read(done: tuple[Path, dict[str, Any]]):
    out, result = done
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    heard: list[Path] = []
    assert run(out, after=lambda folder, stream: heard.append(folder)) == result
    assert heard == [out]
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "begun with seed 0, not seed 1"),
        ({"checkpoints": [3]}, "begun with checkpoints"),
        ({"batch_size": 7}, "batch_size 64, not batch_size 7"),
        ({"editor": Buckets(FakeBackbone(), replace(OPTIONS, buckets=3))}, "begun with options"),
        ({"editor": Nothing(FakeBackbone())}, 'begun with editor "buckets", not editor "nothing"'),
        ({"stream": build(STEPS, seed=4)}, "begun with stream_seed"),
    ],
)
def test_another_run_is_refused(done: tuple[Path, dict[str, Any]], change: dict[str, Any], words: str):
    with pytest.raises(BenchError, match=words):
        run(done[0], **change)


def test_other_weights_and_other_code_are_refused(done: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch):
    other = FakeBackbone()
    other.weights_sha256 = "f" * 64
    with pytest.raises(BenchError, match="backbone_weights_sha256"):
        run(done[0], editor=Buckets(other, OPTIONS))
    with monkeypatch.context() as patch:
        patch.setattr(Buckets, "weights_sha256", "1" * 64)
        with pytest.raises(BenchError, match="editor_weights_sha256"):
            run(done[0])
    monkeypatch.setattr("liveedit_bench.runners.identity.code_sha256", lambda editor: "2" * 64)
    with pytest.raises(BenchError, match="code_sha256"):
        run(done[0])


def test_fresh_starts_over(tmp_path: Path):
    first = run(tmp_path, steps=5)
    (tmp_path / "notes.txt").write_text("mine")
    second = run(tmp_path, steps=6, fresh=True)
    assert (first["stream"]["edits"], second["stream"]["edits"]) == (5, 6)
    assert (tmp_path / "notes.txt").exists()


@pytest.mark.parametrize(("kind", "words"), [(WrongShape, "shape"), (NotANumber, "NaN"), (Crasher, "KeyError")])
def test_a_broken_editor_stops_the_run_and_loses_nothing(tmp_path: Path, kind: Any, words: str):
    with pytest.raises(BenchError, match=f"editor '{kind.name}' .*at step 1 .*"):
        run(tmp_path, editor=kind(FakeBackbone()), steps=5)
    assert (tmp_path / "f0.json").exists()


def test_an_editor_that_is_not_causal_voids_the_run(tmp_path: Path):
    result = run(tmp_path, editor=Peeker(FakeBackbone()), steps=20)
    assert result["status"] == "void"
    assert result["causality"]["mismatches"] > 0
    assert "score" not in result
    Result.model_validate(result)
    assert rescore(tmp_path)[1] is True


def test_answers_are_those_of_a_plain_loop(done: tuple[Path, dict[str, Any]]):
    """The same edits without any harness: one editor, one edit after another, every answer generated alone."""
    import torch

    from liveedit_bench.benchmark.backbone import Query
    from liveedit_bench.benchmark.editor import EditRequest

    table, _ = read_table(done[0] / "probes.parquet")
    stream, editor = build(STEPS), Buckets(FakeBackbone(), OPTIONS)
    torch.manual_seed(0)
    for position, edit in enumerate(stream):
        before, state = torch.get_rng_state(), editor.state_dict()
        try:
            editor.edit(EditRequest(edit.image, edit.prompt, edit.target))
        except Exception:
            torch.set_rng_state(before)
            editor.load_state_dict(state)
        now = table[(table["step"] == position + 1) & (table["status"] != "expired")]
        for where, index, answer in zip(now["position"], now["probe"], now["answer"], strict=True):
            probe = stream[where].probes[index]
            assert editor.generate([Query(probe.image, probe.prompt)])[0].text == answer


def test_damaged_folders_are_told(tmp_path: Path, done: tuple[Path, dict[str, Any]]):
    import shutil

    for name, content in (
        ("run.json", "{"),
        ("run.json", "[]"),
        ("result.json", "{"),
    ):
        out = tmp_path / f"{name}{len(content)}"
        shutil.copytree(done[0], out)
        (out / name).write_text(content)
        with pytest.raises(BenchError, match=f"{name}.*damaged.*--fresh"):
            run(out)


@pytest.mark.parametrize("name", ["f0.json", "parts/step-000010.parquet", "editor/state.safetensors"])
def test_damage_in_an_unfinished_folder_is_told(tmp_path: Path, name: str):
    class Stops(Buckets):
        def edit(self, request: Any) -> None:
            if self.edits == 15:
                raise KeyboardInterrupt
            super().edit(request)

    options = Options(forget=0.0)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, editor=Stops(FakeBackbone(), options), steps=20)
    (tmp_path / name).write_bytes(b"rubbish")
    with pytest.raises(BenchError, match=r"damaged.*--fresh"):
        run(tmp_path, editor=_named_like(Stops, Buckets)(FakeBackbone(), options), steps=20)


def _named_like(kind: type, base: type) -> type:
    """The same source file, so the same code hash, without the interruption."""
    return type(kind.__name__, (base,), {"__module__": kind.__module__})


def test_a_full_disk_is_one_line_and_the_run_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import errno

    whole = run(tmp_path / "whole", steps=20)
    real, calls = os.fsync, [0]

    def full(handle: int) -> None:
        calls[0] += 1
        if calls[0] > 40:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BenchError, match="no space is left"):
        run(tmp_path / "out", steps=20)
    monkeypatch.setattr(os, "fsync", real)
    assert run(tmp_path / "out", steps=20)["digest"] == whole["digest"]


def test_steps_are_checked_before_anything_is_loaded(tmp_path: Path):
    place = f"{Path(__file__).parent.parent / 'fakes.py'}:build"
    with pytest.raises(BenchError, match="from 1 to 400"):
        run(tmp_path, stream=place, steps=0)
    with pytest.raises(BenchError, match="the largest possible number is 400"):
        run(tmp_path, stream=place, steps=401)
    with pytest.raises(BenchError, match="batch-size 0"):
        run(tmp_path, steps=5, batch_size=0)
