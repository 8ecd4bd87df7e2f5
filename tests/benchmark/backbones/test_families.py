"""What every family of backbones proves, on tiny models of its real classes and processors.

Families whose processors need torchvision are tested where it can be imported: `.ci/run` makes that place.
"""

import copy
import random
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from tiny_families import Tiny, picture

from liveedit_bench.benchmark.backbone import Backbone, Query
from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone

PROMPTS = ["which clan is this ?", "where does it come from ?", "who lives there ?", "say the motto of this era"]
SIZES = [(32, 32), (48, 24), (24, 48), (16, 16), (40, 32)]


def questions(n: int) -> list[Query]:
    """Pictures of five sizes in one batch, and every third question without one."""
    return [Query(None if i % 3 == 2 else picture(i, *SIZES[i % 5]), PROMPTS[i % 4]) for i in range(n)]


def answers(n: int) -> list[str]:
    rng = random.Random(8)
    return ["".join(rng.choice(["ba", "la", "ko", "nu", "zi", "ra"]) for _ in range(1 + i % 4)) for i in range(n)]


def by_library(family: HuggingFaceBackbone, query: Query, target: str | None) -> dict[str, torch.Tensor]:
    """One question as the library's own processor makes it from the whole text."""
    template = family.template
    form = template.text if query.image is None else template.image
    processor, token = family.processor, str(family.processor.image_token)
    text = form.replace("{image}", token).replace("{prompt}", query.prompt)
    if target is not None:
        text += template.join + target
    kind = cast(Any, family.model).config.model_type
    if query.image is None:
        return dict(processor.tokenizer(text, return_tensors="pt", return_token_type_ids=False))
    images = [query.image.open()]
    if kind == "paligemma":  # its processor writes BOS and the line break itself, and takes the answer apart
        found = processor(images=images, text=[token + query.prompt], suffix=target and [target], return_tensors="pt")
        found = {name: value[:, :-1] if name in CUT and target else value for name, value in found.items()}
        return {name: value for name, value in found.items() if name != "labels"}
    found = dict(processor(images=images, text=[text], return_tensors="pt"))
    if kind == "instructblip":  # the Q-Former may not read the answer
        asked = processor.qformer_tokenizer(query.prompt, return_tensors="pt")
        found |= {"qformer_input_ids": asked["input_ids"], "qformer_attention_mask": asked["attention_mask"]}
    return found


CUT = {"input_ids", "attention_mask", "token_type_ids"}


def library_logits(family: HuggingFaceBackbone, query: Query, target: str | None) -> torch.Tensor:
    model, inputs = cast(Any, family.model), by_library(family, query, target)
    if query.image is None and hasattr(model, "qformer"):  # these models refuse a text alone
        return model.language_model(**inputs).logits[0]
    if query.image is None and model.config.model_type == "paligemma":
        asked = len(by_library(family, query, None)["input_ids"][0])
        kinds = (torch.arange(inputs["input_ids"].shape[1]) >= asked).long()
        return model(**inputs, token_type_ids=kinds[None]).logits[0]
    return model(**inputs).logits[0]


def test_it_is_a_backbone(family: HuggingFaceBackbone):
    assert isinstance(family, Backbone)
    assert len(family.layers) == 4
    assert family.hidden_size == 32
    assert not any(parameter.requires_grad for parameter in family.model.parameters())


@pytest.mark.parametrize("pad", ["right", "left"])
def test_masks_decode_to_the_parts_of_the_text(family: HuggingFaceBackbone, pad: str):
    queries, targets = questions(10), answers(10)
    batch = family.encode(queries, targets, pad=pad)
    for row, (query, target) in enumerate(zip(queries, targets, strict=True)):
        ids = batch.input_ids[row]
        assert family.decode(ids[batch.prompt_mask[row]].tolist()) == query.prompt
        assert family.decode(ids[batch.answer_mask[row]].tolist()) == target
        assert tuple(ids[batch.answer_mask[row]].tolist()) == family.target_ids(target)
        placeholder = cast(Any, family.model).config.image_token_id
        assert torch.equal(batch.image_mask[row], ids == placeholder)
        assert batch.image_mask[row].any() == (query.image is not None)
        parts = batch.image_mask[row].int() + batch.prompt_mask[row].int() + batch.answer_mask[row].int()
        assert parts.max() == 1
        assert (parts <= batch.attention_mask[row]).all()
        padding = batch.attention_mask[row] == 0
        assert (padding.nonzero() < (~padding).nonzero().min()).all() == (pad == "left" or not padding.any())


