"""`data build table`: the example of the documentation, the options, and how errors end."""

import json
import runpy
import shlex
import sys
from pathlib import Path

import pytest

import liveedit_bench
from liveedit_bench import cli
from liveedit_bench.benchmark.edits import EditStream

ROOT = Path(__file__).parents[3]
COLUMNS = {"image": "picture", "prompt": "question", "target": "answer", "rephrase": "again"}


def call(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(word) for word in words])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the example writes."""
    folder = tmp_path_factory.mktemp("table") / "my-table"
    runpy.run_path(str(ROOT / "examples" / "own_table.py"))["main"](folder, edits=3)
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
    assert known["mmke-bench"]["entity-train"] == 636
    assert known["table"] == {}
    for name in ("table", "mmke-bench"):
        assert call(capsys, "data", "card", name)[1].startswith(f"{name}: ")
    code, _, err = call(capsys, "run", "--dataset", "table", "--steps", "1")
    assert (code, "liveedit-bench data build table --annotations" in err) == (2, True)


def test_the_folder_is_part_of_the_package() -> None:
    assert (Path(liveedit_bench.__file__).parent / "data_builders" / "table" / "build.py").is_file()


@pytest.mark.slow
def test_the_commands_of_the_documentation_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8").partition("## Your own table")[2]
    block = page.partition("```bash\n")[2].partition("```")[0].replace("\\\n", " ")
    monkeypatch.chdir(tmp_path)
    for command in block.strip().splitlines():
        program, *rest = shlex.split(command)
        if program == "python":
            monkeypatch.setattr(sys, "argv", rest)
            runpy.run_path(str(ROOT / rest[0]), run_name="__main__")
        else:
            with pytest.raises(SystemExit) as ended:
                cli.main(rest)
            assert ended.value.code == 0
    (result,) = tmp_path.glob("runs/*/result.json")
    assert json.loads(result.read_text(encoding="utf-8"))["stream"]["dataset"] == "edits"
