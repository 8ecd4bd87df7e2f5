"""One tiny model of random weights for every family of backbones: real classes, real processors, its own tokens.

What needs torchvision (its processor brings a video processor) is only built where torchvision can be imported.
"""

from __future__ import annotations

import importlib.util
import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from PIL import Image
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from liveedit_bench.benchmark.backbones.minigpt4.model import MiniGpt4Config, MiniGpt4ForConditionalGeneration
from liveedit_bench.benchmark.backbones.minigpt4.processing import MiniGpt4Processor
from liveedit_bench.benchmark.edits import Picture

WORDS = "which clan is this ? where does it come from ? who lives there ? say the motto of this era in a craft ?"
CORPUS = [
    WORDS,
    " ".join(a + b + c + d for a in "bdkmz" for b in "aou" for c in "lnrs" for d in "aei"),
    "user assistant",
]
Built = tuple[Any, Any]
t = cast(Any, transformers)


@dataclass(frozen=True)
class Tiny:
    """How to build one family. needs: packages its processor asks for. name: as on the hub, without sizes."""

    model_type: str
    build: Callable[[], Built]
    needs: tuple[str, ...] = ()

    @property
    def available(self) -> bool:
        return all(importlib.util.find_spec(package) is not None for package in self.needs)

    def save(self, folder: Path, *, seed: int = 0, spread: float = 0.15) -> Path:
        """Model, tokenizer and processor by plain `save_pretrained`."""
        torch.manual_seed(seed)
        model, processor = self.build()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.dim() > 1 and "norm" not in name:
                    parameter.normal_(0, spread)
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        return folder


def picture(seed: int, width: int = 32, height: int = 32) -> Picture:
    """Random pixels, the same for the same seed; grown from few, so that resizing does not make all pictures grey."""
    noise = random.Random(seed).randbytes(4 * 4 * 3)
    return Picture(lambda: Image.frombytes("RGB", (4, 4), noise).resize((width, height)))


# Tokenizers


@cache
def _vocabulary(kind: str) -> str:
    backend = Tokenizer(
        models.BPE(byte_fallback=kind == "metaspace", unk_token="<unk>" if kind == "metaspace" else None)
    )
    if kind == "bytes":
        backend.pre_tokenizer = cast(Any, pre_tokenizers).ByteLevel(add_prefix_space=False)
        backend.decoder = cast(Any, decoders).ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        backend.normalizer = cast(Any, normalizers).Replace(" ", "▁")
        backend.pre_tokenizer = cast(Any, pre_tokenizers).Split("▁", "merged_with_next")
        backend.decoder = cast(Any, decoders).Sequence(
            [
                cast(Any, decoders).Replace("▁", " "),
                cast(Any, decoders).ByteFallback(),
                cast(Any, decoders).Fuse(),
            ]
        )
        alphabet = ["▁", "\n"]
    specials = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))] if kind == "metaspace" else []
    trainer = cast(Any, trainers).BpeTrainer(
        vocab_size=500 if kind == "bytes" else 460, initial_alphabet=alphabet, special_tokens=specials
    )
    backend.train_from_iterator(CORPUS, trainer)
    content = json.loads(backend.to_str())
    content["added_tokens"] = [token for token in content["added_tokens"] if not token["content"].startswith("<0x")]
    return json.dumps(content)


def tokenizer(kind: str, *specials: str, bos: str | None = None, **roles: Any) -> Any:
    """``bytes`` splits like GPT-2 and Qwen, ``metaspace`` like Llama and Gemma. `bos` is put before every text."""
    backend = Tokenizer.from_str(_vocabulary(kind))
    extra = [token for token in (*specials, bos, *roles.values()) if isinstance(token, str)]
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in dict.fromkeys(extra)])
    if bos is not None:
        backend.post_processor = cast(Any, processors).TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, backend.token_to_id(bos))]
        )
    words = t.PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=bos, **roles)
    words.padding_side = "left"
    return words


def _text(words: Any, **more: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(words) + 3,  # real tables are padded, too
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
        **more,
    }


VISION = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 8}


def _chat(image: str, before: str, after: str, turn: str, *, role: str = "message['role']", assistant: str) -> str:
    """A chat template: `before` role, its contents, `after`; `turn` opens the assistant's."""
    return (
        "{%- for message in messages -%}"
        f"{{{{ {before!r} + ({role}) + {turn!r} }}}}"
        "{%- for part in message['content'] -%}"
        f"{{%- if part['type'] == 'image' -%}}{{{{ {image!r} }}}}"
        "{%- else -%}{{ part['text'] }}{%- endif -%}"
        "{%- endfor -%}"
        f"{{{{ {after!r} }}}}"
        "{%- endfor -%}"
        f"{{%- if add_generation_prompt -%}}{{{{ {before + assistant + turn!r} }}}}{{%- endif -%}}"
    )


