"""`liveedit-bench data export`: what is printed and written, and how errors end."""

import json
from pathlib import Path

import pytest

from liveedit_bench import cli
from liveedit_bench.benchmark.edits import EditStream
from liveedit_bench.data_builders.emblems import build


@pytest.fixture(autouse=True)
def _no_cache_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(["data", "export", *words])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_a_stored_stream_is_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stream = build(3, split="validation")
    stream.save(tmp_path / "stored")
    code, out, err = run(capsys, str(tmp_path / "stored"), "--out", str(tmp_path / "out"))
    assert (code, err) == (0, "")
    assert "3 edits are in" in out
    assert stream.sha256 in out
    assert EditStream.load(tmp_path / "out").sha256 == stream.sha256
    code, out, err = run(capsys, str(tmp_path / "out"), "--out", str(tmp_path / "again"), "--json")
    said = json.loads(out)
    assert said["sha256"] == stream.sha256
    assert said["shards"] == [str(tmp_path / "again" / "data" / "validation-00000-of-00001.parquet")]


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        ("emblems", "build it first: liveedit-bench data build emblems --out emblems"),
        ("nowhere", "holds no stream"),
    ],
)
def test_what_is_no_stored_stream_is_one_line(
    stream: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, stream, "--out", "out")
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(1, split="validation").save(tmp_path / "stored")
    code, _, err = run(capsys, str(tmp_path / "stored"), "--out", str(tmp_path / "stored"))
    assert code == 2
    assert "not empty" in err
