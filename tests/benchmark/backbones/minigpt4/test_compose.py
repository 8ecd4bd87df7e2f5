import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny_families import CORPUS, picture
from tiny_minigpt4 import ROWS, Parts, published, save_parts

from liveedit_bench import cli
from liveedit_bench.benchmark.backbone import Query
from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone
from liveedit_bench.benchmark.backbones.minigpt4 import compose as composing
from liveedit_bench.benchmark.backbones.minigpt4.compose import Composed, compose
from liveedit_bench.benchmark.plugins import load_backbone
from liveedit_bench.errors import BenchError

t = cast(Any, transformers)
PROMPT, TARGET = "which clan is this ?", "balako"


@dataclass(frozen=True)
class Made:
    parts: Parts
    composed: Composed


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("parts")
    parts = save_parts(folder)
    return Made(parts, put_together(parts, folder / "minigpt4"))


@pytest.fixture(scope="module")
def backbone(made: Made) -> HuggingFaceBackbone:
    return HuggingFaceBackbone.load(made.composed.folder)


@pytest.fixture
def parts(made: Made, tmp_path: Path) -> Parts:
    """A copy that a test may spoil."""
    kept = made.parts
    return Parts(
        blip2=Path(shutil.copytree(kept.blip2, tmp_path / kept.blip2.name)),
        llama=Path(shutil.copytree(kept.llama, tmp_path / kept.llama.name)),
        projection=Path(shutil.copy(kept.projection, tmp_path)),
    )


def put_together(parts: Parts, out: Path) -> Composed:
    return compose(blip2=str(parts.blip2), llama=str(parts.llama), projection=parts.projection, out=out)


def stored(folder: Path) -> dict[str, torch.Tensor]:
    return {name: value for file in folder.glob("*.safetensors") for name, value in load_file(file).items()}


@torch.no_grad()
def rows_by_hand(parts: Parts, pixels: torch.Tensor) -> torch.Tensor:
    """Vision tower, its last norm, Q-Former and projection, each from its own files."""
    blip2 = t.Blip2ForConditionalGeneration.from_pretrained(parts.blip2)
    tower = blip2.vision_model
    hidden = tower.encoder(inputs_embeds=tower.embeddings(pixels)).last_hidden_state
    norm = tower.post_layernorm
    seen = torch.nn.functional.layer_norm(hidden, hidden.shape[-1:], norm.weight, norm.bias, norm.eps)
    assert (seen - hidden).abs().max() > 0.1
    asked = blip2.qformer(query_embeds=blip2.query_tokens.expand(len(pixels), -1, -1), encoder_hidden_states=seen)
    layer = torch.load(parts.projection, weights_only=True)["model"]
    return asked.last_hidden_state @ layer["llama_proj.weight"].T + layer["llama_proj.bias"]


def test_rows_of_a_picture_equal_the_parts_by_hand(made: Made, backbone: HuggingFaceBackbone):
    batch = backbone.encode([Query(picture(seed, 40, 24), PROMPT) for seed in range(3)])
    assert batch.pixels is not None
    assert batch.pixels.shape == (3, 3, 16, 16)
    expected = rows_by_hand(made.parts, batch.pixels)
    found = cast(Any, backbone.model).get_image_features(batch.pixels, return_dict=True).pooler_output
    assert found.shape == (3, ROWS, 32)
    assert (found - expected).abs().max() < 1e-5
    assert (found[0] - found[1]).abs().max() > 1e-3  # the picture is heard


def test_logits_equal_the_llamas_over_what_the_released_code_feeds_it(made: Made, backbone: HuggingFaceBackbone):
    """BOS, the rows, then line break and question, of which the tokenizer sees nothing but themselves."""
    query = Query(picture(1), PROMPT)
    batch = backbone.encode([query], [TARGET])
    words = t.AutoTokenizer.from_pretrained(made.parts.llama)
    llama = t.LlamaForCausalLM.from_pretrained(made.parts.llama, dtype=torch.float32)
    after = words(f"\n{PROMPT} {TARGET}", add_special_tokens=False, return_tensors="pt")["input_ids"]
    table = llama.get_input_embeddings()
    assert batch.pixels is not None
    rows = rows_by_hand(made.parts, batch.pixels)
    fed = torch.cat([table(torch.tensor([[words.bos_token_id]])), rows, table(after)], dim=1)
    assert (backbone.logits(batch) - llama(inputs_embeds=fed).logits).abs().max() < 2e-5
    assert batch.input_ids[0, 1 + ROWS :].tolist() == after[0].tolist()


