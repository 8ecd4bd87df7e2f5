from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Nothing, build

from liveedit_bench.benchmark.edits import EditStream, missing_picture
from liveedit_bench.errors import BenchError
from liveedit_bench.runners import lifelong


def with_missing(*paths: str) -> EditStream:
    stream = build(4)
    edits = [replace(edit, image=missing_picture(path)) for edit, path in zip(stream, paths, strict=False)]
    return EditStream([*edits, *stream[len(paths) :]], stream.source)


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["val2014/x.jpg"], r"1 picture is missing from the stream \(the first: val2014/x\.jpg\)"),
        (["b.jpg", "a.jpg", "b.jpg"], r"2 pictures are missing from the stream \(the first: b\.jpg\)"),
    ],
)
def test_a_run_without_pictures_is_refused_before_a_model_is_loaded(paths: list[str], words: str, tmp_path: Path):
    with pytest.raises(BenchError, match=words):
        lifelong.run(editor=Nothing, backbone="no.such:backbone", stream=with_missing(*paths), steps=4, out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_stream_is_run_up_to_its_first_missing_picture(tmp_path: Path):
    stream = build(4)
    late = EditStream([*stream[:3], replace(stream[3], image=missing_picture("x.jpg"))], stream.source)
    with pytest.raises(BenchError, match=r"cannot import no\.such"):
        lifelong.run(editor=Nothing, backbone="no.such:backbone", stream=late, steps=3, out=tmp_path)
