import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
import yaml
from PIL import Image

from liveedit_bench.benchmark.edits import Edit, EditStream, Facts, Picture, Probe, Source, missing_picture
from liveedit_bench.benchmark.parquet import export_parquet
from liveedit_bench.errors import BenchError

SOURCE = Source(dataset="toy", split="eval", seed=None, normalisation="casefold", texts="clean")


class PhotoFile:
    def __init__(self, number: int) -> None:
        buffer = io.BytesIO()
        Image.effect_noise((64, 64), 60 + number).convert("RGB").save(buffer, "JPEG")
        self.data = buffer.getvalue() + os.urandom(2000)  # nothing for a compressor to gain within one picture

    def __call__(self) -> Image.Image:
        return Image.open(io.BytesIO(self.data))

    def encoded(self) -> bytes:
        return self.data


def edit(number: int) -> Edit:
    image = Picture(PhotoFile(number), path=f"val2014/{number}.jpg")
    probes = (
        Probe("reliability", image, f"What is {number}?", "a\nb", f"t{number}/a"),
        Probe("text_generality", image, "And?", "a\nb", f"t{number}/a", facts_used=("x/y",), seen=True),
        Probe("text_locality", None, "?", "yes", "t/c"),
    )
    return Edit(image, f"What is {number}?", "a\nb", probes, Facts(f"t{number}/a", "old", "t", "a", "toy"))


def photo(one: Edit) -> bytes:
    assert one.image is not None
    assert isinstance(one.image.opener, PhotoFile)
    return one.image.opener.data


@pytest.fixture
def stream() -> EditStream:
    return EditStream([edit(number) for number in range(7)], SOURCE)


@pytest.fixture(autouse=True)
def _no_cache_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))


def load(*what: str, **more: str) -> Any:
    return datasets.load_dataset(*what, **more)  # of many possible types


def header(folder: Path) -> dict[str, Any]:
    text = (folder / "README.md").read_text(encoding="utf-8")
    return yaml.safe_load(text.split("---\n")[1])


def test_datasets_and_pandas_read_it_with_the_pictures(stream: EditStream, tmp_path: Path) -> None:
    stream.export_parquet(tmp_path / "out")
    files = sorted(path.name for path in (tmp_path / "out" / "data").iterdir())
    assert files == ["eval-00000-of-00001.parquet"]
    image = stream[3].image
    assert image is not None
    data_files = str(tmp_path / "out" / "data" / "*.parquet")
    for rows in (load("parquet", data_files=data_files, split="train"), load(str(tmp_path / "out"), split="eval")):
        assert [row["id"] for row in rows] == [one.id for one in stream]
        assert rows.features["image"] == datasets.Image()
        assert rows[3]["image"].convert("RGB").tobytes() == image.open().tobytes()
        assert rows[3]["probes"][1]["image"].size == (64, 64)
        assert rows[3]["probes"][1]["facts_used"] == ["x/y"]
        assert rows[3]["probes"][2]["image"] is None
    frame: Any = pd.read_parquet(tmp_path / "out" / "data" / files[0])
    assert frame["image"][3]["bytes"] == photo(stream[3])
    assert frame["target"].tolist() == ["a\nb"] * 7
    assert frame["image_path"][3] == "val2014/3.jpg"


def test_a_stream_is_loaded_back(stream: EditStream, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stream.export_parquet(tmp_path / "out")
    back = EditStream.load(tmp_path / "out")
    assert (back.sha256, back.source, len(back)) == (stream.sha256, stream.source, 7)
    assert back[-1] == stream[-1]
    first, image = stream[0].image, back[0].image
    assert first is not None
    assert image is not None
    assert image.open().tobytes() == first.open().tobytes()
    back.save(tmp_path / "stored")
    assert EditStream.load(tmp_path / "stored").sha256 == stream.sha256
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("limits", "sizes"), [({"rows": 3}, [3, 3, 1]), ({"size": 1}, [1] * 7), ({}, [7])])
def test_shards_are_bounded_and_in_order(
    limits: dict[str, int], sizes: list[int], stream: EditStream, tmp_path: Path
) -> None:
    export_parquet(stream, tmp_path / "out", **limits)
    files = sorted((tmp_path / "out" / "data").iterdir())
    assert [file.name for file in files] == [
        f"eval-{number:05}-of-{len(sizes):05}.parquet" for number in range(len(sizes))
    ]
    frames = [pd.read_parquet(file) for file in files]
    assert [len(frame) for frame in frames] == sizes
    assert pd.concat(frames)["id"].tolist() == [one.id for one in stream]
    assert EditStream.load(tmp_path / "out").sha256 == stream.sha256


