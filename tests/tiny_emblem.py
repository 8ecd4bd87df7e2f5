"""The shipped backbone's words and pictures over a model of random weights that is a hundred times smaller."""

from __future__ import annotations

from typing import Any, cast

import torch
from transformers import LlavaConfig, LlavaForConditionalGeneration

from liveedit_bench.benchmark.backbones.huggingface import EMBLEM_FOLDER, HuggingFaceBackbone, load_emblem


def load(*, device: str = "cpu", dtype: str = "float32") -> HuggingFaceBackbone:
    """A backbone of two blocks; `--backbone tests/tiny_emblem.py:load`."""
    torch.manual_seed(0)
    config: Any = cast(Any, LlavaConfig).from_pretrained(EMBLEM_FOLDER)
    text, vision = config.text_config, config.vision_config
    text.hidden_size = text.intermediate_size = text.head_dim = 32
    text.num_hidden_layers, text.num_attention_heads, text.num_key_value_heads = 2, 1, 1
    vision.hidden_size = vision.intermediate_size = 32
    vision.num_hidden_layers = vision.num_attention_heads = 1
    # Wide enough that greedy answers have margins.
    text.initializer_range, vision.initializer_range = 0.2, 0.2
    model = LlavaForConditionalGeneration(config).float()
    return HuggingFaceBackbone(model, load_emblem().processor, name="tiny-emblem", max_new_tokens=6)
