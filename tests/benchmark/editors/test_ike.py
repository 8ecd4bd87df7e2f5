import random

import pytest
import torch
from safetensors.torch import load, save
from tiny_llava import picture, save_tiny_llava, word

from liveedit_bench.benchmark.backbone import Query
from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone
from liveedit_bench.benchmark.editor import EditRequest
from liveedit_bench.benchmark.editors.ike import Ike, IkeOptions
from liveedit_bench.benchmark.editors.in_context import logits_in_context

PROMPTS = ["which clan is this ?", "where does it come from ?", "who lives there ?"]
FORM = "{prompt} {target} ."


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceBackbone:
    return HuggingFaceBackbone.load(save_tiny_llava(tmp_path_factory.mktemp("tiny")))


def requests(n: int) -> list[EditRequest]:
    rng = random.Random(3)
    return [EditRequest(None if i % 4 == 3 else picture(i), PROMPTS[i % 3], word(rng, 1 + i % 3)) for i in range(n)]


def question(request: EditRequest) -> Query:
    return Query(request.image, request.prompt)


def similar(editor: Ike, one: Query, other: Query) -> float:
    """By hand: the mean of both cosines, a missing picture being like nothing, not even another."""
    parts = [float(editor.features.prompt(one.prompt) @ editor.features.prompt(other.prompt))]
    if one.image is not None and other.image is not None:
        parts.append(float(editor.features.picture(one.image) @ editor.features.picture(other.image)))
    sizes = [1 + (query.image is not None) for query in (one, other)]
    return sum(parts) / (sizes[0] * sizes[1]) ** 0.5


def test_the_nearest_edits_stand_before_the_question_nearest_last(backbone: HuggingFaceBackbone):
    editor, edited = Ike(backbone, IkeOptions(demonstrations=3, statement=FORM)), requests(9)
    for request in edited:
        editor.edit(request)
    asked = [question(request) for request in edited] + [Query(picture(70), PROMPTS[1]), Query(None, PROMPTS[0])]
    for query, told in zip(asked, editor.in_context(asked), strict=True):
        # `sorted` is stable: of equally near edits the newest comes last.
        nearest = sorted(edited, key=lambda edit: round(similar(editor, query, question(edit)), 4))[-3:]
        assert told.prompt == " ".join([*(f"{edit.prompt} {edit.target} ." for edit in nearest), query.prompt])
        assert told.image == query.image
    assert [nearest[-1].target for nearest in editor.nearest(asked[:9])] == [request.target for request in edited]


def test_fewer_edits_than_demonstrations(backbone: HuggingFaceBackbone):
    editor, edited = Ike(backbone, IkeOptions(demonstrations=8)), requests(2)
    assert editor.in_context([question(edited[0])]) == [question(edited[0])]
    for request in edited:
        editor.edit(request)
    assert [len(each) for each in editor.nearest([question(edited[0]), Query(None, "who ?")])] == [2, 2]


def test_a_threshold_leaves_out_what_is_less_similar(backbone: HuggingFaceBackbone):
    editor, request = Ike(backbone, IkeOptions()), requests(1)[0]
    editor.edit(request)
    other = Query(picture(50), PROMPTS[1])
    cosine = similar(editor, other, question(request))
    for threshold, shown in ((None, 1), (cosine - 1e-4, 1), (cosine + 1e-4, 0)):
        editor.options = IkeOptions(threshold=threshold)
        assert len(editor.nearest([other])[0]) == shown


def test_a_question_edited_again_has_its_new_target_only(backbone: HuggingFaceBackbone):
    editor, (first, second) = Ike(backbone, IkeOptions(demonstrations=5)), requests(2)
    editor.edit(first)
    editor.edit(EditRequest(first.image, first.prompt, second.target))
    assert [edit.target for edit in editor.nearest([question(first)])[0]] == [second.target]


@pytest.mark.parametrize("pad", ["right", "left"])
def test_logits_stand_where_the_answers_stand(backbone: HuggingFaceBackbone, pad: str):
    queries = [question(request) for request in requests(4)]
    told = [
        Query(query.image, f"who is this ? {query.prompt}" if i else query.prompt) for i, query in enumerate(queries)
    ]
    batch = backbone.encode(queries, ["dabe", "gilo dabe", "ru", "bidi gaga lo"], pad=pad)
    logits = logits_in_context(backbone, batch, told)
    assert logits.shape == (*batch.input_ids.shape, backbone.logits(batch).shape[-1])
    for row in range(4):
        ids = batch.input_ids[row][batch.answer_mask[row]].tolist()
        alone = backbone.logits(backbone.encode_ids([told[row]], [ids]))[0, -len(ids) - 1 :]
        first = int(batch.answer_mask[row].nonzero()[0]) - 1
        assert torch.allclose(logits[row, first : first + len(ids) + 1], alone, atol=1e-4)


def test_answers_are_those_of_the_model_in_context(backbone: HuggingFaceBackbone):
    editor, edited = Ike(backbone, IkeOptions(statement=FORM)), requests(4)
    queries = [question(request) for request in edited]
    before = backbone.generate(queries)
    assert editor.generate(queries) == before
    for request in edited:
        editor.edit(request)
    told = [
        Query(query.image, f"{r.prompt} {r.target} . {query.prompt}") for query, r in zip(queries, edited, strict=True)
    ]
    assert editor.generate(queries) == backbone.generate(told) != before
    stored, said = load(save(editor.state_dict())), editor.generate(queries)
    editor.reset()
    assert editor.generate(queries) == before
    assert editor.state_bytes == 0
    editor.load_state_dict(stored)
    assert editor.generate(queries) == said
    assert backbone.changed_weights() == {}