@pytest.mark.parametrize("with_target", [True, False])
def test_ids_and_pixels_equal_the_processors_own(family: HuggingFaceBackbone, with_target: bool):
    for query, target in zip(questions(10), answers(10), strict=True):
        batch = family.encode([query], [target] if with_target else None)
        expected = by_library(family, query, target if with_target else None)
        assert torch.equal(batch.input_ids, expected["input_ids"])
        if query.image is not None:
            assert batch.pixels is not None
            assert torch.equal(batch.pixels.flatten(), expected["pixel_values"].flatten())


def test_logits_equal_the_models_own_forward(family: HuggingFaceBackbone):
    for query, target in zip(questions(10), answers(10), strict=True):
        own = library_logits(family, query, target)
        batch = family.encode([query], [target])
        for _ in range(2):  # the second time the picture's rows are remembered
            assert (family.logits(batch)[0] - own).abs().max() < 2e-5
        assert own.std() > 1e-2


def test_one_picture_under_two_questions(family: HuggingFaceBackbone):
    """InstructBLIP's rows depend on the question as well."""
    for prompt in (*PROMPTS, PROMPTS[0]):
        query = Query(picture(7, 40, 32), prompt)
        own = library_logits(family, query, "bala")
        assert (family.logits(family.encode([query], ["bala"]))[0] - own).abs().max() < 2e-5


def test_prompts_are_the_chat_templates_own(family: HuggingFaceBackbone):
    if not family.processor.chat_template:
        assert family.template.image in ("{image}\n{prompt}", "{prompt}", "{image}<bos>{prompt}\n")
        return
    for query in questions(5):
        content = [{"type": "text", "text": query.prompt}]
        if query.image is not None:
            content.insert(0, cast(Any, {"type": "image", "image": query.image.open()}))
        found = family.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        assert torch.equal(family.encode([query]).input_ids, found["input_ids"])


@pytest.mark.parametrize("pad", ["right", "left"])
def test_logits_do_not_depend_on_batch_or_padding(family: HuggingFaceBackbone, pad: str):
    queries, targets = questions(32), answers(32)
    alone = [family.logits(family.encode([query], [target]))[0] for query, target in zip(queries, targets, strict=True)]
    for size in (2, 32):
        for start in range(0, 32, size):
            part = slice(start, start + size)
            batch = family.encode(queries[part], targets[part], pad=pad)
            together = family.logits(batch)
            assert not together.isnan().any()
            for row, expected in enumerate(alone[part]):
                assert (together[row][batch.attention_mask[row].bool()] - expected).abs().max() < 1e-4


def test_answers_do_not_depend_on_the_batch(family: HuggingFaceBackbone):
    queries = questions(32)
    alone = [family.generate([query])[0] for query in queries]
    sure = [answer.margin > 1e-3 for answer in alone]
    assert sum(sure) >= 24
    for size in (2, 32):
        together = [answer for start in range(0, 32, size) for answer in family.generate(queries[start : start + size])]
        for one, other, certain in zip(alone, together, sure, strict=True):
            assert one.ids == other.ids or not certain
            assert one.margin == pytest.approx(other.margin, abs=1e-3)


def test_generation_equals_argmax_step_by_step(family: HuggingFaceBackbone):
    queries = questions(12)
    for query, answer in zip(queries, family.generate(queries), strict=True):
        ids: list[int] = []
        gaps: list[float] = []
        while len(ids) < family.max_new_tokens and family.eos_id not in ids:
            best = family.logits(family.encode_ids([query], [ids]))[0, -1].topk(2)
            ids.append(int(best.indices[0]))
            gaps.append(float(best.values[0] - best.values[1]))
        assert answer.ids == tuple(ids) or min(gaps) < 1e-3
        assert answer.margin == pytest.approx(min(gaps), abs=1e-3)


def test_logits_are_causal_in_the_answer(family: HuggingFaceBackbone):
    placeholder = cast(Any, family.model).config.image_token_id
    for query in questions(3):
        batch = family.encode_ids([query], [(310, 320, 330)])
        said = family.logits(batch)
        for index, place in enumerate(batch.answer_mask[0].nonzero()[:, 0].tolist()):
            for other in (340 + index, placeholder):  # an image token in an answer is only a token
                ids = batch.input_ids.clone()
                ids[0, place] = other
                assert torch.equal(family.logits(batch.with_ids(ids))[0, :place], said[0, :place])


