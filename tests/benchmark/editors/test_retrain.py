import random

import pytest
import torch
from safetensors.torch import load, save
from tiny_llava import picture, save_tiny_llava, word

from liveedit_bench.benchmark.backbone import Query
from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone
from liveedit_bench.benchmark.editor import EditRequest
from liveedit_bench.benchmark.editors.ft_l import FtL, FtLOptions
from liveedit_bench.benchmark.editors.retrain import Retrain, RetrainOptions
from liveedit_bench.errors import BenchError, EditError

PROMPTS = ["which clan is this ?", "where does it come from ?", "who lives there ?"]
OPTIONS = RetrainOptions(batch=6, lr=2e-3, max_steps=200)
EDITS = 14


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceBackbone:
    return HuggingFaceBackbone.load(save_tiny_llava(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def backbone(loaded: HuggingFaceBackbone):
    yield loaded
    loaded.restore()


def requests(n: int = EDITS) -> list[EditRequest]:
    rng = random.Random(3)
    return [
        EditRequest(picture(i), PROMPTS[i % 3], word(rng, 1 + i % 3))
        if i % 5
        else EditRequest(None, f"{PROMPTS[0]} {word(rng)}", word(rng))
        for i in range(n)
    ]


def right(editor: Retrain | FtL, edits: list[EditRequest]) -> int:
    answers = editor.generate([Query(edit.image, edit.prompt) for edit in edits])
    return sum(answer.text == edit.target for answer, edit in zip(answers, edits, strict=True))


def test_holds_all_edits_where_one_after_another_loses_them(backbone: HuggingFaceBackbone):
    editor, edits = Retrain(backbone, OPTIONS), requests()
    for count, edit in enumerate(edits, start=1):
        editor.edit(edit)
        assert right(editor, edits[count - 1 : count]) == 1
    assert right(editor, edits) >= EDITS - 1
    assert editor.bound
    blocks = {id(weight) for block in backbone.layers for weight in block.parameters()}
    named = dict(backbone.model.named_parameters())
    assert {id(named[name]) for name in backbone.changed_weights()} <= blocks
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())
    editor.reset()
    alone = FtL(backbone, FtLOptions(lr=5e-3))
    for edit in edits:
        alone.edit(edit)
    assert right(alone, edits) < EDITS // 2


def test_of_one_question_the_newest_target_stands(backbone: HuggingFaceBackbone):
    editor, (edit, other) = Retrain(backbone, OPTIONS), requests(2)
    for request in (edit, other, EditRequest(edit.image, edit.prompt, "zobu")):
        editor.edit(request)
    (answer,) = editor.generate([Query(edit.image, edit.prompt)])
    assert answer.text == "zobu"
    assert right(editor, [other]) == 1


def test_state_and_reset(backbone: HuggingFaceBackbone):
    editor, edits = Retrain(backbone, OPTIONS, seed=4), requests(6)
    asked = [Query(edit.image, edit.prompt) for edit in edits]
    before = backbone.generate(asked)
    for edit in edits[:4]:
        editor.edit(edit)
    stored, said = load(save(editor.state_dict())), editor.generate(asked)
    assert editor.state_bytes == sum(each.nbytes for each in stored.values())
    for edit in edits[4:]:
        editor.edit(edit)
    gone_on = backbone.changed_weights()
    editor.reset()
    assert editor.generate(asked) == before
    assert editor.state_dict() == {}
    editor.load_state_dict(stored)
    assert editor.generate(asked) == said
    for edit in edits[4:]:
        editor.edit(edit)
    now = backbone.changed_weights()
    assert all(torch.equal(now[name], weight) for name, weight in gone_on.items())
    fresh = Retrain(backbone, OPTIONS, seed=4)
    fresh.reset()
    for edit in edits:
        fresh.edit(edit)
    now = backbone.changed_weights()
    assert all(torch.equal(now[name], weight) for name, weight in gone_on.items())


def test_divergence_is_refused_and_leaves_the_state(backbone: HuggingFaceBackbone):
    editor = Retrain(backbone, RetrainOptions(lr=float("inf"), max_steps=3))
    with pytest.raises(EditError, match="diverged"):
        editor.edit(requests(1)[0])
    assert editor.state_dict() == {}
    assert backbone.changed_weights() == {}
    with pytest.raises(BenchError, match="batch=0 trains on nothing"):
        Retrain(backbone, RetrainOptions(batch=0))
