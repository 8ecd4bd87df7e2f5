import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from tiny_llava import SYLLABLES, picture, save_tiny_llava, word

from liveedit_bench.benchmark.backbone import Backbone, Query
from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone
from liveedit_bench.errors import BenchError

PROMPTS = [
    "which clan is this ?",
    "where does it come from ?",
    "who lives there ?",
    "say the motto of this era in a craft ?",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llava(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def loaded(folder: Path) -> HuggingFaceBackbone:
    return HuggingFaceBackbone.load(folder)


@pytest.fixture
def backbone(loaded: HuggingFaceBackbone):
    yield loaded
    loaded.restore()


def questions(n: int, *, every_third_without_picture: bool = True) -> list[Query]:
    rng = random.Random(7)
    return [
        Query(None if every_third_without_picture and i % 3 == 2 else picture(i), rng.choice(PROMPTS)) for i in range(n)
    ]


def answers(n: int) -> list[str]:
    rng = random.Random(8)
    return [word(rng, 1 + i % 4) for i in range(n)]


def test_it_is_a_backbone(backbone: HuggingFaceBackbone):
    assert isinstance(backbone, Backbone)
    assert backbone.hidden_size == 48
    assert len(backbone.layers) == 4
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())


@pytest.mark.parametrize("pad", ["right", "left"])
def test_masks_decode_to_the_parts_of_the_text(backbone: HuggingFaceBackbone, pad: str):
    queries, targets = questions(9), answers(9)
    batch = backbone.encode(queries, targets, pad=pad)
    assert batch.pixels is not None
    assert batch.pixels.shape == (6, 3, 16, 16)
    for row, (query, target) in enumerate(zip(queries, targets, strict=True)):
        ids = batch.input_ids[row]
        assert backbone.decode(ids[batch.prompt_mask[row]].tolist()) == query.prompt
        assert backbone.decode(ids[batch.answer_mask[row]].tolist()) == target
        assert tuple(ids[batch.answer_mask[row]].tolist()) == backbone.target_ids(target)
        assert batch.image_mask[row].sum() == (0 if query.image is None else 4)
        parts = batch.image_mask[row].int() + batch.prompt_mask[row].int() + batch.answer_mask[row].int()
        assert parts.max() == 1
        assert batch.attention_mask[row].sum() == parts.sum() + 1  # BOS plays no part
        padding = batch.attention_mask[row] == 0
        assert (padding.nonzero() < (~padding).nonzero().min()).all() == (pad == "left" or not padding.any())


@pytest.mark.parametrize("with_target", [True, False])
def test_ids_equal_the_processors_own(backbone: HuggingFaceBackbone, with_target: bool):
    for query, target in zip(questions(9), answers(9), strict=True):
        batch = backbone.encode([query], [target] if with_target else None)
        text = f"{query.prompt} {target}" if with_target else query.prompt
        if query.image is None:
            expected = backbone.processor(text=[text], return_tensors="pt")
            assert batch.pixels is None
        else:
            expected = backbone.processor(images=[query.image.open()], text=[f"<image>\n{text}"], return_tensors="pt")
            assert batch.pixels is not None
            assert torch.equal(batch.pixels, expected["pixel_values"])
        assert torch.equal(batch.input_ids, expected["input_ids"])


def test_pictures_of_other_sizes(backbone: HuggingFaceBackbone):
    batch = backbone.encode([Query(picture(0, side=side), PROMPTS[0]) for side in (16, 40, 16)])
    assert batch.image_mask.sum(dim=1).tolist() == [4, 4, 4]


def test_answers_given_as_ids_join_like_text(backbone: HuggingFaceBackbone):
    queries, targets = questions(6), answers(6)
    ids = [backbone.target_ids(target) for target in targets]
    text, given = backbone.encode(queries, targets), backbone.encode_ids(queries, ids)
    assert torch.equal(text.input_ids, given.input_ids)
    assert torch.equal(text.answer_mask, given.answer_mask)
    ended = backbone.encode_ids(queries, [(*each, backbone.eos_id) for each in ids])
    assert torch.equal(ended.answer_mask.sum(dim=1), text.answer_mask.sum(dim=1) + 1)
    nothing = backbone.encode_ids(queries, [()] * 6)
    assert torch.equal(nothing.input_ids, backbone.encode(queries).input_ids)
    assert not nothing.answer_mask.any()


def test_logits_equal_the_models_own_forward(backbone: HuggingFaceBackbone):
    for query, target in zip(questions(6), answers(6), strict=True):
        batch = backbone.encode([query], [target])
        model = cast(Any, backbone.model)
        own = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, pixel_values=batch.pixels).logits
        for _ in range(2):  # the second time the picture's features are remembered
            assert (backbone.logits(batch) - own).abs().max() < 1e-5
        assert backbone.logits(batch).dtype == torch.float32


