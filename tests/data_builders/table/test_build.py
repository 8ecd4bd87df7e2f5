"""A table becomes a stream: every row an edit or a reason, every cell a probe or a note."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import datasets
import pytest
from emblem_table import COLUMNS, rows_of, unseen_emblems
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from liveedit_bench.benchmark.edits import Edit, EditStream, Picture
from liveedit_bench.data_builders.choices import Choices
from liveedit_bench.data_builders.notes import Built
from liveedit_bench.data_builders.table.build import TableChoices, build, build_table
from liveedit_bench.data_builders.texts import key_text
from liveedit_bench.errors import BenchError
from liveedit_bench.runners.ledger import Ledger
from liveedit_bench.runners.lifelong import run


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({name: json.dumps(cell) if isinstance(cell, list) else cell for name, cell in row.items()})
    return path


def with_bytes(rows: Sequence[Mapping[str, object]], folder: Path) -> Any:
    """A dataset whose pictures stand inside, as `datasets` stores them."""
    columns = [name for name in rows[0] if name == "picture" or name.endswith("_image")]
    dataset = cast(Any, datasets).Dataset.from_list(
        [
            row | {name: row[name] and {"bytes": (folder / str(row[name])).read_bytes()} for name in columns}
            for row in map(dict, rows)
        ]
    )
    for name in columns:
        dataset = dataset.cast_column(name, datasets.Image())
    return dataset


def as_table(form: str, rows: Sequence[dict[str, object]], folder: Path) -> Path:
    path = folder.parent / form
    if form == "t.csv":
        return write_csv(path, rows)
    if form == "t.jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif form == "t.parquet":
        with_bytes(rows, folder).to_parquet(path)
    else:
        with_bytes(rows, folder).save_to_disk(path)
    return path


def told(edit: Edit) -> object:
    """All that an edit says, pictures by their pixels; the table's name aside."""

    def pixels(picture: Picture | None) -> str | None:
        return picture and Picture(picture.open).sha256

    asked = [vars(probe) | {"image": pixels(probe.image)} for probe in edit.probes]
    return pixels(edit.image), edit.prompt, edit.target, asked, vars(edit.facts) | {"provenance": None}


@pytest.mark.parametrize("form", ["t.csv", "t.jsonl", "t.parquet", "folder"])
def test_emblems_in_a_table_are_the_same_edits(form: str, tmp_path: Path) -> None:
    stream = unseen_emblems(6)
    path = as_table(form, rows_of(stream, tmp_path / "pictures"), tmp_path / "pictures")
    built = build_table(path, Choices(images=tmp_path / "pictures"), TableChoices(columns=COLUMNS))
    assert [told(edit) for edit in built.stream] == [told(edit) for edit in stream]
    assert built.steps == {}
    assert built.skipped == {}
    assert not any(note.unused for note in built.notes)
    built.save(tmp_path / "stream")
    assert EditStream.load(tmp_path / "stream").sha256 == built.stream.sha256
    again = build_table(path, Choices(images=tmp_path / "pictures"), TableChoices(columns=COLUMNS))
    assert again.stream.sha256 == built.stream.sha256


@pytest.mark.slow
@pytest.mark.parametrize("editor", ["oracle", "none", "liveedit"])
def test_emblems_in_a_table_score_the_same(editor: str, tmp_path: Path) -> None:
    stream, folder = unseen_emblems(20), tmp_path / "pictures"
    rows = rows_of(stream, folder)
    tables = [as_table(form, rows, folder) for form in ("t.csv", "t.parquet")]
    streams = [build_table(each, Choices(images=folder), TableChoices(columns=COLUMNS)).stream for each in tables]
    expected, *found = [
        run(editor=editor, stream=each, steps=20, progress=False, out=tmp_path / f"run{place}")
        for place, each in enumerate((stream, *streams))
    ]
    for result in found:
        for part in set(expected) - NAMED:
            assert result[part] == expected[part], part


NAMED = {"stream", "cost", "environment", "digest"}
"""Parts of a result that name the stream or the moment."""