def test_every_weight_is_as_its_file_has_it(made: Made):
    found = stored(made.composed.folder)
    eyes, language = stored(made.parts.blip2), stored(made.parts.llama)
    layer = torch.load(made.parts.projection, weights_only=True)["model"]
    expected = {
        **{name: value for name, value in eyes.items() if name.startswith(("vision_model.", "qformer.", "query_"))},
        **{f"language_model.{name}": value for name, value in language.items()},
        "language_projection.weight": layer["llama_proj.weight"],
        "language_projection.bias": layer["llama_proj.bias"],
    }
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        assert torch.equal(found[name], value), name
    assert {value.dtype for value in found.values()} == {torch.float32, torch.float16}
    assert made.composed.parameters == sum(value.numel() for value in found.values())


def test_blip2_is_read_from_the_files_that_hold_the_eyes_alone(parts: Parts, tmp_path: Path):
    places: dict[str, str] = json.loads((parts.blip2 / "model.safetensors.index.json").read_text())["weight_map"]
    needed = {file for name, file in places.items() if name.startswith(("vision_model.", "qformer.", "query_"))}
    others = set(places.values()) - needed
    assert others
    for name in others:
        (parts.blip2 / name).unlink()
    assert put_together(parts, tmp_path / "out").rows == ROWS


def test_blip2_in_one_file(made: Made, parts: Parts, tmp_path: Path):
    tensors = stored(parts.blip2)
    for file in (*parts.blip2.glob("*.safetensors"), parts.blip2 / "model.safetensors.index.json"):
        file.unlink()
    save_file(tensors, parts.blip2 / "model.safetensors", {"format": "pt"})
    put_together(parts, tmp_path / "out")
    assert stored(tmp_path / "out").keys() == stored(made.composed.folder).keys()


def test_a_llama_of_the_time(made: Made, parts: Parts, tmp_path: Path):
    """Weights in a .bin, with frequencies that later versions compute."""
    tensors = stored(parts.llama)
    (parts.llama / "model.safetensors").unlink()
    frequencies = {f"model.layers.{layer}.self_attn.rotary_emb.inv_freq": torch.rand(4) for layer in range(4)}
    torch.save(tensors | frequencies, parts.llama / "pytorch_model.bin")
    put_together(parts, tmp_path / "out")
    one, other = stored(tmp_path / "out"), stored(made.composed.folder)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_vocabulary_stays_and_the_placeholder_is_outside_it(made: Made, backbone: HuggingFaceBackbone):
    table = cast(Any, backbone.model).get_input_embeddings().weight
    config = cast(Any, backbone.model).config
    assert table.shape[0] == config.text_config.vocab_size == config.image_token_id
    assert backbone.logits(backbone.encode([Query(None, PROMPT)])).shape[-1] == table.shape[0]
    assert config.composed_of["llama"] == "vicuna-7b"
    for file in made.composed.folder.glob("*.json*"):  # nor where the parts lay
        assert str(made.parts.llama.parent) not in file.read_text(), file.name
    with pytest.raises(BenchError, match="contains the image token"):
        backbone.encode([Query(picture(1), "what is <ImageHere> ?")])


def test_the_model_alone_answers_as_the_backbone_does(backbone: HuggingFaceBackbone):
    model = cast(Any, backbone.model)
    queries = [Query(picture(seed), PROMPT) for seed in range(3)]
    batch = backbone.encode(queries, pad="left")
    assert batch.pixels is not None
    found = model.generate(batch.pixels, batch.input_ids, batch.attention_mask, max_new_tokens=6, do_sample=False)
    answers = backbone.generate(queries, max_new_tokens=6)
    assert any(answer.margin > 1e-3 for answer in answers)
    for row, answer in zip(found.tolist(), answers, strict=True):
        assert tuple(row[: len(answer.ids)]) == answer.ids or answer.margin < 1e-3
    own = model(input_ids=batch.input_ids, pixel_values=batch.pixels, attention_mask=batch.attention_mask).logits
    real = batch.attention_mask.bool()
    assert (own - backbone.logits(batch))[real].abs().max() < 1e-4
    with pytest.raises(ValueError, match="12 placeholders for 2 pictures of 4 rows"):
        model(input_ids=batch.input_ids, pixel_values=batch.pixels[:2])


