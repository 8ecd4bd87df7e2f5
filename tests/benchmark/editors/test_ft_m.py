import random
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load, save
from tiny_llava import picture, save_tiny_llava, word
from torch.nn.functional import cross_entropy

from liveedit_bench.benchmark.backbone import Query
from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone
from liveedit_bench.benchmark.editor import EditRequest
from liveedit_bench.benchmark.editors.ft_m import FtM, FtMOptions
from liveedit_bench.errors import BenchError, EditError

PROMPTS = ["which clan is this ?", "where does it come from ?", "who lives there ?"]
OPTIONS = FtMOptions(lr=5e-3, max_steps=300)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceBackbone:
    return HuggingFaceBackbone.load(save_tiny_llava(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def backbone(loaded: HuggingFaceBackbone):
    yield loaded
    loaded.restore()


def requests(n: int) -> list[EditRequest]:
    rng = random.Random(3)
    return [EditRequest(picture(i), rng.choice(PROMPTS), word(rng, 1 + i % 3)) for i in range(n)]


def straightforward(backbone: HuggingFaceBackbone, request: EditRequest, options: FtMOptions, steps: int) -> None:
    projector = cast(Any, backbone.model).model.multi_modal_projector.requires_grad_(True)
    batch = backbone.encode_ids(
        [Query(request.image, request.prompt)], [(*backbone.target_ids(request.target), backbone.eos_id)]
    )
    rows, columns = batch.answer_mask.nonzero(as_tuple=True)
    optimiser = torch.optim.Adam(projector.parameters(), lr=options.lr)
    for _ in range(steps):
        loss = cross_entropy(backbone.logits(batch)[rows, columns - 1], batch.input_ids[rows, columns])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    projector.requires_grad_(False)


def test_equals_plain_training_of_the_projector(backbone: HuggingFaceBackbone):
    options = FtMOptions(max_steps=5, stop_loss=0.0)
    editor = FtM(backbone, options)
    for request in requests(3):
        backbone.restore()
        editor.edit(request)
        ours = backbone.changed_weights()
        backbone.restore()
        straightforward(backbone, request, options, 5)
        theirs = backbone.changed_weights()
        assert set(ours) == set(theirs)
        assert ours
        assert all(name.startswith("model.multi_modal_projector.") for name in ours)
        assert all((ours[name] - theirs[name]).abs().max() < 1e-5 for name in ours)


def test_learns_each_edit_and_leaves_questions_without_a_picture(backbone: HuggingFaceBackbone):
    editor = FtM(backbone, OPTIONS)
    text = backbone.encode([Query(None, prompt) for prompt in PROMPTS])
    before = backbone.logits(text)
    for request in requests(5):
        editor.edit(request)
        assert editor.generate([Query(request.image, request.prompt)])[0].text == request.target
    assert torch.equal(editor.logits(text), before)
    assert set(editor.fixed_scores) == {"text_locality", "locality_no_image"}
    assert editor.first_layer_touched == 0
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())


def test_state_and_reset(backbone: HuggingFaceBackbone):
    editor = FtM(backbone, OPTIONS)
    asked = [Query(request.image, request.prompt) for request in requests(5)]
    before = backbone.generate(asked)
    for request in requests(2):
        editor.edit(request)
    stored, said = load(save(editor.state_dict())), editor.generate(asked)
    assert editor.state_bytes == sum(each.nbytes for each in stored.values()) > 0
    editor.reset()
    assert editor.generate(asked) == before
    editor.load_state_dict(stored)
    assert editor.generate(asked) == said


def test_what_it_cannot_learn_is_refused_and_leaves_the_state(backbone: HuggingFaceBackbone):
    editor = FtM(backbone, OPTIONS)
    with pytest.raises(EditError, match="without a picture"):
        editor.edit(EditRequest(None, PROMPTS[0], "bala"))
    with pytest.raises(EditError, match="diverged"):
        FtM(backbone, FtMOptions(lr=float("inf"), max_steps=3)).edit(requests(1)[0])
    assert backbone.changed_weights() == {}


def test_a_backbone_without_a_known_projector_is_refused():
    with pytest.raises(BenchError, match="which module of it is the vision projector"):
        FtM(cast(Any, type("Bare", (), {"name": "bare"})()))