def test_an_image_token_in_an_answer_is_only_a_token(backbone: HuggingFaceBackbone):
    image_id = int(backbone.processor.image_token_id)
    queries = questions(3)
    batch = backbone.encode_ids(queries, [(20, image_id, 21), (image_id, 22), (23, 24, image_id)])
    assert batch.image_mask.sum() == 8
    logits = backbone.logits(batch)
    other = backbone.logits(backbone.encode_ids(queries, [(20, 30, 21), (22, 22), (23, 24, 31)]))
    for row in range(3):
        changed = int((batch.input_ids[row] == image_id).nonzero().max())
        assert torch.equal(logits[row, :changed], other[row, :changed])


@pytest.mark.parametrize("pad", ["right", "left"])
def test_logits_do_not_depend_on_batch_or_padding(backbone: HuggingFaceBackbone, pad: str):
    queries, targets = questions(32), answers(32)
    alone = [
        backbone.logits(backbone.encode([query], [target]))[0] for query, target in zip(queries, targets, strict=True)
    ]
    for size in (2, 32):
        for start in range(0, 32, size):
            part = slice(start, start + size)
            batch = backbone.encode(queries[part], targets[part], pad=pad)
            together = backbone.logits(batch)
            assert not together.isnan().any()
            for row, expected in enumerate(alone[part]):
                assert (together[row][batch.attention_mask[row].bool()] - expected).abs().max() < 1e-4


def test_answers_do_not_depend_on_the_batch(backbone: HuggingFaceBackbone):
    queries = questions(32)
    alone = [backbone.generate([query])[0] for query in queries]
    assert min(answer.margin for answer in alone) > 1e-4
    for size in (2, 32):
        together = [
            answer for start in range(0, 32, size) for answer in backbone.generate(queries[start : start + size])
        ]
        assert [answer.ids for answer in together] == [answer.ids for answer in alone]
        assert [answer.text for answer in together] == [answer.text for answer in alone]
        assert [answer.margin for answer in together] == pytest.approx([answer.margin for answer in alone], abs=1e-4)


def test_generation_equals_argmax_step_by_step(backbone: HuggingFaceBackbone):
    for query in questions(12):
        ids: list[int] = []
        gaps: list[float] = []
        while len(ids) < backbone.max_new_tokens and backbone.eos_id not in ids:
            last = backbone.logits(backbone.encode_ids([query], [ids]))[0, -1]
            best = last.topk(2)
            ids.append(int(best.indices[0]))
            gaps.append(float(best.values[0] - best.values[1]))
        answer = backbone.generate([query])[0]
        assert answer.ids == tuple(ids)
        assert answer.margin == pytest.approx(min(gaps), abs=1e-4)
        assert answer.text == backbone.decode(ids)


def test_answers_stop_at_eos_and_include_it(backbone: HuggingFaceBackbone):
    query = questions(1)[0]
    third = backbone.generate([query])[0].ids[2]
    head = cast(Any, backbone.model).lm_head.weight
    with torch.no_grad():  # the third answer token changes places with EOS
        head[[third, backbone.eos_id]] = head[[backbone.eos_id, third]]
    ids = backbone.generate([query, *questions(3)])[0].ids
    first = backbone.generate([query], max_new_tokens=1)[0].ids
    assert backbone.eos_id in ids
    assert ids.index(backbone.eos_id) == len(ids) - 1
    assert first == ids[:1]