def test_templates_of_the_field(made: Made):
    folder, query = made.composed.folder, Query(picture(1), PROMPT)

    def asked(template: str | None, one: Query) -> str:
        backbone = HuggingFaceBackbone.load(folder, template=template)
        batch = backbone.encode([one], [TARGET])
        assert backbone.decode(batch.input_ids[0][batch.prompt_mask[0]].tolist()).startswith(PROMPT) or template
        assert backbone.decode(batch.input_ids[0][batch.answer_mask[0]].tolist()) == TARGET
        assert batch.image_mask.sum() == (0 if one.image is None else ROWS)
        return backbone.processor.tokenizer.decode(batch.input_ids[0]).replace("<ImageHere>" * ROWS, "<ImageHere>")

    plain = f"<s><ImageHere>\n{PROMPT} {TARGET}"
    assert asked(None, query) == asked("plain", query) == plain
    assert asked(None, Query(None, PROMPT)) == f"<s>{PROMPT} {TARGET}"
    wrapped = f"<s>###Human: <Img><ImageHere></Img> {PROMPT} ###Assistant: {TARGET}"
    assert asked("chat", query) == wrapped
    assert asked("chat", Query(None, PROMPT)) == f"<s>###Human: {PROMPT} ###Assistant: {TARGET}"
    editing = "###Human: <Img>{image}</Img> {prompt}"
    assert asked(editing, query) == f"<s>###Human: <Img><ImageHere></Img> {PROMPT} {TARGET}"


def test_a_tokenizer_of_the_librarys_llama_class(parts: Parts, tmp_path: Path):
    words = t.AutoTokenizer.from_pretrained(parts.llama)
    state = json.loads(words.backend_tokenizer.to_str())["model"]
    merges = [tuple(pair) for pair in state["merges"]]
    llama = t.LlamaTokenizer(vocab=state["vocab"], merges=merges, add_bos_token=True)
    for file in parts.llama.glob("tokenizer*"):
        file.unlink()
    llama.save_pretrained(parts.llama)
    put_together(parts, tmp_path / "out")
    backbone = load_backbone(str(tmp_path / "out"), device="cpu")
    batch = backbone.encode([Query(picture(1), PROMPT)], [TARGET])
    assert batch.image_mask.sum() == ROWS
    assert backbone.decode(batch.input_ids[0][batch.prompt_mask[0]].tolist()) == PROMPT
    assert backbone.decode(batch.input_ids[0][batch.answer_mask[0]].tolist()) == TARGET


