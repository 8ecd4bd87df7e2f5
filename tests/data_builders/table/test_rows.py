"""One table in every format reads the same; what cannot be read says where."""

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any, cast

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from liveedit_bench.benchmark.edits import EditStream
from liveedit_bench.data_builders.emblems import build
from liveedit_bench.data_builders.table.rows import Embedded, Table, read_table
from liveedit_bench.errors import BenchError

ROWS: list[dict[str, object]] = [
    {"img": "a.png", "question": 'What, "exactly", is it?', "answers": ["ön", None, "[two"]},
    {"img": None, "question": " two\nlines ", "answers": ["[1, 2]"]},
    {"img": "c.png", "question": "[not JSON", "answers": None},
]


def write(path: Path, rows: list[dict[str, object]] = ROWS) -> Path:
    """The rows in the format that the name asks for."""
    columns = list(rows[0])
    if path.suffix == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
    elif path.suffix in (".csv", ".tsv"):
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.writer(file, delimiter="," if path.suffix == ".csv" else "\t")
            writer.writerow(columns)
            for row in rows:
                cells = [row[column] for column in columns]
                writer.writerow([json.dumps(cell) if isinstance(cell, list) else cell for cell in cells])
    else:
        cast(Any, datasets).Dataset.from_list(rows).save_to_disk(path)
    return path


def cells(table: Table) -> list[list[object]]:
    return [[table.cell(row, column) for column in table.columns] for row in range(len(table))]


def test_rows_beyond_the_first_chunk(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"a": str(at)} for at in range(130)]
    for name in ("t.parquet", "folder"):
        assert cells(read_table(str(write(tmp_path / name, rows)))) == [[str(at)] for at in range(130)]


@pytest.mark.parametrize("name", ["t.json", "t.jsonl", "t.csv", "t.tsv", "t.parquet", "folder"])
def test_every_format_gives_the_same_cells(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name)
    table = read_table(str(path))
    assert table.columns == ("img", "question", "answers")
    assert cells(table) == [list(row.values()) for row in ROWS]
    assert table.sha256 == (hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None)


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2), colour).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["t.parquet", "folder"])
@pytest.mark.parametrize("several", [False, True])
def test_pictures_inside_stay_there_until_they_are_read(name: str, several: bool, tmp_path: Path) -> None:
    data = [{"bytes": png("red"), "path": "red.png"}, {"bytes": png("blue"), "path": None}]
    rows = [{"img": data if several else each} for each in data] + [{"img": None}]
    feature: Any = datasets.List(datasets.Image()) if several else datasets.Image()
    dataset = cast(Any, datasets).Dataset.from_list(rows, features=datasets.Features({"img": feature}))
    path = tmp_path / name
    dataset.to_parquet(path) if name == "t.parquet" else dataset.save_to_disk(path)
    table = read_table(str(path))
    values = [table.cell(row, "img") for row in range(3)]
    assert values[2] is None
    found = cast("list[Embedded]", values[0] if several else values[:2])
    assert [each.read() for each in found] == [png("red"), png("blue")]
    assert [each.sha256 for each in found] == [hashlib.sha256(png(colour)).hexdigest() for colour in ("red", "blue")]
    assert found[0].path == "red.png"


