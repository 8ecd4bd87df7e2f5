"""Annotation files that are not as they should be: the message names file, record and field."""

import json
from pathlib import Path
from typing import Any

import pytest
from annotated import E_VQA, records_of

from liveedit_bench.data_builders.annotations import Record, read_annotations
from liveedit_bench.data_builders.records import FieldRecord
from liveedit_bench.errors import BenchError

GOOD = records_of(E_VQA)[:3]
WHOLE = json.dumps(GOOD)


def file_of(folder: Path, content: str | bytes) -> Path:
    file = folder / "file.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def with_third(**changes: Any) -> str:
    return json.dumps([*GOOD[:2], {**GOOD[2], **changes}])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (WHOLE[: len(WHOLE) // 2], "no complete JSON (line 1, column "),
        (WHOLE[: len(WHOLE) // 2], ", after 1 whole records: "),
        (WHOLE[:-1], ", after 3 whole records: "),
        (WHOLE[:-1], "may be cut short"),
        ("", "no complete JSON (line 1, column 1, after 0 whole records"),
        ('{"a": 1}', "must hold a JSON list of records, it holds an object"),
        ('"text"', "it holds the text 'text'"),
        ("NaN", "it holds the number nan"),
        ("[]", "holds an empty list"),
        ("[{}, 3]", "record 1 must be an object, is the number 3"),
        ("[{}, null]", "record 1 must be an object, is null"),
        ("[{}, NaN]", "record 1 must be an object, is the number nan"),
        ("[" * 200_000, "cannot be read as JSON"),
        ('[{"a": ' + "1" * 5000 + "}]", "cannot be read as JSON"),
        (WHOLE.encode("utf-16"), "no UTF-8 text (byte 0)"),
        (WHOLE.encode() + b"\xff", "no UTF-8 text (byte "),
        (b"PK\x03\x04\x14\x00\x00\xe9", "unpacked"),
        (WHOLE.replace("fox", "f\\ud800x"), "record 0, field 'alt': holds half of a surrogate pair"),
        ('{"src": 1}\n{"src": 2}', "line 2, column 1, after 0 whole records: Extra data"),
    ],
)
def test_files_that_hold_no_records(content: str | bytes, said: str, tmp_path: Path) -> None:
    file = file_of(tmp_path, content)
    with pytest.raises(BenchError) as refused:
        read_annotations(file)
    assert str(file) in str(refused.value)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (json.dumps([*GOOD[:2], {k: v for k, v in GOOD[2].items() if k != "m_loc_q"}]), "'m_loc_q': is missing"),
        (with_third(alt=3), "'alt': must be a text, is the number 3"),
        (with_third(alt=None), "'alt': must be a text, is null"),
        (with_third(alt=["fox"]), "'alt': must be a text, is a list"),
        (with_third(image={"a": 1}), "'image': must be a text, is an object"),
        (with_third(pred=True), "'pred': must be a text, is true"),
        (with_third(pred=float("nan")), "'pred': must be a text, is the number nan"),
        (WHOLE[:-2] + ', "alt": "again"}]', "'alt': must be a text, is given twice"),
    ],
)
def test_records_that_are_not_of_the_schema(content: str, said: str, tmp_path: Path) -> None:
    file = file_of(tmp_path, content)
    with pytest.raises(BenchError) as refused:
        read_annotations(file).validated(FieldRecord)
    assert str(refused.value).startswith(f"{file}: record 2, field {said}")


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"cannot read .*nothing\.json: No such file"):
        read_annotations(tmp_path / "nothing.json")
    with pytest.raises(BenchError, match="directory"):
        read_annotations(tmp_path)


def test_a_byte_order_mark_is_skipped_and_said(tmp_path: Path) -> None:
    marked = read_annotations(file_of(tmp_path, WHOLE.encode("utf-8-sig")))
    assert "byte-order mark" in marked.warnings[0]
    plain = read_annotations(file_of(tmp_path, WHOLE))
    assert plain.warnings == ()
    assert list(marked.records) == list(plain.records) == GOOD


def test_nesting_without_need_is_no_crash(tmp_path: Path) -> None:
    deep: Any = "x"
    for turn in range(400):
        deep = [deep] if turn % 2 else {"a": deep}
    assert read_annotations(file_of(tmp_path, with_third(extra=deep))).unused(FieldRecord) == {"extra": 1}


def test_only_what_is_built_is_checked(tmp_path: Path) -> None:
    file = read_annotations(file_of(tmp_path, with_third(alt=None)))
    assert [record.src for record in file.validated(FieldRecord, limit=2)] == [record["src"] for record in GOOD[:2]]


def test_fields_that_nobody_reads_are_counted(tmp_path: Path) -> None:
    class Prompt(Record):
        src: str

    file = read_annotations(file_of(tmp_path, with_third(note="more")))
    assert file.unused(FieldRecord) == {"note": 1}
    assert file.unused(Prompt)["alt"] == 3