def _chatml(image: str) -> str:
    return _chat(image, "<|im_start|>", "<|im_end|>\n", "\n", assistant="assistant")


def _qwen_words() -> Any:
    return tokenizer(
        "bytes",
        *("<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
    )


# Families


def _llava() -> Built:
    words = tokenizer("metaspace", "<image>", bos="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>")
    config = t.LlavaConfig(
        vision_config=t.CLIPVisionConfig(**VISION, image_size=16),
        text_config=t.LlamaConfig(**_text(words)),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    processor = t.LlavaProcessor(
        t.CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}),
        words,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    return t.LlavaForConditionalGeneration(config), processor


def _llava_next() -> Built:
    words = tokenizer("metaspace", "<image>", bos="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>")
    pinpoints = [[16, 32], [32, 16], [32, 32]]
    config = t.LlavaNextConfig(
        vision_config=t.CLIPVisionConfig(**VISION, image_size=16),
        text_config=t.LlamaConfig(**_text(words)),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=pinpoints,
    )
    images = t.LlavaNextImageProcessorPil(
        size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}, image_grid_pinpoints=pinpoints
    )
    processor = t.LlavaNextProcessor(
        images, words, patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    return t.LlavaNextForConditionalGeneration(config), processor


def _llava_onevision() -> Built:
    words = tokenizer("bytes", "<image>", "<video>", "<|im_start|>", eos_token="<|im_end|>", pad_token="<|endoftext|>")
    pinpoints = [[16, 16], [16, 32], [32, 16], [32, 32]]
    config = t.LlavaOnevisionConfig(
        vision_config=t.SiglipVisionConfig(**VISION, image_size=16, vision_use_head=False),
        text_config=t.Qwen2Config(**_text(words)),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        video_token_index=words.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=pinpoints,
    )
    processor = t.LlavaOnevisionProcessor(
        t.LlavaOnevisionImageProcessorPil(size={"height": 16, "width": 16}, image_grid_pinpoints=pinpoints),
        words,
        t.LlavaOnevisionVideoProcessor(),
        num_image_tokens=4,
        vision_feature_select_strategy="full",
        chat_template=_chatml("<image>\n"),
    )
    return t.LlavaOnevisionForConditionalGeneration(config), processor


def _blip_vision() -> dict[str, Any]:
    return {**VISION, "image_size": 16}


def _qformer() -> dict[str, Any]:
    return {
        "vocab_size": 600,
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "encoder_hidden_size": 24,
        "cross_attention_frequency": 1,
    }


def _blip2() -> Built:
    words = tokenizer("bytes", "<image>", bos="</s>", eos_token="</s>", pad_token="<pad>", unk_token="</s>")
    of_llama = ("num_key_value_heads", "intermediate_size")
    text = {name: value for name, value in _text(words).items() if name not in of_llama}
    text |= {"ffn_dim": 48, "word_embed_proj_dim": 32}
    config = t.Blip2Config(
        vision_config=t.Blip2VisionConfig(**_blip_vision()),
        qformer_config=t.Blip2QFormerConfig(**_qformer()),
        text_config=t.OPTConfig(**text),
        num_query_tokens=4,
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )
    processor = t.Blip2Processor(t.BlipImageProcessorPil(size={"height": 16, "width": 16}), words, num_query_tokens=4)
    return t.Blip2ForConditionalGeneration(config), processor


def _instructblip() -> Built:
    words = tokenizer("metaspace", "<image>", bos="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>")
    asked = tokenizer("bytes", bos="[CLS]", eos_token="[SEP]", pad_token="[PAD]")
    config = t.InstructBlipConfig(
        vision_config=t.InstructBlipVisionConfig(**_blip_vision()),
        qformer_config=t.InstructBlipQFormerConfig(**_qformer()),
        text_config=t.LlamaConfig(**_text(words)),
        num_query_tokens=4,
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )
    processor = t.InstructBlipProcessor(
        t.BlipImageProcessorPil(size={"height": 16, "width": 16}), words, asked, num_query_tokens=4
    )
    return t.InstructBlipForConditionalGeneration(config), processor


def _minigpt4() -> Built:
    words = llama_words("<ImageHere>")
    config = MiniGpt4Config(
        vision_config=t.Blip2VisionConfig(**_blip_vision()),
        qformer_config=t.Blip2QFormerConfig(**_qformer()),
        text_config=t.LlamaConfig(**_text(words)),
        num_query_tokens=4,
        image_token_index=words.convert_tokens_to_ids("<ImageHere>"),
    )
    images = t.BlipImageProcessorPil(size={"height": 16, "width": 16})
    return MiniGpt4ForConditionalGeneration(config), MiniGpt4Processor(images, words, num_query_tokens=4)


def llama_words(*specials: str) -> Any:
    return tokenizer("metaspace", *specials, bos="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>")


def _qwen_config(words: Any, kind: Any, vision: dict[str, Any], rope: dict[str, Any], **text: Any) -> Any:
    return kind(
        vision_config=vision,
        text_config=_text(words, rope_parameters={"rope_type": "default", "rope_theta": 10000.0, **rope}, **text),
        image_token_id=words.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=words.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=words.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=words.convert_tokens_to_ids("<|vision_end|>"),
    )


def _qwen_images() -> Any:
    return t.Qwen2VLImageProcessorPil(patch_size=8, size={"shortest_edge": 256, "longest_edge": 2048})


_QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"


def _qwen2_vl() -> Built:
    words = _qwen_words()
    vision = {"depth": 2, "embed_dim": 24, "hidden_size": 32, "num_heads": 2, "patch_size": 8}
    config = _qwen_config(words, t.Qwen2VLConfig, vision, {"mrope_section": [1, 1, 2]})
    processor = t.Qwen2VLProcessor(_qwen_images(), words, t.Qwen2VLVideoProcessor(), chat_template=_chatml(_QWEN_IMAGE))
    return t.Qwen2VLForConditionalGeneration(config), processor


def _qwen2_5_vl() -> Built:
    words = _qwen_words()
    vision = {
        "depth": 2,
        "hidden_size": 24,
        "intermediate_size": 32,
        "out_hidden_size": 32,
        "num_heads": 2,
        "patch_size": 8,
        "window_size": 32,
        "fullatt_block_indexes": [1],
    }
    config = _qwen_config(words, t.Qwen2_5_VLConfig, vision, {"mrope_section": [1, 1, 2]})
    processor = t.Qwen2_5_VLProcessor(
        _qwen_images(), words, t.Qwen2VLVideoProcessor(), chat_template=_chatml(_QWEN_IMAGE)
    )
    return t.Qwen2_5_VLForConditionalGeneration(config), processor


def _qwen3_vl() -> Built:
    words = _qwen_words()
    vision = {
        "depth": 3,
        "hidden_size": 24,
        "intermediate_size": 32,
        "out_hidden_size": 32,
        "num_heads": 2,
        "patch_size": 8,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0, 1],
    }
    rope = {"mrope_section": [2, 1, 1], "mrope_interleaved": True}
    config = _qwen_config(words, t.Qwen3VLConfig, vision, rope, head_dim=8)
    processor = t.Qwen3VLProcessor(_qwen_images(), words, t.Qwen3VLVideoProcessor(), chat_template=_chatml(_QWEN_IMAGE))
    return t.Qwen3VLForConditionalGeneration(config), processor