def test_hooks_see_the_prompt_once_then_single_tokens(backbone: HuggingFaceBackbone):
    shapes: list[tuple[int, ...]] = []
    layer = cast(Any, backbone.layers[2])
    handle = layer.register_forward_hook(lambda module, args, output: shapes.append(tuple(output.shape)))
    queries = questions(3)
    answer = backbone.generate(queries, max_new_tokens=4)
    handle.remove()
    width = backbone.encode(queries, pad="left").input_ids.shape[1]
    assert all(len(each.ids) == 4 for each in answer)
    assert shapes == [(3, width, 48), (3, 1, 48), (3, 1, 48), (3, 1, 48)]


def test_padding_on_the_right_is_refused_by_generation(backbone: HuggingFaceBackbone):
    with pytest.raises(ValueError, match="padded on the left"):
        backbone.generate_batch(backbone.encode([Query(None, PROMPTS[0]), Query(None, PROMPTS[3])]))


def test_restore_is_bit_equal(backbone: HuggingFaceBackbone, folder: Path):
    fresh = HuggingFaceBackbone.load(folder)
    assert fresh.weights_sha256 == backbone.weights_sha256
    parameters = dict(backbone.model.named_parameters())
    down = "model.language_model.layers.3.mlp.down_proj.weight"
    with torch.no_grad():
        parameters[down].add_(0.1)
        parameters["lm_head.weight"].data[0, 0] = -0.0  # moves no version counter
    changed = backbone.changed_weights()
    assert set(changed) == {down, "lm_head.weight"}
    after = backbone.logits(backbone.encode(questions(2)))
    backbone.restore()
    assert backbone.changed_weights() == {}
    for name, parameter in fresh.model.named_parameters():
        assert torch.equal(parameter, parameters[name]), name
    assert backbone.generate(questions(3)) == fresh.generate(questions(3))
    backbone.load_weights(changed)
    assert torch.equal(backbone.logits(backbone.encode(questions(2))), after)
    assert set(backbone.changed_weights()) == set(changed)


def test_digest_covers_values_and_dtype(folder: Path, loaded: HuggingFaceBackbone, tmp_path: Path):
    half = HuggingFaceBackbone.load(folder, dtype="bfloat16")
    assert half.weights_sha256 != loaded.weights_sha256
    assert (loaded.loaded_as, half.loaded_as) == ({}, {"dtype": "bfloat16"})  # a result says so
    other = HuggingFaceBackbone.load(save_tiny_llava(tmp_path, seed=1))
    assert other.weights_sha256 != loaded.weights_sha256


def test_low_precision_gives_float32_logits(folder: Path):
    backbone = HuggingFaceBackbone.load(folder, dtype="bfloat16")
    batch = backbone.encode(questions(2))
    assert backbone.logits(batch).dtype == torch.float32
    assert len(backbone.generate(questions(3))) == 3


@pytest.mark.parametrize(
    "part", ["model.multi_modal_projector.linear_2.weight", "model.vision_tower.embeddings.patch_embedding.weight"]
)
def test_changed_vision_weights_are_noticed(backbone: HuggingFaceBackbone, part: str):
    batch = backbone.encode(questions(1))
    model = cast(Any, backbone.model)

    def check() -> torch.Tensor:
        own = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, pixel_values=batch.pixels).logits
        assert (backbone.logits(batch) - own).abs().max() < 1e-5
        return own

    before = check()
    parameter = dict(backbone.model.named_parameters())[part]
    parameter.data.mul_(1.5)
    changed = check()
    assert (changed - before).abs().max() > 1e-3
    saved = backbone.changed_weights()
    backbone.restore()
    assert torch.equal(check(), before)
    backbone.load_weights(saved)
    assert torch.equal(check(), changed)