# -- small tables in JSON ------------------------------------------------------------------------------------------


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2), colour).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b", "c", "d"):
        colour = {"a": "red", "b": "green", "c": "blue", "d": "white"}[name]
        (tmp_path / f"{name}.png").write_bytes(png(colour))
    return tmp_path


def build_rows(
    folder: Path, rows: Iterable[Mapping[str, object]], choices: Choices | None = None, **about: Any
) -> Built:
    (folder / "t.json").write_text(json.dumps(list(rows)), encoding="utf-8")
    return build_table(folder / "t.json", choices or Choices(), TableChoices(**about))


ROW: dict[str, object] = {"image": "a.png", "prompt": "Which dog?", "target": "Fido"}


def test_three_columns_are_enough(folder: Path) -> None:
    (edit,) = build_rows(folder, [ROW]).stream
    assert (edit.prompt, edit.target, [probe.kind for probe in edit.probes]) == ("Which dog?", "Fido", ["reliability"])
    assert edit.image is not None
    assert edit.image.open().getpixel((0, 0)) == (255, 0, 0)
    facts = {"key": "a/which dog?", "old": "", "entity": "a", "task": "question", "provenance": "t.json row 0"}
    assert vars(edit.facts) == facts | {"seen_target": None}
    source = build(folder / "t.json", Choices(split="dev")).stream.source
    assert (source.dataset, source.split, source.normalisation, source.texts) == ("t", "dev", "exact", "clean")
    named = build_rows(folder, [ROW], name="dogs", normalisation="casefold").stream.source
    assert (named.dataset, named.normalisation) == ("dogs", "casefold")


def test_lists_ask_several_questions(folder: Path) -> None:
    row = ROW | {
        "image": ["a.png", "b.png"],
        "prompt": ["Which dog?", "Who barks?"],
        "target": ["Fido", "Rex"],
        "old": "Bello",
        "rephrase": ["Name the dog.", None],
        "image_rephrase": ["c.png", "d.png"],
        "loc": ["Capital of France?", "Colour of snow?"],
        "loc_ans": ["Paris", "white"],
        "m_loc": "d.png",
        "m_loc_q": ["Black?", "White?"],
        "m_loc_a": ["no", "yes"],
        "portability_prompt": ["Whose dog?", "What does it eat?"],
        "portability_target": ["Ann's", "meat"],
        "portability_uses": ["Fido/owner", ["Fido/food", "meat/kind"]],
        "other_question_prompt": "Is it red?",
        "other_question_target": "yes",
        "twin_same_image": "d.png",
        "twin_other_image": "c.png",
        "twin_other_target": "Waldi",
        "no_image_target": "unknown",
    }
    built = build_rows(folder, [row], columns={})
    (edit,) = built.stream
    asked = [
        (probe.kind, probe.image and (probe.image.path or "")[0], probe.prompt, probe.target, probe.fact)
        for probe in edit.probes
    ]
    key = "a/which dog?"
    assert asked == [
        ("reliability", "a", "Which dog?", "Fido", key),
        ("text_generality", "a", "Who barks?", "Fido", key),
        ("text_generality", "a", "Name the dog.", "Fido", key),
        ("image_generality", "b", "Which dog?", "Fido", key),
        ("image_generality", "c", "Which dog?", "Fido", key),
        ("image_generality", "d", "Which dog?", "Fido", key),
        ("portability", "a", "Whose dog?", "Ann's", f"{key}.hop"),
        ("portability", "a", "What does it eat?", "meat", f"{key}.hop.2"),
        ("text_locality", None, "Capital of France?", "Paris", edit.probes[8].fact),
        ("text_locality", None, "Colour of snow?", "white", edit.probes[9].fact),
        ("image_locality", "d", "Black?", "no", "d/black?"),
        ("image_locality", "d", "White?", "yes", "d/white?"),
        ("locality_twin_same", "d", "Which dog?", "Bello", "d/which dog?"),
        ("locality_twin_other", "c", "Which dog?", "Waldi", "c/which dog?"),
        ("locality_other_question", "a", "Is it red?", "yes", "a/is it red?"),
        ("locality_no_image", None, "Which dog?", "unknown", "no picture: which dog?/answer"),
    ]
    assert [probe.facts_used for probe in edit.probes if probe.kind == "portability"] == [
        (key, "Fido/owner"),
        (key, "Fido/food", "meat/kind"),
    ]
    assert dict(built.notes[0].unused) == {"target[1]": "Rex"}


