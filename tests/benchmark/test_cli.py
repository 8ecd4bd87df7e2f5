import json
from pathlib import Path

import pytest
import torch
from released_code import FOLDER, tensors
from safetensors.torch import load_file

from liveedit_bench import cli

TRAINED = FOLDER / "liveedit_modules_trained.safetensors"
SIZES = ("--layer", "2", "--heads", "4")


def call(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        cli.main(["convert", "liveedit", *map(str, words)])
    said = capsys.readouterr()
    return int(str(end.value.code)), said.out, said.err


def test_there_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    ours, theirs = tmp_path / "new" / "ours.safetensors", tmp_path / "theirs.safetensors"
    code, out, _ = call(capsys, TRAINED, *SIZES, "--out", ours)
    assert code == 0
    assert f"--option weights={ours} --option margin=0" in out
    code, out, _ = call(capsys, ours, "--out", theirs)
    settings = "edit_layer_i 2, cross_att_head_n 4, lora_scale 5"
    assert (code, out) == (0, f"{theirs}: released names; set {settings} in its configuration\n")
    first, last = tensors("liveedit_modules_trained"), load_file(theirs)
    assert first.keys() == last.keys()
    assert all(torch.equal(first[name], last[name]) for name in first)


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "ours.safetensors"
    code, said, _ = call(capsys, TRAINED, *SIZES, "--out", out, "--json")
    assert code == 0
    assert json.loads(said) == {"written": str(out), "names": "here", "layer": 2}


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "ours.safetensors"
    out.write_text("mine")
    code, _, err = call(capsys, TRAINED, *SIZES, "--out", out)
    assert (code, err) == (2, f"error: {out} exists and is not overwritten; give another --out\n")
    assert out.read_text() == "mine"


def test_sizes_are_asked_for_only_where_the_file_lacks_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    ours = tmp_path / "ours.safetensors"
    call(capsys, TRAINED, *SIZES, "--out", ours)
    code, _, err = call(capsys, ours, "--heads", "4", "--out", tmp_path / "theirs")
    assert code == 2
    assert "says its sizes itself; leave --layer, --heads and --lora-scale out" in err
    assert not (tmp_path / "theirs").exists()
