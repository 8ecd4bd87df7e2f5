import random
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load, save
from tiny_llava import picture, save_tiny_llava, word

from liveedit_bench.benchmark.backbone import Query
from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone
from liveedit_bench.benchmark.editor import EditRequest
from liveedit_bench.benchmark.editors.balancedit import BalancEdit, BalancEditOptions
from liveedit_bench.benchmark.editors.codebook import CodebookEditor
from liveedit_bench.benchmark.editors.grace import Grace, GraceOptions
from liveedit_bench.benchmark.editors.samples import blank, views
from liveedit_bench.errors import BenchError, EditError

# Through a random model's blocks one vector says one syllable, not several.
EASY: dict[str, Any] = {"layer": 1, "max_steps": 200, "lr": 0.3, "stop_loss": 2.0, "stop_margin": 0.05}
PROMPTS = ["which clan is this ?", "where does it come from ?", "who lives there ?"]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceBackbone:
    return HuggingFaceBackbone.load(save_tiny_llava(tmp_path_factory.mktemp("tiny")))


def requests(n: int) -> list[EditRequest]:
    rng = random.Random(3)
    return [EditRequest(None if i % 4 == 3 else picture(i), rng.choice(PROMPTS), word(rng, 1)) for i in range(n)]


def question(request: EditRequest) -> Query:
    return Query(request.image, request.prompt)


def key_of(backbone: HuggingFaceBackbone, query: Query, layer: int) -> torch.Tensor:
    """Straight from the model: what enters the block, at the last token of one question alone."""
    seen: list[torch.Tensor] = []
    block = cast(Any, backbone.layers[layer])
    hook = block.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
    )
    backbone.logits(backbone.encode([query]))
    hook.remove()
    return seen[0][0, -1]


def apart(one: torch.Tensor, key: torch.Tensor) -> float:
    return float((one - key).norm() / key.norm())


@pytest.mark.parametrize("kind", [Grace, BalancEdit])
def test_learns_each_edit_and_keeps_them_all(backbone: HuggingFaceBackbone, kind: type[CodebookEditor]):
    options = GraceOptions(eps=1e-2, **EASY) if kind is Grace else BalancEditOptions(alpha=1.0, **EASY)
    editor, asked = kind(backbone, options), requests(4)
    for request in asked:
        editor.edit(request)
    assert [answer.text for answer in editor.generate([question(request) for request in asked])] == [
        request.target for request in asked
    ]
    assert backbone.changed_weights() == {}


def test_the_nearest_key_answers_within_its_radius_and_nothing_else_does(backbone: HuggingFaceBackbone):
    editor = Grace(backbone, GraceOptions(eps=0.0, **EASY))
    edited = requests(3)
    for request in edited:
        editor.edit(request)
    keys = [key_of(backbone, question(request), editor.layer) for request in edited]
    assert torch.allclose(torch.stack(keys), editor.codebook.keys, atol=1e-5)
    other = Query(picture(99), PROMPTS[0])
    far = [apart(key_of(backbone, other, editor.layer), key) for key in keys]
    nearest = min(range(3), key=lambda index: far[index])
    unedited = backbone.generate([other])[0].text
    book = editor.codebook
    editor.codebook = book.with_radius(nearest, far[nearest] * 0.999)
    assert editor.generate([other])[0].text == unedited
    editor.codebook = book.with_radius(nearest, far[nearest] * 1.001)
    said = editor.generate([other])[0]
    assert said.text != unedited
    assert said.ids[:1] == backbone.target_ids(edited[nearest].target)
    # A farther key does not answer, however far it reaches.
    editor.codebook = book.with_radius((nearest + 1) % 3, 1e6)
    assert editor.generate([other])[0].text == unedited


def test_a_conflict_splits_the_distance_and_the_same_target_expands(backbone: HuggingFaceBackbone):
    first, second = requests(2)
    distance = apart(key_of(backbone, question(second), 2), key_of(backbone, question(first), 2))
    editor = Grace(backbone, GraceOptions(eps=distance * 0.8, max_steps=1))
    editor.edit(first)
    assert editor.codebook.radii.tolist() == pytest.approx([distance * 0.8])
    editor.edit(second)
    assert editor.codebook.radii.tolist() == pytest.approx([distance / 2] * 2, rel=1e-4)
    editor.reset()
    editor.edit(first)
    editor.edit(EditRequest(second.image, second.prompt, first.target))
    assert editor.codebook.radii.tolist() == pytest.approx([distance], rel=1e-4)
    editor.reset()
    editor.edit(first)
    editor.codebook = editor.codebook.with_radius(0, distance * 0.3)
    editor.edit(second)
    assert editor.codebook.radii.tolist() == pytest.approx([distance * 0.3, distance / 2], rel=1e-4)


