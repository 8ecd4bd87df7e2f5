import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from submitted import make_run

from liveedit_bench import cli
from liveedit_bench.errors import BenchError
from liveedit_bench.leaderboards.schema import json_schema, json_schema_text
from liveedit_bench.leaderboards.submission import SCHEMA_FILE, Submission, seal
from liveedit_bench.leaderboards.submission_making import submit
from liveedit_bench.leaderboards.submission_table import unpack
from liveedit_bench.runners.table import read_table


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    return [make_run(folder / str(seed), seed=seed) for seed in (3, 1, 2)]


def test_published_file_is_the_models_schema():
    assert SCHEMA_FILE.read_text(encoding="utf-8") == json_schema_text(Submission)


def test_a_submission_holds_its_runs_and_their_answers(runs: list[Path], tmp_path: Path):
    packed = submit(runs, name="My method", out=tmp_path / "mine.json", by="somebody")
    written = json.loads((tmp_path / "mine.json").read_text())
    jsonschema.Draft202012Validator(json_schema(Submission)).validate(written)
    assert written == packed.submission.plain()
    assert (written["seeds"], written["by"], written["probes"]["file"]) == ([1, 2, 3], "somebody", "mine.parquet")
    assert written["sha256"] == seal(written)
    results = [json.loads((run / "result.json").read_text()) for run in (runs[1], runs[2], runs[0])]
    assert [run["result"] for run in written["runs"]] == results
    score = written["curve"][-1]["metrics"]["score"]["free_running"]
    assert score["n"] == 3
    assert score["value"] == pytest.approx(sum(result["score"]["value"] for result in results) / 3)
    tables = unpack(tmp_path / "mine.parquet", sha256=written["probes"]["sha256"], rows=written["probes"]["rows"])
    for number, run in enumerate((runs[1], runs[2], runs[0])):
        ours, theirs = tables[number], read_table(run / "probes.parquet")[0]
        order = ["step", "when", "position", "probe"]
        for name in ("position", "probe", "status", "expected", "answer", "edit", "thing"):
            sorted_ours: Any = ours.sort_values(order)
            assert sorted_ours[name].astype(object).tolist() == theirs[name].astype(object).tolist()


def test_the_files_follow_from_the_runs_alone(runs: list[Path], tmp_path: Path):
    for name, order in (("a", runs), ("b", runs[::-1])):
        (tmp_path / name).mkdir()
        submit(order, name="My method", out=tmp_path / name / "mine.json")
    for file in ("mine.json", "mine.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_journal_is_told(runs: list[Path], tmp_path: Path):
    journal = submit(runs, name="My method", out=tmp_path / "mine.json").submission.runs[0].journal
    table = read_table(runs[1] / "probes.parquet")[0]
    assert journal.rows["0"] == 30
    assert sum(journal.rows.values()) == len(table)
    failed = [position for positions in journal.failed.values() for position in positions]
    assert failed
    assert len(journal.edit_seconds.split()) == 30 - len(failed)


def test_the_paper_protocol(tmp_path: Path):
    run = make_run(tmp_path / "run", protocol="paper")
    made = submit([run], name="My method", out=tmp_path / "mine.paper.json").submission
    assert made.probes.file == "mine.paper.parquet"
    assert [point.step for point in made.curve] == [1, 10]
    average = made.curve[0].metrics["average"]["teacher_forced"]
    of_the_run = made.runs[0].result.curve[0].average
    assert of_the_run is not None
    assert average.value == of_the_run.value
    assert made.runs[0].asked.panel_size is None


def test_reasons_are_computed(runs: list[Path], tmp_path: Path):
    made = submit(runs[:1], name="My method", out=tmp_path / "mine.json").submission
    assert not made.official
    said = " | ".join(made.reasons)
    for words in ("1 of 3 seeds", "the dataset fake", "limited: 30 edits", "a panel of 20"):
        assert words in said


def test_what_signs_in_somewhere_is_taken_out(tmp_path: Path):
    run = make_run(tmp_path / "run")
    _change(run, lambda result: result["environment"].update(git={"remote": "https://me:secret@host/x"}))
    submit([run], name="My method", out=tmp_path / "mine.json")
    assert "secret" not in (tmp_path / "mine.json").read_text()


@pytest.mark.parametrize("name", ["", "<b>x</b>", "a\x1b[31mb", "x" * 81, " x", "a\u202eb", "a|b"])
def test_names_that_cannot_be_shown_are_refused(name: str, runs: list[Path], tmp_path: Path):
    with pytest.raises(BenchError, match="no submission: name"):
        submit(runs[:1], name=name, out=tmp_path / "mine.json")
    assert not list(tmp_path.iterdir())


def test_runs_that_do_not_belong_together_are_refused(runs: list[Path], tmp_path: Path):
    out = tmp_path / "mine.json"
    other = make_run(tmp_path / "other", seed=7, panel_size=10)
    with pytest.raises(BenchError, match="different things: panel is"):
        submit([runs[0], other], name="My method", out=out)
    with pytest.raises(BenchError, match="two runs have the seed 3"):
        submit([runs[0], runs[0]], name="My method", out=out)
    paper = make_run(tmp_path / "paper", seed=8, protocol="paper")
    with pytest.raises(BenchError, match="different things: protocol is"):
        submit([runs[0], paper], name="My method", out=out)


def test_runs_that_are_not_as_a_run_left_them_are_refused(tmp_path: Path):
    run, out = make_run(tmp_path / "run"), tmp_path / "mine.json"
    with pytest.raises(BenchError, match="no run folder"):
        submit([tmp_path], name="My method", out=out)
    with pytest.raises(BenchError, match="must be called NAME"):
        submit([run], name="My method", out=tmp_path / "mine.txt")
    kept = (run / "run.json").read_text()
    (run / "run.json").write_text(kept.replace('"complete"', '"running"'))
    with pytest.raises(BenchError, match="not finished"):
        submit([run], name="My method", out=out)
    (run / "run.json").write_text(kept.replace('"complete"', '"void"'))
    with pytest.raises(BenchError, match="is void"):
        submit([run], name="My method", out=out)
    (run / "run.json").write_text(kept)
    journal = (run / "journal.jsonl").read_bytes()
    (run / "journal.jsonl").write_bytes(journal[:-20])
    with pytest.raises(BenchError, match="is damaged"):
        submit([run], name="My method", out=out)
    (run / "journal.jsonl").write_text("[" * 100_000)
    with pytest.raises(BenchError, match="is damaged \\(RecursionError"):
        submit([run], name="My method", out=out)
    (run / "journal.jsonl").write_bytes(journal)
    (run / "run.json").write_text("[" * 100_000)
    with pytest.raises(BenchError, match="is nested too deep"):
        submit([run], name="My method", out=out)
    (run / "run.json").write_text(kept)
    _change(run, lambda result: result["score"].update(value=0.5))
    with pytest.raises(BenchError, match="one of them was changed"):
        submit([run], name="My method", out=out)


def test_the_command(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["submit", *map(str, runs), "--name", "My method", "--out", str(tmp_path / "mine.json")]
    for more in ([], ["--json"]):
        with pytest.raises(SystemExit) as end:
            cli.main([*words, *more])
        assert end.value.code == 0
        said = capsys.readouterr().out
        assert "a panel of 20" in said
    assert json.loads(said)["official"] is False


def _change(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    result = json.loads((run / "result.json").read_text())
    change(result)
    (run / "result.json").write_text(json.dumps(result))