def test_vision_hooks_gradients_and_other_pixels_pass_the_memory_by(backbone: HuggingFaceBackbone):
    batch = backbone.encode(questions(2))
    assert batch.pixels is not None
    before = backbone.logits(batch)
    projector = cast(Any, backbone.model).model.multi_modal_projector
    handle = projector.register_forward_hook(lambda module, args, output: output * 0)
    assert (backbone.logits(batch) - before).abs().max() > 1e-3
    handle.remove()
    assert torch.equal(backbone.logits(batch), before)
    assert (backbone.logits(replace(batch, pixels=batch.pixels * 0)) - before).abs().max() > 1e-3
    projector.linear_2.weight.requires_grad_(True)
    backbone.logits(batch).sum().backward()
    assert projector.linear_2.weight.grad is not None
    backbone.restore()
    assert projector.linear_2.weight.grad is None


def test_a_picture_goes_through_the_vision_tower_once(folder: Path, monkeypatch: pytest.MonkeyPatch):
    backbone = HuggingFaceBackbone.load(folder)
    tower = cast(Any, backbone.model).model.vision_tower
    seen: list[int] = []
    forward = tower.forward
    monkeypatch.setattr(
        tower, "forward", lambda pixels, **options: seen.append(len(pixels)) or forward(pixels, **options)
    )
    queries = questions(8)
    for _ in range(3):
        backbone.logits(backbone.encode(queries, answers(8)))
        backbone.generate(queries)
    assert seen == [1] * 6
    layer = cast(Any, backbone.layers[-1])  # editors touch the decoder as they like
    layer.mlp.down_proj.weight.data.mul_(1.1)
    backbone.generate(queries)
    assert len(seen) == 6


def test_features_do_not_depend_on_what_was_asked_before(folder: Path):
    one, other = HuggingFaceBackbone.load(folder), HuggingFaceBackbone.load(folder)
    queries = questions(8, every_third_without_picture=False)
    other.logits(other.encode(queries[3:5]))
    assert torch.equal(one.logits(one.encode(queries)), other.logits(other.encode(queries)))


def test_encoding_under_inference_mode_serves_training_later(folder: Path):
    backbone = HuggingFaceBackbone.load(folder)
    queries = questions(2)
    with torch.inference_mode():
        backbone.generate(queries)
        batch = backbone.encode(queries)
    weight = cast(Any, backbone.layers[0]).mlp.down_proj.weight.requires_grad_(True)
    backbone.logits(batch).sum().backward()
    assert weight.grad is not None


def test_bad_input_is_told_in_one_sentence(folder: Path, backbone: HuggingFaceBackbone, tmp_path: Path):
    if not torch.cuda.is_available():
        with pytest.raises(BenchError, match="device 'cuda' cannot be used here"):
            HuggingFaceBackbone.load(folder, device="cuda")
    with pytest.raises(BenchError, match="device 'toaster' cannot be used"):
        HuggingFaceBackbone.load(folder, device="toaster")
    with pytest.raises(BenchError, match="unknown dtype 'float8'"):
        HuggingFaceBackbone.load(folder, dtype="float8")
    with pytest.raises(BenchError, match="holds no model"):
        HuggingFaceBackbone.load(tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / "config.json").write_text(json.dumps({"model_type": "abacus"}))
    with pytest.raises(BenchError, match="no image-text-to-text model"):
        HuggingFaceBackbone.load(broken)
    shutil.copy(folder / "config.json", broken)
    (broken / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(BenchError, match="no image-text-to-text model"):
        HuggingFaceBackbone.load(broken)
    with pytest.raises(BenchError, match="no parameter 'abacus'"):
        backbone.load_weights({"abacus": torch.zeros(1)})
    with pytest.raises(BenchError, match="has shape"):
        backbone.load_weights({"lm_head.weight": torch.zeros(1)})
    with pytest.raises(BenchError, match="contains the image token"):
        backbone.encode([Query(None, "<image> what")])


def test_a_wrapped_module_cannot_be_restored(folder: Path):
    backbone = HuggingFaceBackbone.load(folder)
    mlp = cast(Any, backbone.layers[0]).mlp
    mlp.down_proj = torch.nn.Sequential(mlp.down_proj)
    with pytest.raises(BenchError, match="must put the original modules back"):
        backbone.restore()


def test_syllables_are_tokens(backbone: HuggingFaceBackbone):
    assert all(len(backbone.target_ids(syllable + SYLLABLES[0])) == 2 for syllable in SYLLABLES)