def test_plain_bytes_and_paths_of_an_image_column(tmp_path: Path) -> None:
    rows = [{"a": png("red"), "b": {"bytes": None, "path": "x/y.png"}}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    table = read_table(str(tmp_path / "t.parquet"))
    assert cast("Embedded", table.cell(0, "a")).read() == png("red")
    assert table.cell(0, "b") == "x/y.png"


def test_splits_of_a_dataset_are_chosen(tmp_path: Path) -> None:
    one = cast(Any, datasets).Dataset.from_list(ROWS)
    cast(Any, datasets).DatasetDict({"train": one, "dev": one.select([0])}).save_to_disk(tmp_path / "both")
    dev = read_table(str(tmp_path / "both"), split="dev")
    assert (len(dev), dev.split, dev.name) == (1, "dev", "both (dev)")
    for split in (None, "evaluation"):
        with pytest.raises(BenchError, match=r"has the splits train, dev.*--split"):
            read_table(str(tmp_path / "both"), split=split)
    cast(Any, datasets).DatasetDict({"train": one}).save_to_disk(tmp_path / "one")
    one = read_table(str(tmp_path / "one"))
    assert (len(one), one.split) == (3, "train")
    with pytest.raises(BenchError, match="has the splits train"):
        read_table(str(tmp_path / "one"), split="test")


def test_a_dataset_of_the_hub_is_read_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = cast(Any, datasets)
    write(tmp_path / "t.parquet")
    known.load_dataset("parquet", data_files=str(tmp_path / "t.parquet"), cache_dir=str(tmp_path / "made"))
    (made,) = (path for path in (tmp_path / "made" / "parquet").glob("*/*/*") if path.is_dir())
    cached = tmp_path / "cache" / "somebody___some_edits" / "default" / "0.0.0" / ("0" * 40)
    cached.parent.mkdir(parents=True)
    made.rename(cached)
    (cached / "parquet-train.arrow").rename(cached / "some_edits-train.arrow")
    info = json.loads((cached / "dataset_info.json").read_text(encoding="utf-8"))
    info["dataset_name"] = info["splits"]["train"]["dataset_name"] = "some_edits"
    (cached / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    monkeypatch.setattr(known.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    assert cells(read_table("somebody/some_edits")) == [list(row.values()) for row in ROWS]
    with pytest.raises(BenchError, match="nobody/none is no file and no Hugging Face dataset"):
        read_table("nobody/none")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.json", b'[{"a": 1}, {"a"', "no complete JSON .line 1, column"),
        ("t.json", b'{"a": 1}', "must hold a JSON list"),
        ("t.jsonl", b'{"a": 1}\n{"a"\n', "t.jsonl, line 2 is no JSON"),
        ("t.jsonl", b"[" * 100_000, "line 1 is no JSON"),
        ("t.jsonl", b"[1]\n", "row 0 must be an object with columns, is a list"),
        ("t.jsonl", b"", "t.jsonl has no row"),
        ("t.csv", b"a,b\n1,2\n1,2,3\n", "row 1 .line 3. has 3 cells, the header has 2.*double quotes"),
        ("t.csv", b'a,b\n1,"2\n', "row 0 .line 2. is no CSV"),
        ("t.csv", b"a,a\n1,2\n", "two columns called 'a'"),
        ("t.csv", b"a,b\n", "t.csv has no row"),
        ("t.csv", "a\nö\n".encode("latin-1"), "not UTF-8 .byte 2.; save it as UTF-8"),
        ("t.parquet", b"no", "t.parquet is no Parquet file"),
        ("t.xlsx", b"no", "must end in one of .json"),
    ],
)
def test_a_table_that_cannot_be_read_says_where(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BenchError, match=says) as refused:
        read_table(str(tmp_path / name))
    assert "\n" not in str(refused.value)


def test_a_damaged_parquet_file_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", [{"a": f"text {at}" * 50} for at in range(200)])
    data = bytearray(path.read_bytes())
    data[4 : len(data) // 2] = bytes(len(data) // 2 - 4)
    path.write_bytes(bytes(data))
    with pytest.raises(BenchError, match=r"t.parquet cannot be read: .*copy it again"):
        read_table(str(path)).cell(0, "a")


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="No such file"):
        read_table(str(tmp_path / "none.csv"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BenchError, match="no Hugging Face dataset that can be read"):
        read_table(str(tmp_path / "empty"))
    EditStream(list(build(1)), build(1).source).save(tmp_path / "stream")
    with pytest.raises(BenchError, match="is a stream already; replay it"):
        read_table(str(tmp_path / "stream"))
