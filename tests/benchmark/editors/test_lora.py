import random
import sys
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load, save
from tiny_llava import picture, save_tiny_llava, word

from liveedit_bench.benchmark.backbone import Query
from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone
from liveedit_bench.benchmark.editor import EditRequest
from liveedit_bench.benchmark.editors.lora import Lora, LoraOptions
from liveedit_bench.errors import BenchError, EditError

PROMPTS = ["which clan is this ?", "where does it come from ?", "who lives there ?"]
OPTIONS = LoraOptions(rank=4, lr=1e-2, max_steps=300)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceBackbone:
    return HuggingFaceBackbone.load(save_tiny_llava(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def backbone(loaded: HuggingFaceBackbone):
    yield loaded
    Lora(loaded).reset()


def requests(n: int) -> list[EditRequest]:
    rng = random.Random(3)
    return [
        EditRequest(None if i % 3 == 2 else picture(i), rng.choice(PROMPTS), word(rng, 1 + i % 3)) for i in range(n)
    ]


def questions(n: int) -> list[Query]:
    return [Query(request.image, request.prompt) for request in requests(n)]


def test_equals_the_update_written_into_the_weights(backbone: HuggingFaceBackbone):
    editor = Lora(backbone, OPTIONS)
    for request in requests(3):
        editor.edit(request)
    batch = backbone.encode(questions(3))
    ours, state = editor.logits(batch), editor.state_dict()
    assert len(state) == 2 * 2 * len(backbone.layers)
    editor.reset()
    plain = backbone.logits(batch)
    for number, block in enumerate(backbone.layers):
        for name in ("q_proj", "v_proj"):
            a, b = (state[f"layers.{number}.self_attn.{name}.lora_{each}.default.weight"] for each in "AB")
            weight = getattr(cast(Any, block).self_attn, name).weight
            with torch.no_grad():
                weight += OPTIONS.alpha / OPTIONS.rank * b @ a
    written = backbone.logits(batch)
    assert (ours - written).abs().max() < 1e-4 < (ours - plain).abs().max()


def test_learns_each_edit_and_leaves_the_weights_below(backbone: HuggingFaceBackbone):
    editor = Lora(backbone, OPTIONS)
    pristine = {name: weight.clone() for name, weight in backbone.model.named_parameters()}
    for request in requests(6):
        editor.edit(request)
        assert editor.generate([Query(request.image, request.prompt)])[0].text == request.target
    below = {name.replace(".base_layer", ""): weight for name, weight in backbone.model.named_parameters()}
    assert all(torch.equal(below[name], weight) for name, weight in pristine.items())
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())
    assert not any("lora" in name for name, _ in backbone.model.named_modules() if "vision" in name)
    editor.reset()
    assert {name for name, _ in backbone.model.named_parameters()} == pristine.keys()


def test_state_and_reset(backbone: HuggingFaceBackbone):
    editor, asked = Lora(backbone, OPTIONS, seed=5), questions(6)
    before = backbone.generate(asked)
    assert editor.state_dict() == {}
    for request in requests(2):
        editor.edit(request)
    stored, said = load(save(editor.state_dict())), editor.generate(asked)
    assert editor.state_bytes == sum(each.nbytes for each in stored.values())
    for request in requests(4)[2:]:
        editor.edit(request)
    gone_on = editor.state_dict()
    editor.reset()
    assert editor.generate(asked) == before
    assert editor.state_dict() == {}
    editor.load_state_dict(stored)
    assert editor.generate(asked) == said
    for request in requests(4)[2:]:
        editor.edit(request)
    assert all(torch.equal(weight, gone_on[name]) for name, weight in editor.state_dict().items())
    editor.load_state_dict({})
    assert editor.generate(asked) == before
    with pytest.raises(BenchError, match="other modules"):
        editor.load_state_dict({"layers.0.x.lora_A.default.weight": torch.zeros(1)})
    assert editor.generate(asked) == before


def test_the_seed_alone_decides_how_the_adapter_begins(backbone: HuggingFaceBackbone):
    def first(seed: int) -> dict[str, torch.Tensor]:
        editor = Lora(backbone, OPTIONS, seed=seed)
        editor.reset()
        torch.rand(7)
        drawn = torch.get_rng_state()
        editor.edit(requests(1)[0])
        assert torch.equal(torch.get_rng_state(), drawn)
        return editor.state_dict()

    one, again, other = first(1), first(1), first(2)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_divergence_is_refused_and_leaves_the_state(backbone: HuggingFaceBackbone):
    editor = Lora(backbone, LoraOptions(lr=float("inf"), max_steps=3))
    with pytest.raises(EditError, match="diverged"):
        editor.edit(requests(1)[0])
    assert editor.state_dict() == {}
    assert backbone.changed_weights() == {}
    healthy = Lora(backbone, OPTIONS)
    healthy.edit(requests(1)[0])
    before = healthy.state_dict()
    with pytest.raises(EditError, match="diverged"):
        editor.edit(requests(2)[1])
    assert all(torch.equal(weight, before[name]) for name, weight in editor.state_dict().items())


def test_what_is_missing_is_said_in_one_line(backbone: HuggingFaceBackbone, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(BenchError, match=r"no projection query_key_value; give --option modules= some of .*q_proj"):
        Lora(backbone, LoraOptions(modules=("query_key_value",)))
    with pytest.raises(BenchError, match="--option modules="):
        Lora(backbone, LoraOptions(modules=()))
    monkeypatch.setitem(sys.modules, "peft", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BenchError, match=r"needs peft, .* pip install 'liveedit-bench\[lora\]'"):
        Lora(backbone)
    monkeypatch.undo()
