import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets.utils import are_progress_bars_disabled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from liveedit_bench.benchmark.edits import Edit, EditStream, Facts, Picture, Probe, Source, missing_picture
from liveedit_bench.errors import BenchError

SOURCE = Source(dataset="toy", split="test", seed=None, version="3", normalisation="casefold")


def generated(shade: int) -> Picture:
    return Picture(lambda: Image.new("RGB", (5, 4), (shade, 9, 9)))


def edit(number: int, *, image: Picture | None = None, seen: bool | None = None) -> Edit:
    other = generated(200 + number % 50)
    probes = (
        Probe("reliability", image, f"What is {number}?", "naïve\n", f"t{number}/a", seen=seen),
        Probe("image_locality", other, "And this?", "", "t/b", facts_used=("x/y", "z/w"), seen=False),
        Probe("text_locality", None, "?", "yes", "t/c", seen=True),
    )
    return Edit(image, f"What is {number}?", "naïve\n", probes, Facts("t/a", "old", "t", "a", "toy", seen))


@pytest.fixture
def stream() -> EditStream:
    edits = [edit(0, image=generated(1)), edit(1, image=None, seen=True), edit(0, image=generated(1))]
    return EditStream(edits, SOURCE)


class PhotoFile:
    """A picture file in memory; it says how often it was decoded."""

    def __init__(self) -> None:
        buffer = io.BytesIO()
        Image.effect_noise((16, 16), 60).convert("RGB").save(buffer, "JPEG")
        self.data, self.opened = buffer.getvalue(), 0

    def __call__(self) -> Image.Image:
        self.opened += 1
        return Image.open(io.BytesIO(self.data))

    def encoded(self) -> bytes:
        return self.data


def test_a_round_trip_keeps_every_id_and_the_digest(stream: EditStream, tmp_path: Path) -> None:
    stream.save(tmp_path / "s")
    stored = EditStream.load(tmp_path / "s")
    assert list(stored) == list(stream)
    assert [one.id for one in stored] == [one.id for one in stream]
    assert (stored.sha256, stored.source) == (stream.sha256, SOURCE)
    assert json.loads((tmp_path / "s" / "stream.json").read_text())["sha256"] == stream.sha256
    assert stored[-1] == stream[-1]
    assert list(stored[1:]) == list(stream[1:])
    assert stored.shuffled(3).sha256 == stream.shuffled(3).sha256
    with pytest.raises(IndexError):
        stored[3]