def _internvl() -> Built:
    words = tokenizer(
        "bytes",
        "<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens={
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        },
    )
    config = t.InternVLConfig(
        vision_config=t.InternVLVisionConfig(**{**VISION, "patch_size": [8, 8]}, image_size=[16, 16]),
        text_config=t.Qwen2Config(**_text(words)),
        image_token_id=words.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=1,
    )
    processor = t.InternVLProcessor(
        t.GotOcr2ImageProcessorPil(size={"height": 16, "width": 16}, crop_to_patches=True, max_patches=4),
        words,
        t.InternVLVideoProcessor(),
        image_seq_length=1,
        chat_template=_chatml("<IMG_CONTEXT>\n"),
    )
    return t.InternVLForConditionalGeneration(config), processor


def _idefics_words() -> Any:
    rows = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    return tokenizer(
        "bytes",
        *("<fake_token_around_image>", "<image>", "<global-img>", *rows, "<video>"),
        bos="<|im_start|>",
        eos_token="<end_of_utterance>",
        pad_token="<|endoftext|>",
    )


def _idefics_chat() -> str:
    return "<|im_start|>" + _chat(
        "<image>", "", "<end_of_utterance>\n", ": ", role="message['role'] | capitalize", assistant="Assistant"
    ).replace("'Assistant: '", "'Assistant:'")