def test_far_edits_do_not_touch_each_other(backbone: HuggingFaceBackbone):
    first, second = requests(2)
    distance = apart(key_of(backbone, question(second), 2), key_of(backbone, question(first), 2))
    editor = Grace(backbone, GraceOptions(eps=distance * 0.4, max_steps=1))
    editor.edit(first)
    editor.edit(second)
    assert editor.codebook.radii.tolist() == pytest.approx([distance * 0.4] * 2)


def test_a_question_edited_again_gets_the_new_target(backbone: HuggingFaceBackbone):
    editor, (first, second) = Grace(backbone, GraceOptions(**EASY)), requests(2)
    editor.edit(first)
    editor.edit(EditRequest(first.image, first.prompt, second.target))
    assert len(editor.codebook) == 1
    assert editor.generate([question(first)])[0].text == second.target


def test_balancedit_draws_the_radius_between_its_samples(backbone: HuggingFaceBackbone):
    request = requests(1)[0]
    assert request.image is not None
    key = key_of(backbone, question(request), 2)
    seen = [apart(key_of(backbone, Query(view, request.prompt), 2), key) for view in views(request.image)]
    black = apart(key_of(backbone, Query(blank(request.image), request.prompt), 2), key)
    for alpha in (0.0, 0.3, 1.0):
        editor = BalancEdit(backbone, BalancEditOptions(alpha=alpha, max_steps=1))
        editor.edit(request)
        assert float(editor.codebook.radii) == pytest.approx(alpha * sum(seen) / 3 + (1 - alpha) * black, rel=1e-3)


def test_samples_are_made_from_the_picture(backbone: HuggingFaceBackbone):
    shown = picture(1)
    made = [*views(shown), blank(shown)]
    assert len({each.sha256 for each in (shown, *made)}) == 5
    assert [each.sha256 for each in made] == [each.sha256 for each in (*views(picture(1)), blank(picture(1)))]
    assert {each.open().size for each in made} == {shown.open().size}
    assert blank(shown).open().getextrema() == ((0, 0), (0, 0), (0, 0))


@pytest.mark.parametrize("replaced", ["last", "question"])
def test_only_the_question_is_replaced(backbone: HuggingFaceBackbone, replaced: Any):
    editor, request = Grace(backbone, GraceOptions(replaced=replaced, max_steps=2)), requests(1)[0]
    editor.edit(request)
    batch = backbone.encode([question(request)], ["dabe gilo"])
    seen: list[torch.Tensor] = []
    block = cast(Any, backbone.layers[editor.layer])
    for ask in (backbone.logits, editor.logits):
        probe = cast(Any, backbone.layers[editor.layer + 1]).register_forward_pre_hook(
            lambda module, args, kwargs: seen.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
        )
        ask(batch)
        probe.remove()
    assert not block._forward_hooks
    before, after = seen
    moved = (before != after).any(dim=2)[0]
    end = int(batch.answer_mask[0].nonzero()[0]) - 1
    wanted = torch.arange(len(moved)) <= end if replaced == "question" else torch.arange(len(moved)) == end
    assert torch.equal(moved, wanted)
    assert torch.equal(after[0, end], editor.codebook.values[0])


def test_learning_above_standing_blocks_is_learning_through_the_model(
    backbone: HuggingFaceBackbone, monkeypatch: pytest.MonkeyPatch
):
    from contextlib import nullcontext

    from liveedit_bench.benchmark.editors import codebook

    values: list[torch.Tensor] = []
    for slow in (False, True):
        if slow:
            monkeypatch.setattr(codebook, "standing", lambda *_: nullcontext())
        editor = Grace(backbone, GraceOptions(max_steps=4, stop_loss=0.0))
        editor.edit(requests(1)[0])
        values.append(editor.codebook.values)
    assert torch.allclose(values[0], values[1], atol=1e-4)
    assert "forward" not in cast(Any, backbone.layers[0]).__dict__


def test_state_and_reset(backbone: HuggingFaceBackbone):
    editor, asked = Grace(backbone, GraceOptions(max_steps=5)), requests(5)
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
    gone_on = editor.codebook
    editor.reset()
    for request in asked:
        editor.edit(request)
    for part in ("keys", "values", "radii", "labels"):
        assert torch.equal(getattr(editor.codebook, part), getattr(gone_on, part))


def test_divergence_is_refused_and_leaves_the_state(backbone: HuggingFaceBackbone):
    editor, (first, second) = Grace(backbone, GraceOptions(max_steps=2)), requests(2)
    editor.edit(first)
    book = editor.codebook
    editor.options = GraceOptions(lr=float("inf"))
    with pytest.raises(EditError, match="diverged"):
        editor.edit(second)
    assert editor.codebook is book


def test_a_layer_that_is_not_there_is_refused(backbone: HuggingFaceBackbone):
    with pytest.raises(BenchError, match="give one from 0 to 3"):
        Grace(backbone, GraceOptions(layer=4))
    assert [Grace(backbone, GraceOptions(layer=layer)).first_layer_touched for layer in (-1, 0, 3)] == [2, 0, 3]
