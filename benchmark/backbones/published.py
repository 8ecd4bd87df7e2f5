"""Sizes of published backbones, as their configurations on the hub give them, and how many parameters that makes.

A test builds every model of these sizes without its weights and counts again. A repository may change after us.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Sizes = Mapping[str, Any]


def _text(width: int, inner: int, depth: int, heads: int, groups: int, words: int, **more: Any) -> Sizes:
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "vocab_size": words,
        **more,
    }


def _vision(width: int, inner: int, depth: int, side: int | list[int], patch: int | list[int], **more: Any) -> Sizes:
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": depth,
        "num_attention_heads": 16,
        "image_size": side,
        "patch_size": patch,
        **more,
    }


_CLIP = _vision(1024, 4096, 24, 336, 14, model_type="clip_vision_model", projection_dim=768)
_SIGLIP = "siglip_vision_model"
_VICUNA = _text(4096, 11008, 32, 32, 32, 32064, model_type="llama")
_VICUNA_13B = _text(5120, 13824, 40, 40, 40, 32064, model_type="llama")
_QFORMER: Sizes = {"hidden_size": 768, "num_hidden_layers": 12, "cross_attention_frequency": 2}
_EVA: Sizes = {"hidden_size": 1408, "intermediate_size": 6144, "num_hidden_layers": 39, "image_size": 224}
_OPT: Sizes = {
    "model_type": "opt",
    "hidden_size": 2560,
    "word_embed_proj_dim": 2560,
    "ffn_dim": 10240,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "vocab_size": 50304,
}
_QWEN2_7B = (3584, 18944, 28, 28, 4)
_INTERN = _vision(1024, 4096, 24, [448, 448], [14, 14])
_MROPE: Sizes = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}}
_IDEFICS = _vision(1152, 4304, 27, 384, 14)


def _qwen3(width: int, inner: int, depth: int, heads: int, *, eye: int, blocks: int, tied: bool) -> Sizes:
    deep = [8, 16, 24] if blocks == 27 else [5, 11, 17]
    inner_eye = 4304 if eye == 1152 else 4096
    return {
        "tie_word_embeddings": tied,
        "text_config": _text(width, inner, depth, heads, 8, 151936, head_dim=128, tie_word_embeddings=tied),
        "vision_config": {
            "hidden_size": eye,
            "intermediate_size": inner_eye,
            "depth": blocks,
            "out_hidden_size": width,
            "deepstack_visual_indexes": deep,
        },
    }


def _internvl(*text: int, tied: bool) -> Sizes:
    width, inner, depth, heads, groups = text
    return {
        "vision_config": _INTERN,
        "text_config": _text(width, inner, depth, heads, groups, 151674, model_type="qwen2", tie_word_embeddings=tied),
        "tie_word_embeddings": tied,
    }


def _onevision(*text: int, tied: bool) -> Sizes:
    width, inner, depth, heads, groups = text
    return {
        "vision_config": _vision(1152, 4304, 26, 384, 14, model_type=_SIGLIP, vision_use_head=False),
        "text_config": _text(width, inner, depth, heads, groups, 152000, model_type="qwen2", tie_word_embeddings=tied),
        "tie_word_embeddings": tied,
    }


CONFIGS: Mapping[str, tuple[str, Sizes]] = {
    "llava-hf/llava-1.5-7b-hf": ("llava", {"vision_config": _CLIP, "text_config": _VICUNA}),
    "llava-hf/llava-1.5-13b-hf": ("llava", {"vision_config": _CLIP, "text_config": _VICUNA_13B}),
    "llava-hf/llava-v1.6-vicuna-7b-hf": ("llava_next", {"vision_config": _CLIP, "text_config": _VICUNA}),
    "llava-hf/llava-onevision-qwen2-0.5b-ov-hf": (
        "llava_onevision",
        _onevision(896, 4864, 24, 14, 2, tied=True),
    ),
    "llava-hf/llava-onevision-qwen2-7b-ov-hf": ("llava_onevision", _onevision(*_QWEN2_7B, tied=False)),
    "Salesforce/blip2-opt-2.7b": ("blip-2", {"vision_config": _EVA, "qformer_config": _QFORMER, "text_config": _OPT}),
    "Salesforce/instructblip-vicuna-7b": (
        "instructblip",
        {
            "vision_config": _EVA,
            "qformer_config": {**_QFORMER, "vocab_size": 30523},
            "text_config": {**_VICUNA, "vocab_size": 32001},
        },
    ),
    "minigpt4-7b": (
        "minigpt4",
        {"vision_config": _EVA, "qformer_config": _QFORMER, "text_config": {**_VICUNA, "vocab_size": 32001}},
    ),
    "minigpt4-13b": (
        "minigpt4",
        {"vision_config": _EVA, "qformer_config": _QFORMER, "text_config": {**_VICUNA_13B, "vocab_size": 32001}},
    ),
    "Qwen/Qwen2-VL-2B-Instruct": (
        "qwen2_vl",
        {
            "text_config": _text(1536, 8960, 28, 12, 2, 151936, tie_word_embeddings=True, **_MROPE),
            "vision_config": {"depth": 32, "embed_dim": 1280, "hidden_size": 1536},
            "tie_word_embeddings": True,
        },
    ),
    "Qwen/Qwen2-VL-7B-Instruct": (
        "qwen2_vl",
        {
            "text_config": _text(*_QWEN2_7B, 152064, **_MROPE),
            "vision_config": {"depth": 32, "embed_dim": 1280, "hidden_size": 3584},
        },
    ),
    "Qwen/Qwen2.5-VL-3B-Instruct": (
        "qwen2_5_vl",
        {
            "text_config": _text(2048, 11008, 36, 16, 2, 151936, tie_word_embeddings=True, **_MROPE),
            "vision_config": {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": 2048},
            "tie_word_embeddings": True,
        },
    ),
    "Qwen/Qwen2.5-VL-7B-Instruct": (
        "qwen2_5_vl",
        {
            "text_config": _text(*_QWEN2_7B, 152064, **_MROPE),
            "vision_config": {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": 3584},
        },
    ),
    "Qwen/Qwen3-VL-2B-Instruct": ("qwen3_vl", _qwen3(2048, 6144, 28, 16, eye=1024, blocks=24, tied=True)),
    "Qwen/Qwen3-VL-4B-Instruct": ("qwen3_vl", _qwen3(2560, 9728, 36, 32, eye=1024, blocks=24, tied=True)),
    "Qwen/Qwen3-VL-8B-Instruct": ("qwen3_vl", _qwen3(4096, 12288, 36, 32, eye=1152, blocks=27, tied=False)),
    "OpenGVLab/InternVL3-1B-hf": ("internvl", _internvl(896, 4864, 24, 14, 2, tied=False)),
    "OpenGVLab/InternVL3-8B-hf": ("internvl", _internvl(*_QWEN2_7B, tied=False)),
    "HuggingFaceM4/Idefics3-8B-Llama3": (
        "idefics3",
        {
            "vision_config": {**_IDEFICS, "image_size": 364},
            "text_config": _text(4096, 14336, 32, 32, 8, 128259, model_type="llama"),
        },
    ),
    "HuggingFaceTB/SmolVLM-Instruct": (
        "idefics3",
        {
            "vision_config": _IDEFICS,
            "text_config": _text(2048, 8192, 24, 32, 32, 49155, model_type="llama"),
            "scale_factor": 3,
        },
    ),
    "HuggingFaceTB/SmolVLM2-2.2B-Instruct": (
        "smolvlm",
        {
            "vision_config": _IDEFICS,
            "text_config": _text(2048, 8192, 24, 32, 32, 49280, model_type="llama"),
            "scale_factor": 3,
        },
    ),
    "google/paligemma-3b-pt-224": (
        "paligemma",
        {
            "vision_config": _vision(
                1152, 4304, 27, 224, 14, model_type=_SIGLIP, vision_use_head=False, projection_dim=2048
            ),
            "text_config": _text(2048, 16384, 18, 8, 1, 257216, model_type="gemma", head_dim=256),
            "projection_dim": 2048,
        },
    ),
    "google/gemma-3-4b-it": (
        "gemma3",
        {
            "vision_config": _vision(1152, 4304, 27, 896, 14, model_type=_SIGLIP, vision_use_head=False),
            "text_config": _text(2560, 10240, 34, 8, 4, 262208, head_dim=256),
        },
    ),
}

COUNTS: Mapping[str, tuple[int, int]] = {
    "llava-hf/llava-1.5-7b-hf": (7_063_427_072, 6_798_966_784),
    "llava-hf/llava-1.5-13b-hf": (13_351_494_656, 13_021_216_768),
    "llava-hf/llava-v1.6-vicuna-7b-hf": (7_063_431_168, 6_798_966_784),
    "llava-hf/llava-onevision-qwen2-0.5b-ov-hf": (893_675_552, 755_507_200),
    "llava-hf/llava-onevision-qwen2-7b-ov-hf": (8_029_890_080, 6_938_107_904),
    "Salesforce/blip2-opt-2.7b": (3_744_761_856, 3_607_560_192),
    "Salesforce/instructblip-vicuna-7b": (7_913_210_624, 7_624_785_920),
    "minigpt4-7b": (7_832_688_128, 7_568_162_816),
    "minigpt4-13b": (14_110_926_336, 13_780_713_472),
    "Qwen/Qwen2-VL-2B-Instruct": (2_208_985_600, 1_973_420_032),
    "Qwen/Qwen2-VL-7B-Instruct": (8_291_375_616, 7_198_998_528),
    "Qwen/Qwen2.5-VL-3B-Instruct": (3_754_622_976, 3_441_197_056),
    "Qwen/Qwen2.5-VL-7B-Instruct": (8_292_166_656, 7_199_817_728),
    "Qwen/Qwen3-VL-2B-Instruct": (2_127_532_032, 1_811_939_328),
    "Qwen/Qwen3-VL-4B-Instruct": (4_437_815_808, 4_044_357_632),
    "Qwen/Qwen3-VL-8B-Instruct": (8_767_123_696, 7_517_270_016),
    "OpenGVLab/InternVL3-1B-hf": (938_119_296, 664_289_280),
    "OpenGVLab/InternVL3-8B-hf": (7_944_300_032, 6_854_803_456),
    "HuggingFaceM4/Idefics3-8B-Llama3": (8_462_086_384, 7_409_266_688),
    "HuggingFaceTB/SmolVLM-Instruct": (2_246_272_880, 2_042_916_864),
    "HuggingFaceTB/SmolVLM2-2.2B-Instruct": (2_246_784_880, 2_042_916_864),
    "google/paligemma-3b-pt-224": (2_923_466_480, 2_395_238_400),
    "google/gemma-3-4b-it": (4_300_079_472, 3_619_713_024),
}
"""Parameters, and those of them in linear layers other than the output head."""
