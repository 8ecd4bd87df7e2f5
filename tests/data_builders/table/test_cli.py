"""`data build table`: the example of the documentation, the options, and how errors end."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

import liveedit_bench
from liveedit_bench import cli
from liveedit_bench.benchmark.edits import EditStream

COLUMNS = {"image": "picture", "prompt": "question", "target": "answer", "rephrase": "again"}


def call(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(word) for word in words])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the example writes."""
    path = Path(__file__).parents[3] / "examples" / "own_table.py"
    spec = importlib.util.spec_from_file_location("own_table", path)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("table") / "my-table"
    module.main(folder, edits=3)
    return folder / "edits.csv"


def words(table: Path, *more: str | Path) -> list[str | Path]:
    return ["data", "build", "table", "--annotations", table, "--images", table.parent / "pictures", *more]


def given(columns: dict[str, str]) -> list[str]:
    return [word for role, column in columns.items() for word in ("--column", f"{role}={column}")]


def test_the_example_becomes_a_stream(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "stream"
    columns = given(COLUMNS | {"image_rephrase": "second view"})
    code, said, err = call(capsys, *words(table, *columns, "--out", out, "--json"))
    assert (code, err) == (
        0,
        "columns found by their names: old, text_locality_prompt=loc, text_locality_target=loc_ans\n",
    )
    stream = EditStream.load(out)
    built = json.loads(said)
    assert (built["sha256"], built["dataset"], built["edits"]) == (stream.sha256, "edits", 3)
    assert built["file"]["name"] == "edits.csv"
    kinds = ["reliability", "text_generality", "image_generality", "text_locality"]
    assert [[probe.kind for probe in edit.probes] for edit in stream] == [kinds] * 3


def test_a_mapping_file_and_names(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mapping = tmp_path / "table.toml"
    lines = [f'{role} = "{column}"' for role, column in COLUMNS.items()]
    mapping.write_text("\n".join(["[columns]", *lines, 'loc = ""', 'loc_ans = ""']), encoding="utf-8")
    more = ["--normalisation", "casefold", "--dataset-name", "mine", "--split", "dev", "--limit", "2"]
    code, _, err = call(capsys, *words(table, "--mapping", mapping, *more, "--out", tmp_path / "stream"))
    assert (code, "warning: columns without a role: second view, loc, loc_ans\n" in err) == (0, True)
    stream = EditStream.load(tmp_path / "stream")
    source = stream.source
    assert (len(stream), source.dataset, source.split, source.normalisation) == (2, "mine", "dev", "casefold")


def test_errors_leave_nothing_behind(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "stream"
    code, said, err = call(capsys, *words(table, "--out", out))
    assert (code, said, out.exists()) == (2, "", False)
    assert err.startswith(
        "error: edits.csv has no column for the image of an edit; name it with --column image=COLUMN; "
    )
    assert "'picture', 'question'" in err
    code, _, err = call(capsys, *words(table, *given(COLUMNS), "--images", tmp_path, "--out", out))
    assert (code, out.exists()) == (2, False)
    assert err.startswith("error: edits.csv: row 0, column 'picture': ")
    assert "missing" in err
    for wrong in (["--column", "a=b"], ["--normalisation", "exact"], ["--mapping", table], ["--dataset-name", "x"]):
        code, _, err = call(capsys, "data", "build", "e-vqa", "--annotations", table, *wrong, "--out", out)
        assert (code, f"{wrong[0]} does not go with this dataset" in err) == (2, True)


def test_table_and_mmke_bench_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    known = json.loads(call(capsys, "data", "list", "--json")[1])
    assert known["mmke-bench"]["entity-eval"] == 955
    assert known["table"] == {}
    for name in ("table", "mmke-bench"):
        assert call(capsys, "data", "card", name)[1].startswith(f"{name}: ")
    code, _, err = call(capsys, "run", "--dataset", "table", "--steps", "1")
    assert (code, "liveedit-bench data build table --annotations" in err) == (2, True)


def test_the_folder_is_part_of_the_package() -> None:
    assert (Path(liveedit_bench.__file__).parent / "data_builders" / "table" / "build.py").is_file()
