"""Streams by folder and by name, with what their builder left beside them."""

import json
from pathlib import Path
from typing import Any

import pytest
from made_up_edits import clean, stream

from liveedit_bench.data_builders.audit.opening import open_stream
from liveedit_bench.data_builders.emblems import build
from liveedit_bench.data_builders.manifest import Entry, Manifest
from liveedit_bench.errors import BenchError


def store(folder: Path, **beside: bytes) -> Path:
    build(4, split="validation").save(folder, beside={name.replace("_", "."): text for name, text in beside.items()})
    return folder


def test_a_stored_stream_is_opened_whole_and_in_order(tmp_path: Path) -> None:
    folder = store(tmp_path / "s")
    opened = open_stream(str(folder), seed=5, usual_split="test")
    assert (opened.stream.sha256, opened.pixels, opened.notes) == (build(4, split="validation").sha256, {}, ())
    assert len(open_stream(str(folder), edits=2, usual_split="test").stream) == 2


def test_what_its_builder_left(tmp_path: Path) -> None:
    entries = (
        Entry("a.jpg", "ok", file="/x/a.jpg", sha256="a", pixels_sha256="p"),
        Entry("b.jpg", "missing", problem="there is no b.jpg", looked_in=("/x",)),
    )
    summary = {"skipped": {"empty text": 2, "picture cannot be used": 1}}
    folder = store(tmp_path / "s", pictures_jsonl=Manifest(entries).lines(), build_json=json.dumps(summary).encode())
    opened = open_stream(str(folder), usual_split="test")
    assert opened.pixels == {"a": "p"}
    assert opened.notes == (
        "3 records became no edit: empty text (2), picture cannot be used (1); records.jsonl lists them",
    )


@pytest.mark.parametrize("content", [b"[]", b"{", b'{"skipped": 3}', b'{"skipped": {"a": "b"}}', b"{}", b"\xff"])
def test_other_notes_say_nothing(tmp_path: Path, content: bytes) -> None:
    assert open_stream(str(store(tmp_path / "s", build_json=content)), usual_split="test").notes == ()


def test_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    folder = store(tmp_path / "s", pictures_jsonl=b"nonsense\n")
    with pytest.raises(BenchError, match=r"pictures\.jsonl"):
        open_stream(str(folder), usual_split="test")


def test_a_generated_stream() -> None:
    opened = open_stream("emblems", edits=3, seed=1, usual_split="validation")
    assert opened.stream.sha256 == build(3, seed=1, split="validation").sha256
    assert open_stream("emblems", edits=2, split="train", usual_split="validation").stream.source.split == "train"


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("{folder}", {"edits": 0}, "--edits 0 cannot be audited; validation holds from 1 to 4"),
        ("{folder}", {"edits": 5}, "from 1 to 4"),
        ("{folder}", {"split": "train"}, "holds the split 'validation', not 'train'"),
        ("{folder}/nothing", {}, "nothing"),
        ("emblems", {"edits": 10**6}, "from 1 to"),
        ("embles", {}, "did you mean 'emblems'"),
    ],
)
def test_errors(tmp_path: Path, name: str, options: dict[str, Any], said: str) -> None:
    folder = store(tmp_path / "s")
    with pytest.raises(BenchError) as raised:
        open_stream(name.format(folder=folder), usual_split="validation", **options)
    assert said in str(raised.value)


def test_a_folder_without_a_stream(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="holds no stream"):
        open_stream(str(tmp_path), usual_split="test")
    assert len(stream(clean(2))) == 2