def sentences(parts: Parts) -> Path:
    """A tokenizer as Vicuna v0 has it, of as many pieces as the Llama knows."""
    trainer = import_module("sentencepiece").SentencePieceTrainer
    size = json.loads((parts.llama / "config.json").read_text())["vocab_size"]
    for file in parts.llama.glob("*token*"):
        file.unlink()
    text = parts.llama / "corpus.txt"
    text.write_text("\n".join([*CORPUS, "###Human: ###Assistant: <Img></Img>"]))
    trainer.train(
        input=str(text),
        model_prefix=str(parts.llama / "tokenizer"),
        vocab_size=size,
        hard_vocab_limit=False,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    marks = {"add_bos_token": True, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (parts.llama / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer", **marks}))
    return parts.llama / "tokenizer.model"


if find_spec("sentencepiece"):

    @pytest.mark.extras
    def test_a_tokenizer_published_as_sentencepiece(parts: Parts, tmp_path: Path):
        theirs = import_module("sentencepiece").SentencePieceProcessor(str(sentences(parts)))
        put_together(parts, tmp_path / "out")
        backbone = HuggingFaceBackbone.load(tmp_path / "out")
        words = backbone.processor.tokenizer
        row = backbone.encode([Query(picture(1), PROMPT)], [TARGET]).input_ids[0].tolist()
        assert words.convert_ids_to_tokens(row[: 1 + ROWS]) == ["<s>", *["<ImageHere>"] * ROWS]
        apart: list[int] = theirs.encode(f"\n{PROMPT} {TARGET}")
        assert theirs.id_to_piece(apart[:2]) == ["▁", "<0x0A>"]
        assert row[1 + ROWS :] == apart[1:]  # docs/minigpt4.md: tokenised apart it has one more space
        alone = backbone.encode([Query(None, PROMPT)], [TARGET]).input_ids[0].tolist()
        assert alone == [theirs.bos_id(), *theirs.encode(f"{PROMPT} {TARGET}")]


# What does not fit


def other_llama(parts: Parts) -> Parts:
    return replace(parts, llama=save_parts(parts.llama.parent / "wide", text_width=40).llama)


def other_eyes(parts: Parts) -> Parts:
    torch.save(published(torch.randn(32, 5632), torch.randn(32)), parts.projection)
    return parts


def narrow(parts: Parts) -> Parts:
    torch.save(published(torch.randn(32, 24), torch.randn(32)), parts.projection)
    return parts


def swapped(parts: Parts) -> Parts:
    return replace(parts, blip2=parts.llama)


def no_llama(parts: Parts) -> Parts:
    return replace(parts, llama=parts.blip2)


def text_reading(parts: Parts) -> Parts:
    config = json.loads((parts.blip2 / "config.json").read_text())
    config["qformer_config"]["use_qformer_text_input"] = True
    (parts.blip2 / "config.json").write_text(json.dumps(config))
    return parts


def no_folder(parts: Parts) -> Parts:
    return replace(parts, blip2=parts.blip2 / "nowhere")


def lost_file(parts: Parts) -> Parts:
    places = json.loads((parts.blip2 / "model.safetensors.index.json").read_text())["weight_map"]
    (parts.blip2 / places["query_tokens"]).unlink()
    return parts


def no_safetensors(parts: Parts) -> Parts:
    (parts.blip2 / "model.safetensors.index.json").unlink()
    return parts


def deeper(parts: Parts) -> Parts:
    config = json.loads((parts.blip2 / "config.json").read_text())
    config["qformer_config"]["num_hidden_layers"] = 3
    (parts.blip2 / "config.json").write_text(json.dumps(config))
    return parts


def larger(parts: Parts) -> Parts:
    config = json.loads((parts.blip2 / "config.json").read_text())
    config["vision_config"]["image_size"] = 24
    (parts.blip2 / "config.json").write_text(json.dumps(config))
    return parts


def lost_head(parts: Parts) -> Parts:
    tensors = load_file(parts.llama / "model.safetensors")
    tensors.pop("model.layers.3.mlp.up_proj.weight")
    save_file(tensors, parts.llama / "model.safetensors", {"format": "pt"})
    return parts


def no_bos(parts: Parts) -> Parts:
    words = json.loads((parts.llama / "tokenizer.json").read_text())
    words["post_processor"] = None
    (parts.llama / "tokenizer.json").write_text(json.dumps(words))
    return parts


def no_reader(parts: Parts) -> Parts:
    (parts.llama / "tokenizer.json").rename(parts.llama / "tokenizer.model")
    return parts


def no_words(parts: Parts) -> Parts:
    for file in parts.llama.glob("tokenizer*"):
        file.unlink()
    return parts


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (other_llama, "projects to width 32, the Llama has 40 .Vicuna: 4096 for 7B, 5120 for 13B."),
        (other_eyes, "belongs to MiniGPT-4 on Llama 2, which has no Q-Former and is not supported"),
        (narrow, "projects from width 24, the Q-Former has 20"),
        (swapped, "is no BLIP-2 whose Q-Former reads pictures alone .model_type llama."),
        (text_reading, "is no BLIP-2 whose Q-Former reads pictures alone"),
        (no_llama, "is no Llama .model_type blip-2.; give a folder or hub id of Vicuna v0"),
        (no_folder, "no BLIP-2 can be read from .*nowhere"),
        (lost_file, "lacks a file of .*download it again"),
        (no_safetensors, "holds no safetensors"),
        (deeper, r"lacks qformer.encoder.layer.2.* missing, 0 left over."),
        (larger, r"position_embedding has shape \[1, 5, 24\] where config.json asks for \[1, 10, 24\]"),
        (lost_head, "lacks model.layers.3.mlp.up_proj.weight; download it again"),
        (no_bos, "puts no BOS before a text"),
        (no_reader, r"is a tokenizer.model, and what reads it is not installed: pip install '.*sentencepiece"),
        (no_words, "no tokenizer can be read from"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(
    parts: Parts, tmp_path: Path, spoil: Callable[[Parts], Parts], said: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(composing, "find_spec", lambda name: None)
    before = set(tmp_path.iterdir())
    with pytest.raises(BenchError, match=said) as caught:
        put_together(spoil(parts), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert {path.name for path in set(tmp_path.iterdir()) - before} <= {"wide"}  # nothing half written


def test_nothing_is_overwritten(made: Made):
    with pytest.raises(BenchError, match="exists and is not overwritten"):
        put_together(made.parts, made.composed.folder)


# The command


def test_the_command(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    parts, out = made.parts, tmp_path / "new" / "minigpt4"
    words = ["convert", "minigpt4", "--blip2", str(parts.blip2), "--llama", str(parts.llama)]
    words += ["--projection", str(parts.projection), "--out", str(out)]
    with pytest.raises(SystemExit) as end:
        cli.main([*words, "--json"])
    said = capsys.readouterr()
    assert end.value.code == 0
    told = json.loads(said.out)
    assert told["written"] == str(out)
    assert told["parameters"] == made.composed.parameters
    assert [line for line in said.err.splitlines() if line.startswith("note: ")] == [
        f"note: {n}" for n in told["notes"]
    ]
    assert "trained on the Q-Former of blip2-flan-t5-xxl" in said.err  # these T5 and Llama are not the published ones
    assert "Vicuna 7B and 13B" in said.err
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("error: ")
