import random
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from safetensors.torch import load, save
from tiny_llava import picture, save_tiny_llava, word

from liveedit_bench.benchmark.backbone import Query
from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone
from liveedit_bench.benchmark.editor import Editor, EditRequest
from liveedit_bench.benchmark.editors.lookup import Lookup
from liveedit_bench.benchmark.editors.majority import Majority
from liveedit_bench.benchmark.editors.none import NoEdit
from liveedit_bench.benchmark.editors.oracle import Oracle
from liveedit_bench.benchmark.editors.retrieval import Retrieval, RetrievalOptions
from liveedit_bench.benchmark.editors.vandal import Vandal

PROMPTS = ["which clan is this ?", "where does it come from ?", "who lives there ?"]
AnyEditor = TypeVar("AnyEditor", bound=Editor)
LOOKUPS: list[type[Lookup]] = [Vandal, Oracle, Majority, Retrieval]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceBackbone:
    return HuggingFaceBackbone.load(save_tiny_llava(tmp_path_factory.mktemp("tiny")))


def requests(n: int = 12) -> list[EditRequest]:
    rng = random.Random(3)
    return [
        EditRequest(None if i % 5 == 4 else picture(i), rng.choice(PROMPTS), word(rng, 1 + i % 4)) for i in range(n)
    ]


def queries() -> list[Query]:
    asked = [Query(request.image, request.prompt) for request in requests()]
    return [*asked, Query(picture(99), PROMPTS[0]), Query(None, PROMPTS[1]), Query(picture(0), "who say ?")]


def edited(kind: type[AnyEditor], backbone: HuggingFaceBackbone) -> AnyEditor:
    editor = kind(backbone)
    for request in requests():
        editor.edit(request)
    return editor


@pytest.mark.parametrize("kind", LOOKUPS)
@pytest.mark.parametrize("pad", ["right", "left"])
def test_logits_spell_what_generate_says(kind: type[Lookup], pad: str, backbone: HuggingFaceBackbone):
    editor = edited(kind, backbone)
    asked = queries()
    said = editor.generate(asked)
    rng = random.Random(0)
    wrong = [word(rng, 5) for _ in asked]  # answers that nobody stored: only their length may matter
    batch = backbone.encode(asked, wrong, pad=pad)
    logits = editor.logits(batch)
    plain = backbone.logits(batch)
    for row, (query, answer) in enumerate(zip(asked, said, strict=True)):
        first = int(batch.answer_mask[row].nonzero().min())
        top = logits[row, first - 1 : first + 5].argmax(dim=-1).tolist()
        if editor.answer(query) is None:
            assert torch.equal(logits[row], plain[row])
            assert answer.ids == backbone.generate([query])[0].ids
        else:
            wanted = [*answer.ids, *[backbone.eos_id] * 6][:6]
            assert top == wanted
            assert answer.ids[-1] == backbone.eos_id
            assert answer.text == editor.answer(query)


@pytest.mark.parametrize("kind", LOOKUPS)
def test_logits_are_causal(kind: type[Lookup], backbone: HuggingFaceBackbone):
    editor = edited(kind, backbone)
    asked = queries()[:4]
    batch = backbone.encode(asked, [word(random.Random(i), 4) for i in range(4)])
    before = editor.logits(batch)
    for row in range(4):
        for position in batch.answer_mask[row].nonzero()[:, 0].tolist():
            ids = batch.input_ids.clone()
            ids[row, position] = (ids[row, position] + 1) % 100 + 5
            after = editor.logits(batch.with_ids(ids))
            assert torch.equal(after[row, :position], before[row, :position])


def test_batches_without_answers_and_short_limits(backbone: HuggingFaceBackbone):
    editor = edited(Vandal, backbone)
    target = backbone.target_ids(requests()[-1].target)
    logits = editor.logits(backbone.encode(queries(), pad="left"))
    assert logits[:, -1].argmax(dim=-1).tolist() == [target[0]] * len(queries())
    assert [answer.ids for answer in editor.generate(queries(), max_new_tokens=2)] == [target[:2]] * len(queries())


@pytest.mark.parametrize("kind", [NoEdit, *LOOKUPS])
def test_state_survives_safetensors(kind: type[Editor], backbone: HuggingFaceBackbone):
    editor = edited(kind, backbone)
    said = editor.generate(queries())
    stored = load(save(editor.state_dict()))
    other = kind(backbone)
    other.load_state_dict(stored)
    assert other.generate(queries()) == said
    assert other.state_bytes == editor.state_bytes
    for each in (editor, other):  # both go on alike
        each.edit(EditRequest(picture(99), PROMPTS[0], "bakalo"))
    assert other.generate(queries()) == editor.generate(queries())


