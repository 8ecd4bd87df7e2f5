import copy
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from example_run import make_result
from pydantic import ValidationError

from liveedit_bench.errors import BenchError
from liveedit_bench.leaderboards.schema import SCHEMA_FILE, Estimate, Result, json_schema, json_schema_text, read_result


def put(path: str, value: Any) -> dict[str, Any]:
    """The example with one value replaced; the path may run through lists."""
    result = copy.deepcopy(make_result())
    *parents, last = path.split(".")
    part: Any = result
    for key in parents:
        part = part[int(key)] if isinstance(part, list) else part[key]
    part[int(last) if isinstance(part, list) else last] = value
    return result


def validates(result: dict[str, Any]) -> bool:
    return jsonschema.Draft202012Validator(json_schema()).is_valid(result)


def parses(result: dict[str, Any]) -> bool:
    try:
        Result.model_validate_json(json.dumps(result))
    except ValidationError:
        return False
    return True


def test_published_file_is_the_models_schema():
    assert SCHEMA_FILE.read_text(encoding="utf-8") == json_schema_text()
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_command_writes_the_file(tmp_path: Path):
    target = tmp_path / "written.json"
    subprocess.run([sys.executable, "-m", "liveedit_bench.leaderboards.schema", str(target)], check=True, cwd=tmp_path)
    assert target.read_text(encoding="utf-8") == json_schema_text()


def test_example_validates_and_comes_back_as_it_was():
    result = make_result()
    assert validates(result)
    again = json.loads(Result.model_validate(result).to_json())
    assert again == result
    assert (
        Result.model_validate_json(json.dumps(again)).to_json()
        == json.dumps(again, indent=2, ensure_ascii=False) + "\n"
    )


def test_optional_values_are_left_out():
    optional = (
        "score paper_average generality locality immediate portability_given_edit_holds "
        "area seen unseen by_task floors expired causality digest"
    ).split()
    result = {key: value for key, value in make_result().items() if key not in optional}
    for key in ("weights_sha256", "train_seconds", "fixed_scores"):
        del result["editor"][key]
    assert validates(result)
    model = Result.model_validate(result | dict.fromkeys(optional))  # in Python, None says the same
    assert json.loads(model.to_json()) == result
    assert "null" not in Result.model_validate(put("editor.options", {})).to_json()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("status", "finished"),
        ("schema_version", "2"),
        ("extra", 1),
        ("curve.0.metrics.reliability.extra", 1),
        ("curve.0.metrics.fame", {}),
        ("curve.0.metrics.reliability.free_running.value", 1.01),
        ("curve.0.metrics.reliability.free_running.value", "0.5"),
        ("curve.0.metrics.reliability.free_running.value", True),
        ("curve.0.metrics.reliability.free_running.n", 1.5),
        ("curve.0.metrics.reliability.free_running.n", -1),
        ("curve.0.metrics.reliability.free_running.ci95", [0.1]),
        ("curve.0.metrics.reliability.free_running.ci95", None),
        ("curve.0.step", 0),
        ("curve", []),
        ("forgetting.0.value", -1.1),
        ("protocol.id", "mine"),
        ("protocol.scorers", []),
        ("stream.sha256", "abc"),
        ("stream.seed", None),
        ("score", None),
        ("editor.name", ""),
        ("cost.state_bytes", -1),
        ("failures.kinds", {"nan": 0}),
        ("superseded", {"edits": 0, "probes": 3, "newest": 0.5, "stale": 0.5}),
        ("superseded", {"edits": 1, "probes": 3, "newest": 0.5}),
        ("curve.0.superseded", 0),
        ("floors.none.metrics.reliability", 2),
    ],
)
def test_model_and_published_schema_refuse_the_same(path: str, value: Any):
    result = put(path, value)
    assert not parses(result)
    assert not validates(result)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("protocol.checkpoints", [1, 5, 2], "checkpoints must increase"),
        ("protocol.checkpoints", [1, 2], "no checkpoints"),
        ("stream.edits", 999, "lies behind edit 999"),
        ("curve.1.step", 1, "must increase"),
        ("score.ci95", [0.9, 0.8], "upside down"),
        ("forgetting.0.age", [10, 1], "age runs"),
        ("failures.edits", 4, "add up to 3"),
        ("causality.mismatches", 1, "voids"),
        ("score.value", math.nan, "finite"),
        ("editor.options", {"scale": [1.0, {"x": math.inf}]}, r"options\.scale.*\s.*finite"),
        ("environment", {"load": math.nan}, r"environment\.load.*\s.*finite"),
    ],
)
def test_what_a_schema_cannot_say_is_refused_by_the_model(path: str, value: Any, says: str):
    with pytest.raises(ValidationError, match=says):
        Result.model_validate(put(path, value))


def test_void_runs_may_have_mismatches():
    result = put("causality.mismatches", 3) | {"status": "void"}
    assert Result.model_validate(result).status == "void"


def test_python_values_are_taken_as_they_are():
    estimate = Estimate(value=1, n=3, ci95=(0.5, 1))
    assert estimate.model_dump(exclude_none=True) == {"value": 1.0, "n": 3, "ci95": (0.5, 1.0)}


def test_reading_says_in_one_line_what_is_wrong(tmp_path: Path):
    path = tmp_path / "result.json"
    with pytest.raises(BenchError, match="finish the run first"):
        read_result(path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(BenchError, match="no result of schema version 1"):
        read_result(path)
    path.write_text(json.dumps(put("curve.0.step", "one")), encoding="utf-8")
    with pytest.raises(BenchError, match=r"curve\.0\.step: .*integer") as caught:
        read_result(path)
    assert "\n" not in str(caught.value)
    path.write_text(json.dumps(make_result()), encoding="utf-8")
    assert read_result(path).editor.name == "liveedit"
