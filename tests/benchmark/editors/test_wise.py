import random
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load, save
from tiny_llava import picture, save_tiny_llava, word

from liveedit_bench.benchmark.backbone import Query
from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone
from liveedit_bench.benchmark.editor import EditRequest
from liveedit_bench.benchmark.editors.ties import merged
from liveedit_bench.benchmark.editors.wise import Wise, WiseOptions
from liveedit_bench.errors import BenchError, EditError

PROMPTS = ["which clan is this ?", "where does it come from ?", "who lives there ?"]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceBackbone:
    return HuggingFaceBackbone.load(save_tiny_llava(tmp_path_factory.mktemp("tiny")))


def requests(n: int) -> list[EditRequest]:
    rng = random.Random(3)
    return [EditRequest(None if i % 4 == 3 else picture(i), PROMPTS[i % 3], word(rng, 1 + i % 2)) for i in range(n)]


def question(request: EditRequest) -> Query:
    return Query(request.image, request.prompt)


def activation(backbone: HuggingFaceBackbone, query: Query, layer: int) -> torch.Tensor:
    """Straight from the model: what the FFN's second matrix is given, at the last token of one question alone."""
    seen: list[torch.Tensor] = []
    projection = cast(Any, backbone.layers[layer]).mlp.down_proj
    hook = projection.register_forward_pre_hook(lambda module, args: seen.append(args[0][0, -1]))
    backbone.logits(backbone.encode([query]))
    hook.remove()
    return seen[0]


def indicator(backbone: HuggingFaceBackbone, query: Query, layer: int, delta: torch.Tensor) -> float:
    inner = activation(backbone, query, layer)
    return float((delta @ inner).norm() / (cast(Any, backbone.layers[layer]).mlp.down_proj.weight @ inner).norm())


def test_an_edit_is_spoken_and_the_backbone_is_not_changed(backbone: HuggingFaceBackbone):
    editor = Wise(backbone, WiseOptions(max_steps=200))
    assert editor.first_layer_touched == editor.layer == 3
    for request in requests(4):
        editor.edit(request)
        assert editor.generate([question(request)])[0].text == request.target
    assert backbone.changed_weights() == {}


def test_questions_are_routed_by_how_much_a_memory_moves_them(backbone: HuggingFaceBackbone):
    editor, edited = Wise(backbone, WiseOptions(shard=2, shards=5, max_steps=5)), requests(4)
    for request in edited:
        editor.edit(request)
    assert editor.owners.tolist() == [0, 0, 1, 1]
    queries = [*map(question, edited), Query(picture(80), PROMPTS[0]), Query(None, PROMPTS[1])]
    moved = [[indicator(backbone, query, 3, delta) for delta in editor.deltas] for query in queries]
    least = [min(moved[0][0], moved[1][0]), min(moved[2][1], moved[3][1])]
    assert editor.thresholds.tolist() == pytest.approx(least, rel=1e-4)
    wanted = [max((0, 1), key=lambda memory: row[memory]) for row in moved]
    wanted = [memory if row[memory] >= least[memory] * 0.999 else -1 for memory, row in zip(wanted, moved, strict=True)]
    found = editor.route(torch.stack([activation(backbone, query, 3) for query in queries]))
    assert found.tolist() == wanted


def test_what_is_routed_is_the_model_with_the_side_memory_in_its_place(backbone: HuggingFaceBackbone):
    editor, request = Wise(backbone, WiseOptions(max_steps=5)), requests(1)[0]
    editor.edit(request)
    batch = backbone.encode([question(request), Query(None, PROMPTS[1])], [request.target, "dabe"])
    unedited, ours = backbone.logits(batch), editor.logits(batch)
    editor.thresholds = editor.thresholds + 1e6
    assert torch.equal(editor.logits(batch), unedited)
    weight = cast(Any, backbone.layers[3]).mlp.down_proj.weight
    with torch.no_grad():
        weight.add_(editor.deltas[0])
    side = backbone.logits(batch)
    backbone.restore()
    assert torch.allclose(ours[0], side[0], atol=1e-4)
    routed = indicator(backbone, Query(None, PROMPTS[1]), 3, editor.deltas[0]) >= indicator(
        backbone, question(request), 3, editor.deltas[0]
    )
    assert torch.allclose(ours[1], (side if routed else unedited)[1], atol=1e-4)


