"""A stream of the size of E-VQA's: what `perf/stream_scale.py` measures, in forms that a busy machine keeps."""

import runpy
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from liveedit_bench.benchmark.edits import EditStream
from liveedit_bench.data_builders import e_vqa
from liveedit_bench.data_builders.choices import Choices
from liveedit_bench.data_builders.notes import Built

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("scale") / "vqa_eval.json"
    script: dict[str, Any] = runpy.run_path(str(ROOT / "perf" / "stream_scale.py"))
    script["make_annotations"](file)
    return file


def build(annotations: Path, *, limit: int | None = None) -> Built:
    return e_vqa.build(annotations, Choices(images=annotations.parent, on_missing_image="report", limit=limit))


def test_a_rebuilt_stream_is_the_same(annotations: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        build(annotations, limit=300).save(tmp_path / name)
    first, second = (EditStream.load(tmp_path / name) for name in ("first", "second"))
    assert len(first) == 300
    assert first.sha256 == second.sha256
    assert [edit.id for edit in first] == [edit.id for edit in second]
    for name in ("stream.json", "build.json", "records.jsonl", "pictures.jsonl"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


@pytest.mark.slow
def test_a_large_stream_is_built_in_seconds(annotations: Path, tmp_path: Path) -> None:
    build(annotations, limit=5).save(tmp_path / "warm")
    began = time.process_time()  # of this process alone, whatever else the machine does
    built = build(annotations)
    built.save(tmp_path / "stream")
    assert time.process_time() - began < 20
    assert len(built.stream) == 2093
    assert sum(len(edit.probes) for edit in built.stream) == 10_465
    assert EditStream.load(tmp_path / "stream").sha256 == built.stream.sha256


@pytest.mark.slow
def test_a_large_stream_takes_little_memory(annotations: Path, tmp_path: Path) -> None:
    build(annotations, limit=5).save(tmp_path / "warm")
    tracemalloc.start()
    try:
        build(annotations).save(tmp_path / "stream")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60e6