def test_restore_is_bit_equal(family: HuggingFaceBackbone, family_folder: Path):
    before = {name: value.clone() for name, value in (*family.model.named_parameters(), *family.model.named_buffers())}
    tied = cast(Any, family.model).get_output_embeddings().weight.data_ptr()
    sha256, said = family.weights_sha256, family.generate(questions(4))
    assert HuggingFaceBackbone.load(family_folder).weights_sha256 == sha256
    with torch.no_grad():
        for value in (*family.model.parameters(), *family.model.buffers()):
            if value.is_floating_point():
                value.data.add_(0.25)
    changed = family.changed_weights()
    assert set(changed) == {name for name, _ in family.model.named_parameters()}
    family.restore()
    assert family.changed_weights() == {}
    for name, value in (*family.model.named_parameters(), *family.model.named_buffers()):
        assert torch.equal(value, before[name]), name
    assert cast(Any, family.model).get_output_embeddings().weight.data_ptr() == tied
    assert family.generate(questions(4)) == said


def test_layers_are_the_language_decoders(family: HuggingFaceBackbone):
    batch = family.encode(questions(4), answers(4))
    seen: list[tuple[int, ...]] = []
    handles = [
        cast(Any, layer).register_forward_hook(
            lambda _m, _a, output: seen.append(tuple((output[0] if isinstance(output, tuple) else output).shape))
        )
        for layer in family.layers
    ]
    before = family.logits(batch)
    for handle in handles:
        handle.remove()
    assert seen == [(*batch.input_ids.shape, 32)] * 4
    last = cast(Any, family.layers[-1])
    handle = last.register_forward_hook(lambda _m, _a, output: output * 0)
    assert (family.logits(batch) - before).abs().max() > 1e-3
    handle.remove()
    assert torch.equal(family.logits(batch), before)


def test_text_alone(family: HuggingFaceBackbone):
    queries = [Query(None, prompt) for prompt in PROMPTS]
    batch = family.encode(queries, answers(4))
    assert batch.pixels is None
    assert not batch.image_mask.any()
    assert len(family.generate(queries)) == 4


def test_pictures_are_remembered_and_changes_noticed(family: HuggingFaceBackbone, monkeypatch: pytest.MonkeyPatch):
    queries, targets = questions(5), answers(5)
    batch = family.encode(queries, targets)
    fresh = [library_logits(family, query, target) for query, target in zip(queries, targets, strict=True)]

    def agrees(expected: list[torch.Tensor]) -> bool:
        said = family.logits(batch)
        return all(
            (said[row][batch.attention_mask[row].bool()] - each).abs().max() < 1e-4 for row, each in enumerate(expected)
        )

    assert agrees(fresh)
    own = cast(Any, family)._family
    calls: list[int] = []
    rows = own.rows
    monkeypatch.setattr(own, "rows", lambda inputs: calls.append(1) or rows(inputs))
    assert agrees(fresh)
    assert not calls  # remembered
    part = vision_parameter(family)
    with torch.no_grad():
        part.mul_(1.5)
    changed = [library_logits(family, query, target) for query, target in zip(queries, targets, strict=True)]
    assert max((one - other).abs().max() for one, other in zip(fresh, changed, strict=True)) > 1e-3
    assert agrees(changed)
    assert calls
    family.restore()
    assert agrees(fresh)


def vision_parameter(family: HuggingFaceBackbone) -> torch.nn.Parameter:
    """The weight that brings pictures into the decoder's width."""
    named = dict(family.model.named_parameters())
    signs = ("projector", "language_projection", "connector", "merger", "visual")
    return next(value for sign in signs for name, value in named.items() if sign in name and value.dim() > 1)


def test_other_pixels_are_seen(family: HuggingFaceBackbone):
    batch = family.encode(questions(4), answers(4))
    assert batch.pixels is not None
    other = copy.copy(batch)
    object.__setattr__(other, "pixels", batch.pixels * 0.5)
    said, saw = family.logits(batch), family.logits(other)
    pictured = batch.image_mask.any(dim=1)
    assert (said - saw)[pictured].abs().amax(dim=(1, 2)).min() > 1e-4
    assert torch.equal(said[~pictured], saw[~pictured]) or (said - saw)[~pictured].abs().max() < 1e-4


def test_half_precision_differs_by_a_reported_amount(
    tiny: Tiny, family_folder: Path, family: HuggingFaceBackbone, record_property: Any
):
    half = HuggingFaceBackbone.load(family_folder, dtype="bfloat16")
    queries, targets = questions(6), answers(6)
    one = family.logits(family.encode(queries, targets))
    other = half.logits(half.encode(queries, targets))
    assert other.dtype == torch.float32
    real = family.encode(queries, targets).attention_mask.bool()
    gap = float((one - other)[real].abs().max() / one[real].std())
    same = float((one.argmax(-1) == other.argmax(-1))[real].float().mean())
    record_property("bfloat16", f"{tiny.model_type}: largest gap {gap:.3f} of the spread, argmax equal {same:.3f}")
    assert gap < 0.5
    assert same > 0.8
    assert half.weights_sha256 != family.weights_sha256