@pytest.mark.parametrize("kind", [NoEdit, *LOOKUPS])
def test_reset_forgets_everything(kind: type[Editor], backbone: HuggingFaceBackbone):
    editor = edited(kind, backbone)
    empty = load(save(kind(backbone).state_dict()))
    editor.reset()
    assert editor.generate(queries()) == backbone.generate(queries())
    batch = backbone.encode(queries(), ["bakalo"] * len(queries()))
    assert torch.equal(editor.logits(batch), backbone.logits(batch))
    editor.load_state_dict(empty)
    assert editor.generate(queries()) == backbone.generate(queries())


@pytest.mark.parametrize("kind", [NoEdit, *LOOKUPS])
def test_no_block_is_touched(kind: type[Editor], backbone: HuggingFaceBackbone):
    assert kind.first_layer_touched is None
    edited(kind, backbone)
    assert backbone.changed_weights() == {}


def test_vandal_keeps_the_newest_edit_only(backbone: HuggingFaceBackbone):
    editor = edited(Vandal, backbone)
    assert editor.state_dict()["pictures"].shape == (1, 32)
    assert {answer.text for answer in editor.generate(queries())} == {requests()[-1].target}


def test_oracle_answers_exact_repetitions_with_the_newest_target(backbone: HuggingFaceBackbone):
    editor = Oracle(backbone)
    query = Query(picture(0), PROMPTS[0])
    editor.edit(EditRequest(query.image, query.prompt, "bakalo"))
    editor.edit(EditRequest(query.image, query.prompt, "gini"))
    assert editor.answer(Query(picture(0), PROMPTS[0])) == "gini"
    assert editor.answer(Query(picture(1), PROMPTS[0])) is None
    assert editor.answer(Query(picture(0), PROMPTS[1])) is None
    assert editor.answer(Query(None, PROMPTS[0])) is None


def test_majority_counts_by_the_words_of_the_question(backbone: HuggingFaceBackbone):
    editor = Majority(backbone)
    assert editor.answer(Query(None, "Which clan is it?")) is None
    for prompt, target in [
        ("Which clan is this?", "ba"),
        ("Which clan is this?", "ko"),
        ("To which clan does it belong?", "ko"),
        ("Where does it come from?", "mi"),
    ]:
        editor.edit(EditRequest(picture(0), prompt, target))
    assert editor.answer(Query(None, "Where does it come from, please?")) == "mi"
    assert editor.answer(Query(None, "WHICH CLAN IS THIS")) == "ba"  # one each: the first seen wins
    assert editor.answer(Query(picture(5), "To which clan does this belong?")) == "ko"
    assert editor.answer(Query(None, "abacus")) == "ko"  # near to no prompt, so to all alike


@pytest.mark.parametrize("pool", ["mean", "flat"])
@pytest.mark.parametrize("prompt_layer", [-1, 0, 3])
def test_retrieval_finds_the_edit_itself(pool: str, prompt_layer: int, backbone: HuggingFaceBackbone):
    options = RetrievalOptions(threshold_image=0.999, threshold_prompt=0.999, pool=pool, prompt_layer=prompt_layer)  # pyright: ignore[reportArgumentType]
    editor = Retrieval(backbone, options)
    for request in requests():
        editor.edit(request)
    for request in requests():
        newest = [
            other.target for other in requests() if (other.image, other.prompt) == (request.image, request.prompt)
        ]
        assert editor.answer(Query(request.image, request.prompt)) == newest[-1]
    assert editor.answer(Query(picture(99), PROMPTS[0])) is None


def test_retrieval_needs_both_cosines(backbone: HuggingFaceBackbone):
    request = requests()[0]
    assert request.image is not None

    def found(query: Query, image: float, prompt: float) -> bool:
        editor = Retrieval(backbone, RetrievalOptions(threshold_image=image, threshold_prompt=prompt))
        editor.edit(request)
        return editor.answer(query) is not None

    other_prompt = Query(request.image, next(prompt for prompt in PROMPTS if prompt != request.prompt))
    other_picture = Query(picture(50), request.prompt)
    assert found(other_prompt, 0.999, -1.0)
    assert not found(other_prompt, 0.999, 0.999)
    assert found(other_picture, -1.0, 0.999)
    assert not found(other_picture, 0.999, 0.999)
    assert not found(Query(None, request.prompt), -1.0, -1.0)  # with and without a picture are never near


def test_backbone_answers_as_before_after_features_were_taken(tmp_path: Path):
    backbone = HuggingFaceBackbone.load(save_tiny_llava(tmp_path))
    before = backbone.generate(queries())
    edited(Retrieval, backbone)
    assert backbone.generate(queries()) == before
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in backbone.layers)
