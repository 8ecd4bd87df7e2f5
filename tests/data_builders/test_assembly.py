"""Records to a stream: pictures that cannot be used, records that become no edit, and what is written about it."""

import json
import shutil
from pathlib import Path

import pytest
from annotated import E_VQA, copy_of, records_of

from liveedit_bench.benchmark.edits import EditStream
from liveedit_bench.data_builders import e_vqa
from liveedit_bench.data_builders.choices import Choices, OnMissing
from liveedit_bench.errors import BenchError

RECORDS = records_of(E_VQA)
SECOND = RECORDS[3]["image_rephrase"]  # of one record only
SHARED = RECORDS[1]["image"]  # of records 1 and 7


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return copy_of(E_VQA, tmp_path)


def lines_of(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_missing_picture_fails_by_default(file: Path) -> None:
    (file.parent / SHARED).unlink()
    (file.parent / SECOND).unlink()
    with pytest.raises(BenchError) as refused:
        e_vqa.build(file, Choices())
    said = str(refused.value)
    assert said.startswith(f"{file}: record 1, field 'image': ")
    assert "2 of " in said
    for part in (SHARED, SECOND, str(file.parent / "images" / "val2014"), "--on-missing-image skip-edit", "--images"):
        assert part in said
    assert "\n" not in said


def test_a_text_file_is_no_picture(file: Path) -> None:
    (file.parent / SECOND).write_text("no picture")
    with pytest.raises(BenchError) as refused:
        e_vqa.build(file, Choices())
    assert str(refused.value).startswith(f"{file}: record 3, field 'image_rephrase': ")
    assert SECOND in str(refused.value)


def test_records_of_missing_pictures_can_be_skipped_and_are_listed(file: Path, tmp_path: Path) -> None:
    (file.parent / SHARED).unlink()
    (file.parent / SECOND).write_text("no picture")
    built = e_vqa.build(file, Choices(on_missing_image="skip-edit"))
    skipped = {note.index: note.reason for note in built.notes if note.position is None}
    assert list(skipped) == [1, 3, 7]
    assert SHARED in str(skipped[1])
    assert [note.position for note in built.notes] == [0, None, 1, None, 2, 3, 4, None, 5, 6, 7, 8, 9]
    assert built.skipped == {"picture cannot be used": 3}
    for note in built.notes:
        if note.position is not None:
            assert built.stream[note.position].facts.provenance.endswith(f"record {note.index}")
    built.save(tmp_path / "stream")
    assert lines_of(tmp_path / "stream" / "records.jsonl")[1]["reason"] == skipped[1]
    found = {line["path"]: line for line in lines_of(tmp_path / "stream" / "pictures.jsonl")}
    assert (found[SHARED]["status"], found[SECOND]["status"]) == ("missing", "broken")
    summary = json.loads((tmp_path / "stream" / "build.json").read_text())
    assert summary["skipped"] == {"picture cannot be used": 3}
    assert (summary["pictures"]["missing"], summary["pictures"]["broken"]) == (1, 1)
    assert any(SHARED in warning for warning in summary["warnings"])


def test_edits_of_missing_pictures_can_be_kept_for_an_audit(file: Path, tmp_path: Path) -> None:
    (file.parent / SHARED).unlink()
    (file.parent / SECOND).write_text("no picture")
    built = e_vqa.build(file, Choices(on_missing_image="report"))
    built.save(tmp_path / "stream")
    for stream in (built.stream, EditStream.load(tmp_path / "stream")):
        assert len(stream) == 13
        image = stream[1].image
        assert image is not None
        assert image.missing
        assert image.path == SHARED
        with pytest.raises(BenchError, match=SHARED):
            image.open()
        pictures = [probe.image for probe in stream[3].probes]
        assert [picture.missing for picture in pictures if picture is not None] == [False, False, True, False]


def test_no_pictures_at_all(tmp_path: Path) -> None:
    file = Path(shutil.copyfile(E_VQA, tmp_path / E_VQA.name))
    assert len(e_vqa.build(file, Choices(on_missing_image="report")).stream) == 13
    with pytest.raises(BenchError, match=r"no record of .* became an edit .*picture cannot be used"):
        e_vqa.build(file, Choices(on_missing_image="skip-edit"))


@pytest.mark.parametrize("path", ["/etc/passwd", "../other/x.jpg", "val2014/../../x.jpg", "C:\\x.jpg/../../.."])
@pytest.mark.parametrize("on_missing", ["fail", "report"])
def test_paths_that_leave_the_folder_are_refused(path: str, on_missing: OnMissing, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    copy_of(E_VQA, folder)
    file = folder / "bad.json"
    file.write_text(json.dumps([RECORDS[0], {**RECORDS[1], "m_loc": path}]))
    with pytest.raises(BenchError) as refused:
        e_vqa.build(file, Choices(on_missing_image=on_missing))
    assert str(refused.value).startswith(f"{file}: record 1, field 'm_loc': ")
    assert "outside" in str(refused.value)


@pytest.mark.parametrize("field", ["src", "alt", "rephrase", "loc", "loc_ans", "m_loc_q", "m_loc_a"])
def test_a_text_of_nothing_makes_no_edit(field: str, tmp_path: Path) -> None:
    file = copy_of(E_VQA, tmp_path, **{field: " \u200b\n"})
    for texts in ("clean", "paper"):
        built = e_vqa.build(file, Choices(texts=texts))
        assert (built.notes[0].position, built.notes[0].reason) == (None, f"empty text: {field}")
        assert len(built.stream) == 12
        assert built.skipped == {"empty text": 1}


def test_an_unknown_old_answer_is_no_reason_to_skip(tmp_path: Path) -> None:
    built = e_vqa.build(copy_of(E_VQA, tmp_path, pred=""), Choices())
    assert built.stream[0].facts.old == ""


def test_the_folder_of_pictures_may_lie_elsewhere(tmp_path: Path) -> None:
    file = copy_of(E_VQA, tmp_path / "pictures")
    alone = Path(shutil.copyfile(file, tmp_path / "vqa_eval.json"))
    stream = e_vqa.build(alone, Choices(images=tmp_path / "pictures")).stream
    assert stream.sha256 == e_vqa.build(file, Choices()).stream.sha256
    with pytest.raises(BenchError, match="--images"):
        e_vqa.build(alone, Choices(images=tmp_path / "nowhere"))


def test_the_root_that_releases_add_is_tried(tmp_path: Path) -> None:
    file = copy_of(E_VQA, tmp_path / "images")
    alone = Path(shutil.copyfile(file, tmp_path / "vqa_eval.json"))
    assert len(e_vqa.build(alone, Choices()).stream) == 13


def test_a_stream_that_cannot_be_stored_leaves_nothing(file: Path, tmp_path: Path) -> None:
    built = e_vqa.build(file, Choices())
    (file.parent / SECOND).unlink()  # after it was checked
    before = set(tmp_path.iterdir())
    with pytest.raises(BenchError, match=SECOND):
        built.save(tmp_path / "stream")
    assert set(tmp_path.iterdir()) == before
