from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tiny_llava import picture, save_tiny_llava
from torch import Tensor

from liveedit_bench.benchmark.backbone import Batch, Query
from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone
from liveedit_bench.benchmark.editor import Editor, EditRequest
from liveedit_bench.runners.reuse import LayerReuse


class Late(Editor):
    """Adds something to what the last block says; counts how often each block is computed."""

    name = "late"

    def __init__(self, backbone: Any, options: Any = None, *, seed: int = 0) -> None:
        super().__init__(backbone, options, seed=seed)
        self.first_layer_touched = len(backbone.layers) - 1
        self.shift = 0.0

    def edit(self, request: EditRequest) -> None:
        self.shift += 1.0

    def logits(self, batch: Batch) -> Tensor:
        hook = self.backbone.layers[-1].register_forward_hook(lambda _m, _a, output: output + self.shift * output.sin())
        try:
            return self.backbone.logits(batch)
        finally:
            hook.remove()


class Watches(Late):
    name = "watches"

    def logits(self, batch: Batch) -> Tensor:
        seen: list[Tensor] = []
        block: Any = self.backbone.layers[0]
        hook = block.register_forward_hook(lambda _m, _a, output: seen.append(output))
        try:
            return super().logits(batch) + seen[0].mean()
        finally:
            hook.remove()


class Halves(Late):
    """Sends something else than the batch through the model."""

    name = "halves"

    def logits(self, batch: Batch) -> Tensor:
        half = self.backbone.encode_ids(batch.queries[:1], [()])
        return super().logits(batch) + super().logits(half).mean()


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceBackbone:
    return HuggingFaceBackbone.load(save_tiny_llava(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def batches(backbone: HuggingFaceBackbone) -> Sequence[Batch]:
    queries = [Query(picture(1), "which clan is this ?"), Query(None, "who lives there ?"), Query(picture(2), "era ?")]
    return [
        backbone.encode_ids(queries, [(5, 6), (7,), (8, 9, 10)]),
        backbone.encode_ids(queries[:2], [(5, 6), (7,)]),
    ]


REQUEST = EditRequest(None, "?", "x")


@pytest.mark.parametrize("kind", [Late, Watches, Halves])
def test_logits_are_bit_equal_to_computing_everything(kind: Any, backbone: Any, batches: Sequence[Batch]):
    editor = kind(backbone)
    reuse = LayerReuse(editor, backbone)
    for _ in range(3):
        for number, batch in enumerate(batches):
            assert torch.equal(reuse.logits(batch, number), editor.logits(batch))
        editor.edit(REQUEST)
    if kind is Late:
        assert reuse.reused == 4
    else:
        assert reuse.reused == 0


def test_untouched_blocks_are_computed_once(backbone: Any, batches: Sequence[Batch], monkeypatch: pytest.MonkeyPatch):
    calls: list[int] = []
    block = backbone.layers[0]
    monkeypatch.setattr(type(block.mlp), "forward", _counting(type(block.mlp).forward, calls))
    reuse = LayerReuse(Late(backbone), backbone)
    for _ in range(4):
        reuse.logits(batches[0], 0)
    blocks = len(backbone.layers)
    assert len(calls) == blocks + 3  # all of them once, then the last one alone


def _counting(forward: Any, calls: list[int]) -> Any:
    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return forward(self, *args, **kwargs)

    return counted


def test_nothing_is_kept_beyond_the_limit(backbone: Any, batches: Sequence[Batch]):
    reuse = LayerReuse(Late(backbone), backbone, limit_bytes=10)
    for _ in range(3):
        reuse.logits(batches[0], 0)
    assert reuse.reused == 0


def test_an_editor_that_touches_the_first_block_is_computed_in_full(backbone: Any, batches: Sequence[Batch]):
    editor = Late(backbone)
    editor.first_layer_touched = 0
    reuse = LayerReuse(editor, backbone)
    reuse.logits(batches[0], 0)
    reuse.logits(batches[0], 0)
    assert reuse.reused == 0


def test_the_model_is_left_as_it_was(backbone: Any, batches: Sequence[Batch]):
    class Fails(Late):
        name = "fails"
        failing = False

        def logits(self, batch: Batch) -> Tensor:
            logits = super().logits(batch)
            if self.failing:
                raise ValueError("later")
            return logits

    before = backbone.logits(batches[0])
    editor = Fails(backbone)
    reuse = LayerReuse(editor, backbone)
    reuse.logits(batches[0], 0)
    editor.failing = True
    with pytest.raises(ValueError, match="later"):
        reuse.logits(batches[0], 0)
    assert torch.equal(backbone.logits(batches[0]), before)
    assert not any("forward" in block.__dict__ for block in backbone.layers)
