"""Exports carry the numbers of the submission, in the shapes that were published by others."""

import json
from pathlib import Path

import pytest
import yaml
from submitted import make_run
from typer.testing import CliRunner

from liveedit_bench.cli import app
from liveedit_bench.errors import BenchError
from liveedit_bench.leaderboards.exports.every_eval_ever import Evaluation
from liveedit_bench.leaderboards.exports.export import export
from liveedit_bench.leaderboards.exports.hub import EvalResults
from liveedit_bench.leaderboards.submission import Submission
from liveedit_bench.leaderboards.submission_making import submit
from liveedit_bench.leaderboards.submission_reading import read_submission


@pytest.fixture(scope="module", params=["lifelong", "paper"])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(f"exports-{request.param}")
    runs = [make_run(folder / str(seed), seed=seed, protocol=request.param) for seed in (0, 1)]
    submit(runs, name="My method: ünusual", out=folder / "mine.json", by="Somebody")
    return folder / "mine.json"


def headline(submission: Submission) -> float:
    last = submission.curve[-1].metrics
    if submission.protocol == "paper":
        return last["average"]["teacher_forced"].value
    return last["score"]["free_running"].value


def test_eval_results_hold_the_headline_and_say_what_it_is(file: Path, tmp_path: Path):
    out = tmp_path / ".eval_results" / "mine.yaml"
    export(file, to="eval-results", out=out, hub_dataset="somebody/emblems", source="https://example.org/mine.json")
    (entry,) = EvalResults.validate_python(yaml.safe_load(out.read_text()))
    submission = read_submission(file)
    assert entry.value == headline(submission)
    assert (entry.dataset.id, entry.dataset.task_id) == ("somebody/emblems", submission.protocol)
    assert entry.source
    assert entry.source.url == "https://example.org/mine.json"
    assert entry.notes
    assert "2 seeds" in entry.notes
    assert "not official: 2 of 3 seeds" in entry.notes
    assert "My method: ünusual" in entry.notes


def test_every_number_of_the_curve_becomes_a_result(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    out = tmp_path / "mine.eee.json"
    export(file, to="every-eval-ever", out=out, relationship="third_party")
    made, submission = Evaluation.model_validate_json(out.read_bytes()), read_submission(file)
    found = {each.evaluation_name: each.score_details for each in made.evaluation_results}
    wanted = {
        f"{kind}, {scorer}, after {point.step} edits": number
        for point in submission.curve
        for kind, scorers in point.metrics.items()
        for scorer, number in scorers.items()
    }
    assert len(made.evaluation_results) == len(found)
    assert found.keys() == wanted.keys()
    for name, number in wanted.items():
        assert found[name].score == number.value
        assert found[name].details["runs"] == str(number.n)
        uncertainty = found[name].uncertainty
        interval = uncertainty.confidence_interval if uncertainty else None
        assert (interval and (interval.lower, interval.upper)) == number.ci95
    assert made.retrieved_timestamp == "1700000000"
    assert made.evaluation_id.endswith("/1700000000")
    assert "dedupe_identity" not in json.loads(out.read_text())  # version 0.2.2 refuses what 0.2.1 had room for
    ids = [each.evaluation_result_id for each in made.evaluation_results]
    assert len(set(ids)) == len(ids)
    for each in made.evaluation_results:
        metric = each.metric_config
        kind, scorer, step = each.evaluation_result_id.split("/")
        assert metric.metric_id == f"liveedit-bench.{kind}"
        assert metric.metric_parameters == {"scorer": scorer, "edits": int(step)}
    told = made.source_metadata
    assert (told.source_organization_name, told.evaluator_relationship) == ("Somebody", "third_party")
    assert told.additional_details["official"] == "false"
    assert told.additional_details["submission_sha256"] == submission.sha256
    assert json.loads(made.model_info.additional_details["editor_options"]) == submission.result.editor.options


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"to": "eval-results"}, "add --hub-dataset"),
        ({"to": "eval-results", "hub_dataset": "no owner"}, "OWNER/NAME"),
        ({"to": "eval-results", "hub_dataset": "a/b", "source": "javascript:alert(1)"}, "an http address"),
        ({"to": "every-eval-ever", "relationship": "friend"}, "is none of first_party"),
    ],
)
def test_what_cannot_be_exported_is_one_line(file: Path, tmp_path: Path, given: dict[str, str], message: str):
    with pytest.raises(BenchError, match=message):
        export(file, out=tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


def test_the_command_writes_both(file: Path, tmp_path: Path):
    verb = ["leaderboard", "export", str(file)]
    hub = [*verb, "--to", "eval-results", "--hub-dataset", "a/b", "--out", str(tmp_path / "a.yaml")]
    ever = [*verb, "--to", "every-eval-ever", "--out", str(tmp_path / "a.json")]
    assert [CliRunner().invoke(app, words).exit_code for words in (hub, ever)] == [0, 0]
    assert yaml.safe_load((tmp_path / "a.yaml").read_text())
    assert json.loads((tmp_path / "a.json").read_text())