def test_a_shard_is_cut_before_it_has_more_bytes_than_it_may(stream: EditStream, tmp_path: Path) -> None:
    weights = [3 * len(photo(one)) for one in stream]
    export_parquet(stream, tmp_path / "out", size=max(weights) * 2)
    counts = [len(pd.read_parquet(file)) for file in sorted((tmp_path / "out" / "data").iterdir())]
    assert sum(counts) == 7
    assert max(counts) == 2


def test_a_picture_of_several_probes_takes_its_place_once(tmp_path: Path) -> None:
    # The picture of an edit and of its two probes: one copy in `image`, one for both probes.
    stream = EditStream([edit(number) for number in range(40)], SOURCE)
    stream.export_parquet(tmp_path / "out")
    pictures = sum(len(photo(one)) for one in stream)
    stored = sum(file.stat().st_size for file in (tmp_path / "out" / "data").iterdir())
    assert stored < 2.3 * pictures


def test_the_card_says_what_a_hub_and_a_reader_want_to_know(stream: EditStream, tmp_path: Path) -> None:
    stream.export_parquet(tmp_path / "out")
    about = header(tmp_path / "out")
    assert about["license"] == "other"
    assert about["task_categories"] == ["visual-question-answering", "image-text-to-text"]
    assert about["size_categories"] == ["n<1K"]
    files = [{"split": "eval", "path": "data/eval-*.parquet"}]
    assert about["configs"] == [{"config_name": "default", "data_files": files}]
    assert {"name": "image", "dtype": "image"} in about["dataset_info"]["features"]
    assert about["dataset_info"]["splits"][0]["num_examples"] == 7
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert f"`{stream.sha256}`" in text
    assert "| probes | 21 (reliability 7, text_generality 7, text_locality 7) |" in text
    assert "| texts | clean |" in text
    assert "| order | of the source |" in text
    assert "missing pictures" not in text
    assert json.loads((tmp_path / "out" / "stream.json").read_text())["sha256"] == stream.sha256


def test_missing_pictures_keep_their_path_and_are_counted(stream: EditStream, tmp_path: Path) -> None:
    gone = missing_picture("val2014/x.jpg")
    some = EditStream([replace(stream[0], image=gone), *stream[1:]], replace(SOURCE, scenario="by-entity"))
    some.export_parquet(tmp_path / "out")
    assert EditStream.load(tmp_path / "out").missing_pictures() == [gone]
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "| missing pictures | 1 (" in text
    assert "| order | by-entity |" in text


@pytest.mark.parametrize(("split", "name"), [("test+train", "test_train"), ("e/../v", "e_v"), ("..", "stream")])
def test_any_split_gives_a_name_that_files_can_have(split: str, name: str, stream: EditStream, tmp_path: Path) -> None:
    EditStream(list(stream), replace(SOURCE, split=split)).export_parquet(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "data").iterdir()] == [f"{name}-00000-of-00001.parquet"]
    assert len(load(str(tmp_path / "out"), split=name)) == 7
    assert EditStream.load(tmp_path / "out").source.split == split


def test_what_fails_leaves_nothing_and_nothing_is_written_over(stream: EditStream, tmp_path: Path) -> None:
    def fail() -> Image.Image:
        raise BenchError("gone")

    broken = EditStream([*stream, replace(stream[0], image=Picture(fail, "00" * 32))], SOURCE)
    with pytest.raises(BenchError, match="gone"):
        broken.export_parquet(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == []
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    with pytest.raises(BenchError, match="exists and is not empty"):
        stream.export_parquet(tmp_path / "full")
    with pytest.raises(BenchError, match="no edit"):
        EditStream([], SOURCE).export_parquet(tmp_path / "none")


def test_a_damaged_shard_is_one_line(stream: EditStream, tmp_path: Path) -> None:
    stream.export_parquet(tmp_path / "out")
    shard = next((tmp_path / "out" / "data").iterdir())
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(BenchError, match="holds a damaged stream"):
        EditStream.load(tmp_path / "out")