def test_a_row_without_its_parts_is_listed_and_half_a_question_noted(folder: Path) -> None:
    rows = [
        ROW | {"prompt": " \u200b"},
        ROW | {"loc": "Capital?", "loc_ans": ""},
        ROW | {"image": None},
        {"image": "a.png", "prompt": "Which dog?", "loc_ans": "left"},
        ROW | {"twin_same_image": "b.png", "old": None},
    ]
    built = build_rows(folder, rows)
    assert [(note.position, note.reason) for note in built.notes] == [
        (None, "no prompt: 'prompt' is empty"),
        (0, None),
        (None, "no image: 'image' is empty"),
        (None, "no target: 'target' is empty"),
        (1, None),
    ]
    assert dict(built.notes[1].unused) == {"loc": "Capital?"}
    assert dict(built.notes[3].unused) == {"loc_ans": "left"}
    assert dict(built.notes[4].unused) == {"twin_same_image": "no old answer"}
    assert built.skipped == {"no image": 1, "no prompt": 1, "no target": 1}
    with pytest.raises(BenchError, match=r"no record of .*became an edit .the first: no image"):
        build_rows(folder, [rows[2]])


def test_columns_without_a_role_are_named(folder: Path) -> None:
    built = build_rows(folder, [ROW | {"note": "x", "old": "Rex"}], columns={"old": ""})
    assert built.warnings == ("columns without a role: note, old",)
    assert built.about["unused_columns"] == ["note", "old"]
    assert built.about["columns"] == {"image": "image", "prompt": "prompt", "target": "target"}
    assert built.stream[0].facts.old == ""


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"target": 4}, r"t.json, row 1, column 'target': must be a text or a list of texts, is the number 4"),
        ({"prompt": {"a": 1}}, "row 1, column 'prompt': .* is an object"),
        ({"image": 3}, "row 1, column 'image': a picture must be a path or the bytes of a file, is the number 3"),
        ({"target": "\ud800"}, "half of a surrogate pair"),
        ({"loc": ["a", "b"], "loc_ans": ["c", "d", "e"]}, "column 'loc': has 2 entries where 'loc_ans' has 3"),
        ({"rephrase": ["a", "b"], "text_generality_target": ["c", "d", "e"]}, "has 3 entries where 'rephrase' has 2"),
        ({"key": "Fido"}, "row 1, column 'key': a key is written thing/attribute"),
        ({"loc": "a", "loc_ans": "b", "text_locality_key": "/x"}, "column 'text_locality_key': a key is written"),
        (
            {"portability_prompt": "a", "portability_target": "b", "portability_uses": [3]},
            "must hold keys, holds the nu",
        ),
        ({"image": "../a.png"}, "t.json: row 1, column 'image': .*outside"),
        ({"image": "none.png"}, "t.json: row 1, column 'image': 1 of 2 pictures is missing: none.png"),
    ],
)
def test_a_bad_cell_is_named_by_row_and_column(row: dict[str, object], says: str, folder: Path) -> None:
    with pytest.raises(BenchError, match=says) as refused:
        build_rows(folder, [ROW, ROW | row])
    assert "\n" not in str(refused.value)


def test_pictures_that_cannot_be_used(folder: Path) -> None:
    table = folder / "t.parquet"
    cast(Any, datasets).Dataset.from_list(
        [{**ROW, "image": png("red")}, {**ROW, "image": b"no picture"}, {**ROW, "image": png("red")}]
    ).to_parquet(table)
    with pytest.raises(BenchError, match=r"t.parquet: row 1, column 'image': .*is no picture.*--on-missing-image"):
        build(table, Choices())
    skipped = build(table, Choices(on_missing_image="skip-edit"))
    assert [note.position for note in skipped.notes] == [0, None, 1]
    assert skipped.skipped == {"picture cannot be used": 1}
    reported = build(table, Choices(on_missing_image="report"))
    assert [edit.image is not None and edit.image.missing for edit in reported.stream] == [False, True, False]
    assert reported.manifest.counts == {"ok": 1, "missing": 0, "broken": 1, "refused": 0}
    assert any("1 pictures in the table cannot be used" in each for each in reported.warnings)
    reported.save(folder / "stream")
    assert [picture.path for picture in EditStream.load(folder / "stream").missing_pictures()] == [
        "row 1 column 'image'"
    ]