@given(
    numbers=st.lists(st.integers(0, 300), max_size=5),
    image=st.none() | st.integers(0, 255).map(generated),
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
)
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_stream_survives(
    numbers: list[int], image: Picture | None, text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bare = Edit(image, text, text, (), Facts(text, text, text, text, text))
    stream = EditStream([bare, *(edit(number, image=image) for number in numbers)], SOURCE)
    folder = tmp_path_factory.mktemp("any")
    stream.save(folder)
    assert EditStream.load(folder).sha256 == stream.sha256


def test_an_empty_stream_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no edit"):
        EditStream([], SOURCE).save(tmp_path / "s")
    assert list(tmp_path.iterdir()) == []


def test_generated_pictures_come_back_to_the_pixel(stream: EditStream, tmp_path: Path) -> None:
    stream.save(tmp_path / "s")
    for before, after in zip(stream, EditStream.load(tmp_path / "s"), strict=True):
        for one, other in zip((before, *before.probes), (after, *after.probes), strict=True):
            assert (one.image is None) == (other.image is None)
            if one.image is not None and other.image is not None:
                assert one.image.open().tobytes() == other.image.open().tobytes()
                assert Picture(other.image.open).sha256 == one.image.sha256 == other.image.sha256


def test_picture_files_are_stored_byte_for_byte_and_again(tmp_path: Path) -> None:
    photo = PhotoFile()
    picture = Picture(photo, hashlib.sha256(photo.data).hexdigest())
    EditStream([edit(0, image=picture)], SOURCE).save(tmp_path / "once")
    assert photo.opened == 0
    EditStream.load(tmp_path / "once").save(tmp_path / "twice")
    row = datasets.Dataset.load_from_disk(tmp_path / "twice").data.to_pylist()[0]
    assert row["image"]["bytes"] == row["probes"][0]["image"]["bytes"] == photo.data
    assert EditStream.load(tmp_path / "twice")[0].image == picture


def test_datasets_opens_it_and_exports_the_bytes(stream: EditStream, tmp_path: Path) -> None:
    stream.save(tmp_path / "s")
    dataset = datasets.Dataset.load_from_disk(tmp_path / "s")
    assert dataset.features["image"] == dataset.features["probes"].feature["image"] == datasets.Image()
    assert dataset[0]["image"].tobytes() == generated(1).open().tobytes()
    assert dataset[0]["probes"][1]["image"].size == (5, 4)
    assert stream.sha256 in dataset.info.description
    dataset.to_parquet(tmp_path / "s.parquet")
    exported = datasets.Dataset.from_parquet(str(tmp_path / "s.parquet"), cache_dir=str(tmp_path / "cache"))
    assert exported[0]["image"].tobytes() == generated(1).open().tobytes()
    assert exported[2]["probes"][1]["image"].tobytes() == generated(200).open().tobytes()


def test_reading_texts_opens_no_picture(stream: EditStream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream.save(tmp_path / "s")
    stored = EditStream.load(tmp_path / "s")

    class OpenedError(BaseException): ...  # what a decoder raises would become a message about a damaged picture

    def refuse(*_: object, **__: object) -> Iterator[None]:
        raise OpenedError

    monkeypatch.setattr(Image, "open", refuse)
    assert stored.sha256 == stream.sha256
    assert [one.prompt for one in stored] == [one.prompt for one in stream]
    image = stored[0].image
    assert image is not None
    with pytest.raises(OpenedError):
        image.open()


@pytest.mark.parametrize("kind", ["folder with a file", "file", "another stream"])
def test_what_is_there_already_is_left_alone(kind: str, stream: EditStream, tmp_path: Path) -> None:
    target = tmp_path / "s"
    if kind == "file":
        target.write_text("precious")
    elif kind == "another stream":
        stream[:1].save(target)
    else:
        target.mkdir()
        (target / "notes.txt").write_text("precious")
    before = sorted((path, path.is_file() and path.read_bytes()) for path in tmp_path.rglob("*"))
    with pytest.raises(BenchError, match="exists and is not empty; give a new folder"):
        stream.save(target)
    assert sorted((path, path.is_file() and path.read_bytes()) for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("failure", [RuntimeError("cannot draw"), OSError(28, "No space left on device")])
def test_a_stream_that_cannot_be_written_leaves_nothing(failure: Exception, tmp_path: Path) -> None:
    def fail() -> Image.Image:
        raise failure

    broken = EditStream([edit(0, image=generated(1)), edit(1, image=Picture(fail, "00" * 32))], SOURCE)
    with pytest.raises((BenchError, RuntimeError), match=r"cannot draw|No space left on device"):
        broken.save(tmp_path / "s")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line(stream: EditStream, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="cannot store the stream"):
        stream.save(tmp_path / "file" / "s")


def test_parents_are_made(stream: EditStream, tmp_path: Path) -> None:
    stream.save(tmp_path / "a" / "b")
    assert len(EditStream.load(tmp_path / "a" / "b")) == 3
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_a_folder_without_a_stream_says_what_is_missing(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(BenchError, match=r"holds no stream \(stream.json is missing\)"):
            EditStream.load(folder)


def damage_card(folder: Path) -> None:
    (folder / "stream.json").write_text("{")


def damage_source(folder: Path) -> None:
    card = json.loads((folder / "stream.json").read_text())
    (folder / "stream.json").write_text(json.dumps({**card, "source": {"colour": "red"}}))


def newer_schema(folder: Path) -> None:
    card = json.loads((folder / "stream.json").read_text())
    (folder / "stream.json").write_text(json.dumps({**card, "schema_version": "99"}))


def fewer_rows(folder: Path) -> None:
    card = json.loads((folder / "stream.json").read_text())
    (folder / "stream.json").write_text(json.dumps({**card, "edits": 4}))


def lose_rows(folder: Path) -> None:
    next(folder.glob("data-*.arrow")).unlink()


def cut_rows(folder: Path) -> None:
    rows = next(folder.glob("data-*.arrow"))
    rows.write_bytes(rows.read_bytes()[:50])


def lose_state(folder: Path) -> None:
    (folder / "state.json").unlink()


@pytest.mark.parametrize(
    "damage", [damage_card, damage_source, newer_schema, fewer_rows, lose_rows, cut_rows, lose_state]
)
def test_a_damaged_stream_is_one_line(damage: Callable[[Path], None], stream: EditStream, tmp_path: Path) -> None:
    stream.save(tmp_path / "s")
    damage(tmp_path / "s")
    with pytest.raises(BenchError, match="holds a damaged stream"):
        EditStream.load(tmp_path / "s")


def test_changed_text_and_changed_pictures_are_noticed(stream: EditStream, tmp_path: Path) -> None:
    stream.save(tmp_path / "s")
    rows = next((tmp_path / "s").glob("data-*.arrow"))
    clean = rows.read_bytes()
    rows.write_bytes(clean.replace(b"What is 1?", b"What is 9?"))
    with pytest.raises(BenchError, match=r"edit 1 of .* has id"):
        list(EditStream.load(tmp_path / "s"))

    buffer = io.BytesIO()
    generated(1).open().save(buffer, "PNG")
    other = io.BytesIO()
    generated(2).open().save(other, "PNG")
    assert len(buffer.getvalue()) == len(other.getvalue())
    rows.write_bytes(clean.replace(buffer.getvalue(), other.getvalue()))
    image = EditStream.load(tmp_path / "s")[0].image
    assert image is not None
    with pytest.raises(BenchError, match="does not have its sha256"):
        image.open()


def test_saving_is_quiet_and_leaves_progress_bars_as_they_were(
    stream: EditStream, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stream.save(tmp_path / "s")
    assert capfd.readouterr() == ("", "")
    assert not are_progress_bars_disabled()


def test_paths_and_missing_pictures_come_back(tmp_path: Path) -> None:
    missing = missing_picture("val2014/x.jpg", ["coco"])
    edits = [edit(0, image=replace(generated(1), path="a/b.png")), edit(1, image=missing), edit(2, image=generated(3))]
    stream = EditStream(edits, replace(SOURCE, texts="clean", scenario="by-entity"))
    stream.save(tmp_path / "s")
    stored = EditStream.load(tmp_path / "s")
    assert (stored.sha256, stored.source) == (stream.sha256, stream.source)
    images = [(one.image, one.probes[0].image) for one in stored]
    assert [[image and image.path for image in pair] for pair in images] == [
        ["a/b.png"] * 2,
        ["val2014/x.jpg"] * 2,
        [None] * 2,
    ]
    assert stored.missing_pictures() == [missing]
    assert images[1][0] is not None
    with pytest.raises(BenchError, match=r"no picture val2014/x\.jpg when the stream was built"):
        images[1][0].open()
    stored.save(tmp_path / "again")
    assert EditStream.load(tmp_path / "again").missing_pictures() == [missing]
    assert datasets.Dataset.load_from_disk(tmp_path / "s")[1]["image"] is None


def test_a_stream_of_the_first_release_has_no_paths_and_opens(stream: EditStream, tmp_path: Path) -> None:
    stream.save(tmp_path / "new")
    dataset = datasets.Dataset.load_from_disk(tmp_path / "new")

    def without_paths(row: dict[str, Any]) -> dict[str, Any]:
        row["probes"] = [{k: v for k, v in probe.items() if k != "image_path"} for probe in row["probes"]]
        return row

    features = dataset.features.copy()
    del features["image_path"]
    del features["probes"].feature["image_path"]
    rows = [without_paths({k: v for k, v in row.items() if k != "image_path"}) for row in dataset.data.to_pylist()]
    datasets.Dataset.from_list(rows, features=features).save_to_disk(tmp_path / "old")
    (tmp_path / "old" / "stream.json").write_text((tmp_path / "new" / "stream.json").read_text())
    old = EditStream.load(tmp_path / "old")
    assert old.sha256 == stream.sha256
    assert old.missing_pictures() == []
    assert old[0].image is not None
    assert old[0].image.open().tobytes() == generated(1).open().tobytes()


def test_files_beside_the_stream_appear_with_it_or_not_at_all(stream: EditStream, tmp_path: Path) -> None:
    stream.save(tmp_path / "s", beside={"build.json": b"{}", "records.jsonl": b""})
    assert (tmp_path / "s" / "build.json").read_bytes() == b"{}"
    assert (tmp_path / "s" / "records.jsonl").read_bytes() == b""
    assert EditStream.load(tmp_path / "s").sha256 == stream.sha256
    with pytest.raises(BenchError, match="File exists"):
        stream.save(tmp_path / "t", beside={"stream.json": b"other"})
    assert not (tmp_path / "t").exists()


def test_a_file_that_changes_while_it_is_stored_is_noticed(tmp_path: Path) -> None:
    photo = PhotoFile()
    picture = Picture(photo, path="val2014/x.jpg")
    stream = EditStream([edit(0, image=picture)], SOURCE)
    assert stream.sha256
    photo.data = PhotoFile().data
    with pytest.raises(BenchError, match=r"val2014/x\.jpg changed while the stream was being built"):
        stream.save(tmp_path / "s")
    assert list(tmp_path.iterdir()) == []
