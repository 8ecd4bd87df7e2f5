import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tiny_minigpt4 import published

import liveedit_bench
from liveedit_bench.benchmark.backbones.minigpt4.projection import read_projection
from liveedit_bench.errors import BenchError

WEIGHT, BIAS = torch.randn(6, 4), torch.randn(6)
NAMED = {"llama_proj.weight": WEIGHT, "llama_proj.bias": BIAS}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "prerained_minigpt4_7b.pth"


@pytest.mark.parametrize(
    "content",
    [
        published(WEIGHT, BIAS),
        NAMED,
        {"model": {f"module.{name}": value for name, value in NAMED.items()}},
    ],
    ids=["published", "bare", "several devices"],
)
@pytest.mark.parametrize("archive", [True, False], ids=["zip", "before torch 1.6"])
def test_the_layer_is_read_bit_equal(path: Path, content: dict[str, Any], archive: bool):
    torch.save(content, path, _use_new_zipfile_serialization=archive)
    found = read_projection(path)
    assert torch.equal(found.weight, WEIGHT)
    assert torch.equal(found.bias, BIAS)
    assert len(found.sha256) == 64


def test_safetensors_are_read_too(path: Path):
    save_file(NAMED, path)
    assert torch.equal(read_projection(path).weight, WEIGHT)


class Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, ("ran",)


def test_a_pickle_that_does_things_is_refused_and_does_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": NAMED, "config": Evil()}, path)
    with pytest.raises(BenchError, match=r"more than tensors and plain values.*write llama_proj.weight"):
        read_projection(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"model": {"llama_proj.weight": WEIGHT}}, "lacks llama_proj.bias .it holds llama_proj.weight."),
        ({"state_dict": {}}, "lacks llama_proj.weight and llama_proj.bias .it holds no tensors."),
        ([WEIGHT], "no tensors by name"),
        ({"model": 3}, "no tensors by name"),
        ({"model": {**NAMED, "Qformer.bert.encoder.layer.0.weight": WEIGHT}}, "1 tensors besides the projection"),
        (
            {"model": {**NAMED, "llama_proj.bias": WEIGHT}},
            r"\[6, 4\] and llama_proj.bias \[6, 4\] make no linear layer",
        ),
        ({"model": {**NAMED, "llama_proj.weight": BIAS}}, "make no linear layer"),
    ],
)
def test_other_checkpoints_are_refused_in_one_line(path: Path, content: object, said: str):
    torch.save(content, path)
    with pytest.raises(BenchError, match=said) as caught:
        read_projection(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "neither"),
        (b"<html>not found</html>", "neither"),
        (b"\x80\x02}q\x00", "damaged"),
        (b"PK\x03\x04", "damaged"),
    ],
)
def test_files_that_are_none_are_refused(path: Path, content: bytes, said: str):
    path.write_bytes(content)
    with pytest.raises(BenchError, match=said):
        read_projection(path)
    path.unlink()
    with pytest.raises(BenchError, match="no file"):
        read_projection(path)


def test_a_file_that_was_cut_off_is_damaged(path: Path):
    torch.save(published(WEIGHT, BIAS), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(BenchError, match="is damaged; fetch it anew"):
        read_projection(path)


def test_nothing_else_in_the_package_opens_a_pickle():
    root = Path(liveedit_bench.__file__).parent
    own = [path for path in root.rglob("*.py") if path.relative_to(root).parts[0] not in ("tests", "build", ".types")]
    opening = re.compile(
        r"torch\.load\(|^\s*(import|from) (pickle|dill|joblib)\b|read_pickle\(|allow_pickle=True", re.M
    )
    found = {path.relative_to(root).as_posix(): opening.findall(path.read_text()) for path in own}
    # `released` has one inside the words of an error.
    assert {name: len(hits) for name, hits in found.items() if hits} == {
        "benchmark/backbones/minigpt4/projection.py": 1,
        "benchmark/editors/liveedit/released.py": 1,
    }
    assert "weights_only=True" in (root / "benchmark/backbones/minigpt4/projection.py").read_text()