def _idefics3() -> Built:
    words = _idefics_words()
    config = t.Idefics3Config(
        vision_config=t.Idefics3VisionConfig(**VISION, image_size=16).to_dict(),
        text_config=t.LlamaConfig(**_text(words)),
        image_token_id=words.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    images = t.Idefics3ImageProcessorPil(size={"longest_edge": 48}, max_image_size={"longest_edge": 16})
    processor = t.Idefics3Processor(images, words, image_seq_len=1, chat_template=_idefics_chat())
    return t.Idefics3ForConditionalGeneration(config), processor


def _smolvlm() -> Built:
    words = _idefics_words()
    config = t.SmolVLMConfig(
        vision_config=t.SmolVLMVisionConfig(**VISION, image_size=16).to_dict(),
        text_config=t.LlamaConfig(**_text(words)),
        image_token_id=words.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    images = t.SmolVLMImageProcessorPil(size={"longest_edge": 48}, max_image_size={"longest_edge": 16})
    processor = t.SmolVLMProcessor(
        images, words, t.SmolVLMVideoProcessor(), image_seq_len=1, chat_template=_idefics_chat()
    )
    return t.SmolVLMForConditionalGeneration(config), processor


def _gemma_text(words: Any, **more: Any) -> dict[str, Any]:
    return _text(words, head_dim=8, **more)


def _paligemma() -> Built:
    words = tokenizer("metaspace", "<image>", bos="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>")
    words.backend_tokenizer.post_processor = cast(Any, processors).TemplateProcessing(single="$A", special_tokens=[])
    images = t.SiglipImageProcessorPil(size={"height": 16, "width": 16})
    images.image_seq_length = 4
    processor = t.PaliGemmaProcessor(images, words)
    config = t.PaliGemmaConfig(
        vision_config=t.SiglipVisionConfig(**VISION, image_size=16, vision_use_head=False, projection_dim=32),
        text_config=t.GemmaConfig(**_gemma_text(words)),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        projection_dim=32,
    )
    return t.PaliGemmaForConditionalGeneration(config), processor


def _gemma3() -> Built:
    words = tokenizer(
        "metaspace",
        *("<start_of_turn>", "<end_of_turn>"),
        bos="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        extra_special_tokens={
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
            "image_token": "<image_soft_token>",
        },
    )
    config = t.Gemma3Config(
        vision_config=t.SiglipVisionConfig(**VISION, image_size=16, vision_use_head=False),
        text_config=t.Gemma3TextConfig(
            **_gemma_text(words, sliding_window=12, layer_types=["sliding_attention", "full_attention"] * 2)
        ),
        mm_tokens_per_image=4,
        boi_token_index=words.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=words.convert_tokens_to_ids("<end_of_image>"),
        image_token_index=words.convert_tokens_to_ids("<image_soft_token>"),
    )
    chat = "{{ bos_token }}" + _chat(
        "<start_of_image>",
        "<start_of_turn>",
        "<end_of_turn>\n",
        "\n",
        role="'model' if message['role'] == 'assistant' else message['role']",
        assistant="model",
    )
    images = t.Gemma3ImageProcessorPil(size={"height": 16, "width": 16})
    processor = t.Gemma3Processor(images, words, chat_template=chat, image_seq_length=4)
    model = t.Gemma3ForConditionalGeneration(config)
    last = model.get_decoder().layers[-1]  # its norm bounds what FT-L can change: as loud as trained ones are
    torch.nn.init.constant_(last.post_feedforward_layernorm.weight, 12.0)
    return model, processor


ALL = (
    Tiny("llava", _llava),
    Tiny("llava_next", _llava_next),
    Tiny("llava_onevision", _llava_onevision, ("torchvision",)),
    Tiny("blip-2", _blip2),
    Tiny("instructblip", _instructblip),
    Tiny("minigpt4", _minigpt4),
    Tiny("qwen2_vl", _qwen2_vl, ("torchvision",)),
    Tiny("qwen2_5_vl", _qwen2_5_vl, ("torchvision",)),
    Tiny("qwen3_vl", _qwen3_vl, ("torchvision",)),
    Tiny("internvl", _internvl, ("torchvision",)),
    Tiny("idefics3", _idefics3),
    Tiny("smolvlm", _smolvlm, ("torchvision", "num2words")),
    Tiny("paligemma", _paligemma),
    Tiny("gemma3", _gemma3),
)


def available() -> Iterable[Tiny]:
    return [tiny for tiny in ALL if tiny.available]
