"""A stream that edits facts again, replayed: what leaves the denominator, counted by hand."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from liveedit_bench.benchmark.edits import EditStream
from liveedit_bench.data_builders.emblems import build
from liveedit_bench.data_builders.scenarios import arrange
from liveedit_bench.leaderboards.report import write_report
from liveedit_bench.leaderboards.schema import Result
from liveedit_bench.runners import lifelong
from liveedit_bench.runners.result import rescore
from liveedit_bench.runners.table import read_table

BASE, SECOND = 25, 5
STEPS = BASE + SECOND
QUESTIONS = 3  # reliability, text and image generality: what asks for the edited fact


@pytest.fixture(scope="module")
def stream() -> EditStream:
    return arrange(build(BASE, seed=0, split="validation"), ["superseding"], seed=1)


@pytest.fixture(scope="module")
def overrides(stream: EditStream) -> list[tuple[int, int]]:
    """Positions of the first and the second edit of a fact, by comparing every two edits."""
    edits = list(stream)
    return [
        (one, two)
        for one in range(STEPS)
        for two in range(one + 1, STEPS)
        if edits[one].facts.key == edits[two].facts.key
    ]


@pytest.fixture(scope="module")
def runs(stream: EditStream, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    for name in ("oracle", "none", "liveedit"):
        out = tmp_path_factory.mktemp("superseded") / name
        result = lifelong.run(
            editor=name,
            stream=stream,
            steps=STEPS,
            checkpoints=[8, 20],
            panel_size=10,
            out=out,
            device="cpu",
            progress=False,
        )
        found[name] = out, result
    return found


def free(result: dict[str, Any], kind: str) -> dict[str, Any]:
    return result["curve"][-1]["metrics"][kind]["free_running"]


@pytest.mark.parametrize("name", ["oracle", "none", "liveedit"])
def test_the_counts_of_every_checkpoint(
    runs: dict[str, Any], overrides: list[tuple[int, int]], stream: EditStream, name: str
):
    out, result = runs[name]
    assert len(overrides) == SECOND
    table: Any = read_table(out / "probes.parquet")[0]
    for point in result["curve"]:
        step = point["step"]
        over = [one for one, two in overrides if two < step]
        rows = table[(table["step"] == step) & (table["when"] == "checkpoint")]
        told = rows[rows["status"] == "superseded"]
        assert sorted(set(told["position"])) == sorted(over)
        assert point.get("superseded", 0) == len(told) == QUESTIONS * len(over)
        assert point["metrics"]["reliability"]["free_running"]["n"] == step - len(over)
        for row in told.itertuples():
            (newest,) = (two for one, two in overrides if one == row.position)
            assert (row.expected, row.leak) == (stream[newest].target, stream[row.position].target)
        hops = [
            (position, probe)
            for position in over
            for probe, asked in enumerate(stream[position].probes)
            if asked.kind == "portability"
        ]
        gone = rows[rows["status"] == "expired"]
        assert sorted(zip(gone["position"], gone["probe"], strict=True)) == hops
        assert point["expired"] == len(hops)
    assert result["superseded"]["edits"] == SECOND
    assert result["superseded"]["probes"] == QUESTIONS * SECOND
    assert sum(age["n"] for age in result["forgetting"]) == STEPS - SECOND
    assert result["immediate"]["free_running"]["n"] == STEPS
    assert result["stream"]["scenario"] == "superseding"
    # The stream was arranged by seed 1 and run by seed 0.
    assert (result["stream"]["seed"], json.loads((out / "run.json").read_text())["spec"]["seed"]) == (1, 0)


def test_the_oracle_is_right_wherever_it_counts(runs: dict[str, Any]):
    result = runs["oracle"][1]
    assert free(result, "reliability") == {"value": 1.0, "n": STEPS - SECOND, "ci95": [1.0, 1.0]}
    # It knows the edited question, in its own words and of its own picture: one question of three.
    assert result["superseded"] == {"edits": SECOND, "probes": 15, "newest": pytest.approx(1 / 3), "stale": 0.0}
    assert all(age["value"] == 0 for age in result["forgetting"])


def test_without_an_editor_nobody_says_either_target(runs: dict[str, Any]):
    result = runs["none"][1]
    assert free(result, "reliability")["value"] == 0
    assert result["superseded"] == {"edits": SECOND, "probes": 15, "newest": 0.0, "stale": 0.0}


def test_the_shipped_liveedit(runs: dict[str, Any]):
    out, result = runs["liveedit"]
    table: Any = read_table(out / "probes.parquet")[0].astype({"answer": str, "expected": str, "leak": str})
    told = table[(table["step"] == STEPS) & (table["when"] == "checkpoint") & (table["status"] == "superseded")]
    answers = list(zip(told["answer"], told["expected"], told["leak"], strict=True))
    said = result["superseded"]
    assert said["newest"] == pytest.approx(sum(answer == newest for answer, newest, _ in answers) / 15)
    assert said["stale"] == pytest.approx(sum(answer == old for answer, _, old in answers) / 15)
    assert 0 < said["newest"] + said["stale"] <= 1
    counted = table[(table["step"] == STEPS) & (table["when"] == "checkpoint") & (table["kind"] == "reliability")]
    counted = counted[counted["status"] == "asked"]
    assert free(result, "reliability")["value"] == pytest.approx((counted["answer"] == counted["expected"]).mean())


@pytest.mark.parametrize("name", ["oracle", "none", "liveedit"])
def test_floors_and_schema_and_scoring_anew(runs: dict[str, Any], name: str):
    out, result = runs[name]
    Result.model_validate(result)
    assert rescore(out)[1] is True
    assert result["floors"] == runs["none"][1]["floors"]
    assert result["floors"]["none"]["metrics"]["reliability"] == free(runs["none"][1], "reliability")["value"]


def test_the_report_says_so(runs: dict[str, Any], stream: EditStream, tmp_path: Path):
    shutil.copytree(runs["oracle"][0], tmp_path / "run")
    write_report(tmp_path / "run", loader=lambda _: stream)
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "the fact of 5 asked edits was edited again later" in html
    assert "0.333 got the newest target, 0.000 the stale one" in html
    assert "<dd><bdi>superseding</bdi></dd>" in html
