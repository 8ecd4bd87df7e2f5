import base64
import io
from dataclasses import replace
from pathlib import Path

import pytest
from example_run import make_answers, make_run
from PIL import Image

from liveedit_bench.benchmark.edits import KINDS, EditStream, Picture
from liveedit_bench.errors import BenchError
from liveedit_bench.leaderboards.gallery import Gallery, NoGallery, Row, choose, make_gallery, read_rows
from liveedit_bench.leaderboards.schema import StreamInfo

INFO = StreamInfo(dataset="emblems", split="test", edits=60, seed=0, sha256="0" * 64)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, EditStream]:
    folder = tmp_path_factory.mktemp("run")
    return folder / "probes.parquet", make_run(folder)


@pytest.fixture(scope="module")
def gallery(run: tuple[Path, EditStream]) -> Gallery:
    return make_gallery(run[0], INFO, loader=lambda _: run[1])


def test_a_dozen_each_of_many_kinds_and_no_edit_twice(run: tuple[Path, EditStream], gallery: Gallery):
    rows = read_rows(run[0])
    assert len(rows) == 60 * 10  # the last checkpoint alone
    for right in (True, False):
        chosen = choose(rows, right=right)
        assert len(chosen) == 12
        assert len({row.edit for row in chosen}) == 12
        assert all(row.right is right for row in chosen)
        assert {row.kind for row in chosen} == {row.kind for row in rows if row.right is right}
        assert choose(list(reversed(rows)), right=right) == chosen
    assert (len(gallery.right), len(gallery.wrong)) == (12, 12)
    assert gallery.right_total + gallery.wrong_total == len(rows)
    assert [e.kind for e in gallery.right] == sorted((e.kind for e in gallery.right), key=KINDS.index)


def test_few_rows_are_all_shown(run: tuple[Path, EditStream]):
    rows = [row for row in read_rows(run[0]) if row.position < 2]
    assert len(choose(rows, right=True)) == 2
    assert choose([], right=True) == []


def test_cards_say_what_was_asked_and_answered(gallery: Gallery):
    cards = {card.kind: card for card in gallery.right}
    assert cards["reliability"].question is None
    assert cards["reliability"].same_picture
    assert cards["reliability"].answer == cards["reliability"].target
    assert cards["locality_no_image"].asked is None
    assert not cards["image_generality"].same_picture
    assert cards["locality_twin_same"].note == "as before the edits"
    for card in gallery.wrong:
        assert card.answer != card.expected
        if card.kind in ("reliability", "text_generality") and card.answer == card.old:
            assert card.note == "still the old answer"
        if "locality" in card.kind and card.answer == card.target:
            assert card.note == "leak: the target of the edit"


def test_pictures_are_pngs_of_their_own_size(gallery: Gallery):
    uri = gallery.right[0].edited
    assert uri is not None
    assert uri.startswith("data:image/png;base64,")
    assert Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).size == (64, 64)


def with_large_pictures(stream: EditStream) -> EditStream:
    large = Picture(lambda: Image.new("RGB", (800, 400)))
    return EditStream([replace(edit, image=large) for edit in stream], stream.source)


def test_another_stream_is_noticed(run: tuple[Path, EditStream]):
    with pytest.raises(NoGallery, match="another one than the run's"):
        make_gallery(run[0], INFO, loader=lambda _: with_large_pictures(run[1]))


def test_large_pictures_become_small(run: tuple[Path, EditStream], tmp_path: Path):
    stream = with_large_pictures(run[1][:4])
    make_answers(stream).to_parquet(tmp_path / "probes.parquet")
    gallery = make_gallery(tmp_path / "probes.parquet", INFO, loader=lambda _: stream)
    uri = gallery.right[0].edited
    assert uri is not None
    assert Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).size == (192, 96)


def test_why_there_is_no_gallery(run: tuple[Path, EditStream], tmp_path: Path):
    with pytest.raises(NoGallery, match="missing or cannot be read"):
        make_gallery(tmp_path / "probes.parquet", INFO, loader=lambda _: run[1])
    (tmp_path / "probes.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(NoGallery, match="missing or cannot be read"):
        make_gallery(tmp_path / "probes.parquet", INFO, loader=lambda _: run[1])

    def refuse(_: StreamInfo) -> EditStream:
        raise BenchError("no dataset 'emblems'\nsecond line")

    with pytest.raises(NoGallery, match=r"could not be rebuilt here \(no dataset 'emblems'\)\."):
        make_gallery(run[0], INFO, loader=refuse)
    with pytest.raises(NoGallery, match="could not be rebuilt"):
        make_gallery(run[0], INFO, loader=lambda _: run[1][:3])


def test_rows_know_the_answer_before_the_edits(run: tuple[Path, EditStream]):
    row = next(row for row in read_rows(run[0]) if row.kind == "image_locality" and row.right)
    assert isinstance(row, Row)
    assert row.before == row.answer