def test_an_edit_of_a_pictured_thing_expires_what_is_asked_of_it_elsewhere(folder: Path) -> None:
    rows = [
        ROW | {"entity": "Fido", "m_loc": "b.png", "m_loc_q": "Which  DOG?", "m_loc_a": "Rex"},
        ROW | {"entity": "Re/x", "image": "b.png", "target": "Max", "m_loc": "c.png", "m_loc_q": "?", "m_loc_a": "!"},
    ]
    edits = build_rows(folder, rows).stream
    ledger = Ledger(edits)
    assert [edit.facts.key for edit in edits] == ["Fido/which dog?", "Re|x/which dog?"]
    assert ledger.expected(0, edits[0].probes[1], 1) == "Rex"
    assert ledger.expected(0, edits[0].probes[1], 2) is None


def test_what_the_training_table_holds_is_marked(folder: Path) -> None:
    (folder / "train.json").write_text(json.dumps([ROW | {"target": "FIDO", "prompt": "Who?"}]), encoding="utf-8")
    edits = build_rows(folder, [ROW, ROW | {"target": "Rex", "prompt": "who?"}], Choices(train=folder / "train.json"))
    assert [(edit.facts.seen_target, edit.probes[0].seen) for edit in edits.stream] == [(True, False), (False, True)]


_TEXTS = st.text(st.characters(codec="utf-8"), max_size=6)
_CELLS = st.one_of(st.none(), _TEXTS, st.lists(st.none() | _TEXTS, max_size=3))
_PICTURES = st.one_of(st.none(), st.sampled_from(["a.png", "b.png"]), st.lists(st.sampled_from(["c.png", "d.png"])))
_ROWS = st.fixed_dictionaries(
    {"image": _PICTURES, "prompt": _CELLS, "target": _CELLS},
    optional={"pred": _CELLS, "rephrase": _CELLS, "image_rephrase": _PICTURES, "entity": st.none() | _TEXTS}
    | {"portability_prompt": st.none() | _TEXTS, "portability_target": st.none() | _TEXTS, "note": _TEXTS},
)


def _items(cell: object) -> list[Any]:
    return cast("list[Any]", cell) if isinstance(cell, list) else [cell]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(_ROWS, min_size=1, max_size=5), recipe=st.sampled_from(["clean", "paper"]))
def test_every_row_is_an_edit_or_has_a_reason_and_every_text_is_somewhere(
    rows: list[dict[str, object]], recipe: Any, folder: Path
) -> None:
    good = {"image": "a.png", "prompt": "p", "target": "t", "portability_prompt": "q", "portability_target": "r"}
    built = build_rows(folder, [good, *rows], Choices(texts=recipe))
    assert [note.index for note in built.notes] == list(range(len(rows) + 1))
    assert [note.position for note in built.notes if note.position is not None] == list(range(len(built.stream)))
    for note, row in zip(built.notes, [good, *rows], strict=True):
        assert (note.position is None) == (note.reason is not None)
        held = [text for text in note.unused.values()]
        if note.position is not None:
            edit = built.stream[note.position]
            assert edit.probes[0].kind == "reliability"
            assert (edit.probes[0].prompt, edit.probes[0].target) == (edit.prompt, edit.target)
            held += [edit.facts.old, *(text for probe in edit.probes for text in (probe.prompt, probe.target))]
        before = {change.before for change in note.changes}
        for name in ("prompt", "target", "pred", "rephrase", "portability_prompt", "portability_target"):
            for raw in _items(row.get(name)) if note.position is not None else []:
                if raw and key_text(raw, "rephrase" if name == "rephrase" else "prompt"):
                    assert raw in held or raw in before
