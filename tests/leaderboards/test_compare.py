"""Comparisons: what may share a table, who is ranked, and what stands beside."""

import json
from pathlib import Path
from typing import Any

import example_run
import pytest

from liveedit_bench import cli
from liveedit_bench.errors import BenchError
from liveedit_bench.leaderboards.compare import PAPER, compare
from liveedit_bench.leaderboards.comparison import as_markdown, as_values
from liveedit_bench.leaderboards.published import reported
from liveedit_bench.leaderboards.schema import Result
from liveedit_bench.metrics.curves import PAPER_COLUMNS

STREAM = {"dataset": "e-vqa", "split": "eval", "edits": 25, "sha256": "a" * 64}


def paper_result(editor: str, share: float, *, sizes: tuple[int, ...] = (1, 10), half: float = 0.02, **changes: Any):
    def estimate(n: int) -> dict[str, Any]:
        return {"value": share, "n": n, "ci95": [share - half, share + half]}

    full = {size: 25 // size * size for size in sizes}
    curve = [
        {
            "step": size,
            "metrics": {kind: {"teacher_forced": estimate(full[size])} for kind in PAPER_COLUMNS},
            "average": estimate(full[size]),
            "records": full[size],
            "failed": 0,
        }
        for size in sizes
    ]
    return {
        "schema_version": "1",
        "status": "complete",
        "protocol": {"id": "paper", "checkpoints": list(sizes), "scorers": ["teacher_forced"]},
        "stream": STREAM,
        "editor": {"name": editor, "version": "1"},
        "backbone": {"name": "llava-hf/llava-1.5-7b-hf", "weights_sha256": "b" * 64},
        "blocks": [
            {"size": size, "count": 25 // size, "dropped": 25 - full[size], "wall_seconds": 1.5} for size in sizes
        ],
        "curve": curve,
        "forgetting": [],
        "cost": {"state_bytes": 0, "wall_seconds": 3.0},
        "failures": {"edits": 0, "kinds": {}},
        "environment": {},
        **changes,
    }


def write(folder: Path, result: dict[str, Any]) -> Path:
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(Result.model_validate(result).to_json())
    return folder


def test_a_bound_stands_below_without_a_rank(tmp_path: Path):
    sky = paper_result("sky", 1.0, half=0.0)
    sky["editor"] = {**sky["editor"], "bound": True}
    runs = [
        write(tmp_path / "a", paper_result("low", 0.50)),
        write(tmp_path / "b", sky),
        write(tmp_path / "c", paper_result("high", 0.90)),
    ]
    (table,) = compare(runs)
    rows = [row for row in table.rows if row.size == 10 and not row.reported]
    assert [(row.name, row.rank, row.bound) for row in rows] == [
        ("high", 1, False),
        ("low", 2, False),
        ("sky", None, True),
    ]
    assert "bound: no method" in " ".join(table.notes)
    assert "sky (bound)" in as_markdown([table])
    marked = [row.get("bound") for row in as_values([table])["tables"][0]["rows"] if row["edits"] == 10]
    assert marked[:3] == [None, None, True]


def test_runs_are_ranked_by_block_size_and_reported_rows_stand_below(tmp_path: Path):
    runs = [
        write(tmp_path / "a", paper_result("low", 0.50)),
        write(tmp_path / "b", paper_result("high", 0.90)),
        write(tmp_path / "c", paper_result("near", 0.89)),
    ]
    (table,) = compare(runs)
    for size in (1, 10):
        rows = [row for row in table.rows if row.size == size]
        assert [(row.name, row.rank) for row in rows[:3]] == [("high", 1), ("near", 1), ("low", 3)]
        printed = [row for row in reported.rows() if (row.backbone, row.dataset, row.size) == ("LLaVA", "E-VQA", size)]
        assert [row.name for row in rows[3:]] == [row.editor for row in printed]
        assert all(row.reported and row.rank is None for row in rows[3:])
        assert all(cell is not None and cell.ci95 is None for row in rows[3:] for cell in row.cells)
        (best,) = (row for row in rows if row.reported and row.name == "LEMoE")
        assert [cell and cell.value for cell in best.cells][-1] == (0.9452 if size == 1 else 0.7866)
    notes = " ".join(table.notes)
    assert "5 of 25 records are left over in blocks of 10" in notes
    assert "matched by its name alone" in notes
    assert "Another" not in notes


def test_one_run_has_no_rank(tmp_path: Path):
    (table,) = compare([write(tmp_path / "a", paper_result("alone", 0.5))])
    assert {row.rank for row in table.rows} == {None}


def test_what_has_no_published_row_is_said(tmp_path: Path):
    sizes = (1, 25)
    (table,) = compare([write(tmp_path / "a", paper_result("mine", 0.5, sizes=sizes))])
    assert {row.size for row in table.rows if row.reported} == {1}
    assert "No row of LLaVA, E-VQA is known for 25 edits." in table.notes
    (bare,) = compare([write(tmp_path / "b", paper_result("mine", 0.5, sizes=(25,)))], dataset="VLKEB")
    assert not any(row.reported for row in bare.rows)
    about = [note for note in bare.notes if "reported" in note or "known" in note or "nother" in note]
    assert about == ["No row of LLaVA, VLKEB is known for 25 edits."]


def test_a_row_that_could_not_be_recovered_stays_empty(tmp_path: Path):
    stream = {**STREAM, "edits": 1000}
    result = paper_result("mine", 0.5, stream=stream)
    result["protocol"]["checkpoints"] = [1000]
    result["curve"] = [{**result["curve"][0], "step": 1000, "records": 1000}]
    result["blocks"] = [{"size": 1000, "count": 1, "dropped": 0, "wall_seconds": 1.0}]
    (table,) = compare([write(tmp_path / "a", result)], backbone="BLIP2", dataset="VLKEB")
    (row,) = (row for row in table.rows if row.name == "RECIPE")
    assert set(row.cells) == {None}
    assert any(note.startswith("RECIPE at 1,000 edits could not be recovered") for note in table.notes)


def test_other_backbones_and_datasets_are_shown_when_asked_for_and_said_to_differ(tmp_path: Path):
    stream = {**STREAM, "dataset": "emblems"}
    backbone = {"name": "emblem-llava", "weights_sha256": "c" * 64}
    run = write(tmp_path / "a", paper_result("mine", 0.5, stream=stream, backbone=backbone))
    (table,) = compare([run])
    assert not any(row.reported for row in table.rows)
    assert any("Nothing was reported on the backbone emblem-llava and the dataset emblems" in n for n in table.notes)
    (table,) = compare([run], backbone="LLaVA", dataset="E-VQA")
    assert any(row.reported for row in table.rows)
    assert any(note.startswith("Another backbone: reported on LLaVA") for note in table.notes)
    assert any(note.startswith("Another dataset: reported on E-VQA") for note in table.notes)


def test_protocols_and_streams_never_share_a_table(tmp_path: Path):
    other = {**STREAM, "sha256": "d" * 64}
    runs = [
        write(tmp_path / "a", paper_result("one", 0.5)),
        write(tmp_path / "b", paper_result("two", 0.6, stream=other)),
        write(tmp_path / "c", example_run.make_result()),
        write(tmp_path / "d", paper_result("three", 0.7)),
    ]
    tables = compare(runs)
    names = [
        [row.name for row in table.rows if row.size == table.rows[0].size and not row.reported] for table in tables
    ]
    assert names == [["three", "one"], ["two"], ["liveedit"]]
    assert all(table.notes[0].startswith("One of 3 tables") for table in tables)
    assert [table.protocol for table in tables] == ["paper", "paper", "lifelong"]


def test_another_template_is_another_table_and_is_said(tmp_path: Path):
    backbone = {**paper_result("one", 0.5)["backbone"], "loaded_as": {"template": "USER: {image} {prompt}"}}
    runs = [
        write(tmp_path / "a", paper_result("one", 0.5)),
        write(tmp_path / "b", paper_result("two", 0.6, backbone=backbone)),
    ]
    plain, asked = compare(runs)
    assert "Loaded as" not in plain.facts
    assert asked.facts["Loaded as"] == "template USER: {image} {prompt}"
    assert "template USER" in as_markdown([asked])
    assert any("asked through a template" in note for note in asked.notes)
    assert not any("asked through a template" in note for note in plain.notes)


def test_lifelong_runs_are_compared_by_score_and_have_nothing_beside_them(tmp_path: Path):
    other = example_run.make_result(
        editor={"name": "none", "version": "1"}, score={"value": 0.01, "ci95": [0.0, 0.02]}, paper_average=None
    )
    runs = [write(tmp_path / "a", other), write(tmp_path / "b", example_run.make_result())]
    (table,) = compare(runs, backbone="LLaVA", dataset="E-VQA")
    assert [(row.name, row.rank, row.size) for row in table.rows] == [("liveedit", 1, 1000), ("none", 2, 1000)]
    assert not any(row.reported for row in table.rows)
    assert any("is of the paper protocol" in note for note in table.notes)
    fixed = {name for name, cell in zip(table.columns, table.rows[0].cells, strict=True) if cell and cell.fixed}
    assert fixed == {"score", "locality"}


def test_a_void_run_has_no_rank(tmp_path: Path):
    void = paper_result("cheat", 1.0, half=0.0, status="void", causality={"checked": 32, "mismatches": 9})
    for point in void["curve"]:
        del point["average"]
    runs = [write(tmp_path / "a", void), write(tmp_path / "b", paper_result("fair", 0.5))]
    (table,) = compare(runs)
    rows = [row for row in table.rows if row.size == 1 and not row.reported]
    assert [(row.name, row.rank, row.void) for row in rows] == [("fair", None, False), ("cheat", None, True)]
    assert any(note.startswith("void") for note in table.notes)


def test_equal_names_are_told_apart_by_their_folders(tmp_path: Path):
    runs = [write(tmp_path / name, paper_result("mine", 0.5)) for name in ("a", "b")]
    (table,) = compare(runs)
    assert {row.name for row in table.rows if not row.reported} == {f"mine ({run})" for run in runs}


def test_errors(tmp_path: Path):
    run = write(tmp_path / "a", paper_result("mine", 0.5))
    with pytest.raises(BenchError, match="given twice"):
        compare([run, run / "result.json"])
    with pytest.raises(BenchError, match="finish the run"):
        compare([tmp_path / "nothing"])
    with pytest.raises(BenchError, match="did you mean 'LLaVA'"):
        compare([run], backbone="LLava")
    with pytest.raises(BenchError, match="known: E-VQA, VLKEB"):
        compare([run], dataset="E-IC")


def test_the_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    fixed = {"name": "mine", "version": "1", "fixed_scores": {"text_locality": "no"}}
    runs = [
        write(tmp_path / "a", {**paper_result("mine", 0.5), "editor": fixed}),
        write(tmp_path / "b", paper_result("p|pe", 0.6)),
    ]
    tables = compare(runs)
    markdown = as_markdown(tables)
    assert "| rank | editor | edits | Rel | T-Gen | M-Gen | T-Loc | M-Loc | Average |" in markdown
    assert "| 2 | mine | 1 | 50.00 [48.0, 52.0] |" in markdown
    assert "50.00† [48.0, 52.0]" in markdown
    assert "| 1 | p\\|pe | 1 |" in markdown
    assert "|  | FT-L (reported) | 1 | 93.88 |" in markdown
    values = json.loads(json.dumps(as_values(tables), allow_nan=False))
    first = values["tables"][0]["rows"][0]
    assert (first["name"], first["source"], first["rank"]) == ("p|pe", "measured", 1)
    assert first["values"]["Average"] == {"value": 0.6, "ci95": [0.58, 0.62], "fixed": False}
    assert set(first["values"]) == set(PAPER)
    assert values["reported"]["url"].endswith("2411.15432")
    words = ["compare", *map(str, runs)]
    for extra in ([], ["--markdown"], ["--json"]):
        with pytest.raises(SystemExit) as end:
            cli.main([*words, *extra])
        assert end.value.code == 0
        said = capsys.readouterr().out
        assert "LEMoE" in said
        if not extra:
            assert "[48.0, 52.0]" in said
            assert "FT-L (reported)" in said
        if extra == ["--json"]:
            assert json.loads(said) == values