def test_a_shard_changes_the_entries_of_its_mask_only(backbone: HuggingFaceBackbone):
    editor = Wise(backbone, WiseOptions(shard=1, shards=9, mask=0.3, max_steps=3), seed=4)
    for request in requests(3):
        editor.edit(request)
    shares = [float((delta != 0).float().mean()) for delta in editor.deltas]
    assert shares == pytest.approx([0.3] * 3, abs=0.05)
    assert not torch.equal(editor.deltas[0] != 0, editor.deltas[1] != 0)


@pytest.mark.parametrize("variant", ["merge", "retrieve"])
def test_full_shards_are_merged(backbone: HuggingFaceBackbone, variant: Any, monkeypatch: pytest.MonkeyPatch):
    from liveedit_bench.benchmark.editors import wise

    seen: list[torch.Tensor] = []

    def watched(deltas: torch.Tensor, density: float) -> torch.Tensor:
        seen.append(deltas)
        return merged(deltas, density)

    monkeypatch.setattr(wise, "merged", watched)
    editor = Wise(backbone, WiseOptions(variant=variant, shard=1, shards=2, max_steps=2))
    sizes: list[int] = []
    for request in requests(5):
        editor.edit(request)
        sizes.append(len(editor.deltas))
    assert sizes == ([1, 1, 2, 1, 2] if variant == "merge" else [1, 1, 2, 2, 3])
    counts = [len(each) for each in seen]
    assert counts == ([2, 3] if variant == "merge" else [2, 2])
    assert editor.owners.tolist() == ([0, 0, 0, 0, 1] if variant == "merge" else [0, 0, 1, 1, 2])
    assert torch.equal(editor.deltas[len(editor.deltas) - 2], merged(seen[-1], editor.options.density))


def test_state_and_reset(backbone: HuggingFaceBackbone):
    editor, asked = Wise(backbone, WiseOptions(shard=2, shards=2, max_steps=4), seed=7), requests(7)
    queries = [question(request) for request in asked]
    before = backbone.generate(queries)
    for request in asked[:3]:
        editor.edit(request)
    stored, said = load(save(editor.state_dict())), editor.generate(queries)
    editor.reset()
    assert editor.generate(queries) == before
    assert editor.state_bytes == 0
    editor.load_state_dict(stored)
    assert editor.generate(queries) == said
    for request in asked[3:]:
        editor.edit(request)
    gone_on = editor.state_dict()
    fresh = Wise(backbone, editor.options, seed=7)
    for request in asked:
        fresh.edit(request)
    assert all(torch.equal(fresh.state_dict()[name], value) for name, value in gone_on.items())


def test_divergence_is_refused_and_leaves_the_state(backbone: HuggingFaceBackbone):
    editor, (first, second) = Wise(backbone, WiseOptions(max_steps=2)), requests(2)
    editor.edit(first)
    before = editor.state_dict()
    editor.options = WiseOptions(lr=float("inf"))
    with pytest.raises(EditError, match="diverged"):
        editor.edit(second)
    assert all(torch.equal(editor.state_dict()[name], value) for name, value in before.items())


def test_a_decoder_of_another_build_is_refused(backbone: HuggingFaceBackbone):
    layers = cast(Any, backbone.layers)
    mlp, layers[3].mlp = layers[3].mlp, torch.nn.Identity()
    try:
        with pytest.raises(BenchError, match="not built like Llama"):
            Wise(backbone)
    finally:
        layers[3].mlp = mlp
