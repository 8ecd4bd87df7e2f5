"""`liveedit-bench data`: what is printed and stored, and how errors end."""

import json
from pathlib import Path

import pytest
from PIL import Image
from tiny_llava import save_tiny_llava

from liveedit_bench import cli
from liveedit_bench.benchmark.backbones import huggingface
from liveedit_bench.benchmark.edits import EditStream
from liveedit_bench.data_builders.emblems import build, capacity


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(["data", *words])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_list_names_datasets_with_their_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "list")
    assert code == 0
    assert f"test {capacity('test'):,}" in out
    code, out, _ = run(capsys, "list", "--json")
    assert json.loads(out)["emblems"]["train"] == capacity("train")


def test_build_stores_a_stream(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "stream"
    words = ["build", "emblems", "--edits", "3", "--seed", "2", "--split", "validation", "--out", str(folder), "--json"]
    code, out, _ = run(capsys, *words)
    assert code == 0
    expected = build(3, seed=2, split="validation").sha256
    assert json.loads(out)["sha256"] == EditStream.load(folder).sha256 == expected
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert "not empty" in err


def test_sheet_writes_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "deep" / "sheet.png"
    code, out, _ = run(capsys, "sheet", "--out", str(target), "--edits", "1", "--zoom", "1")
    assert (code, out.strip()) == (0, str(target))
    with Image.open(target) as image:
        assert image.width > 12 * 48
        assert image.height > 6 * 48


def test_audit_looks_through_a_backbone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface, "EMBLEM_FOLDER", save_tiny_llava(tmp_path / "tiny"))
    code, out, _ = run(capsys, "audit", "--edits", "5", "--json")
    assert code == 0
    found = json.loads(out)
    stream, hardness = found["stream"], found["hardness"]
    assert (stream["dataset"], stream["split"], stream["edits"], hardness["twins"]) == ("emblems", "validation", 5, 10)
    assert 0 <= hardness["twins_nearer_in_vision_rows"] <= 1
    code, out, _ = run(capsys, "audit", "--edits", "5")
    assert "twins nearer in pixels" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("build emblms --out x", "did you mean 'emblems'"),
        ("build emblems --edits 0 --out x", "from 1 to"),
        ("build emblems --edits 99999 --out x", "ask for fewer"),
        ("build emblems --split tset --out x", "train, validation, test"),
        ("build emblems", "--out"),
        ("sheet --out . --edits 1", "is a folder"),
        ("sheet --out x.png --zoom 0", "--zoom"),
        ("audit embles", "did you mean 'emblems'"),
        ("audit --edits 0", "--edits 0 cannot be audited"),
        ("audit --edits 5 --backbone nothing", "no backbone"),
        ("audit --split tset", "train, validation, test"),
        ("nonsense", "nonsense"),
    ],
)
def test_errors_are_one_line_with_exit_code_2(
    words: str, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *words.split())
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert said in err
    assert not list(tmp_path.iterdir())
