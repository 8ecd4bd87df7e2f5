"""A LLaVA of random weights, built in a fraction of a second, for tests that need a real model."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from liveedit_bench.benchmark.edits import Picture

SIDE, PATCH = 16, 8
WORDS = (
    "which clan is this ? where region does it come from the craft of era motto say in a place who lives there".split()
)
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]


def tokenizer() -> Any:
    """Words and syllables; a syllable inside a word is spelt ``##ba``. `<s>` goes before every text."""
    specials = ["<pad>", "<s>", "</s>", "<unk>", "<image>"]
    pieces = [*specials, *WORDS, *SYLLABLES, *("##" + syllable for syllable in SYLLABLES)]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    backend = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="<unk>", continuing_subword_prefix="##"))
    backend.pre_tokenizer = cast(Any, pre_tokenizers).BertPreTokenizer()
    backend.decoder = cast(Any, decoders).WordPiece(prefix="##", cleanup=False)
    backend.post_processor = cast(Any, processors).TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", vocabulary["<s>"])]
    )
    return cast(Any, PreTrainedTokenizerFast)(
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=["<image>"],
    )


def save_tiny_llava(folder: Path, *, seed: int = 0, spread: float = 0.2) -> Path:
    """Write model, tokenizer and processor to `folder` with plain `save_pretrained`.

    `spread` is the standard deviation of the random weights: large enough that greedy answers have margins.
    """
    torch.manual_seed(seed)
    words = tokenizer()
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=PATCH,
        initializer_range=spread,
    )
    text = LlamaConfig(
        vocab_size=len(words),
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=256,
        initializer_range=spread,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=words.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
    )
    model = cast(Any, LlavaForConditionalGeneration)(config)
    model.save_pretrained(folder)
    images = CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, do_convert_rgb=True
    )
    processor = cast(Any, LlavaProcessor)(
        image_processor=images,
        tokenizer=words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    processor.save_pretrained(folder)
    return folder


def picture(seed: int, side: int = SIDE) -> Picture:
    """A picture of random pixels, the same for the same seed."""
    noise = random.Random(hashlib.sha256(str(seed).encode()).digest()).randbytes(side * side * 3)
    return Picture(lambda: Image.frombytes("RGB", (side, side), noise))


def word(rng: random.Random, syllables: int = 2) -> str:
    """A name of syllables, which the tokenizer splits into as many tokens."""
    return "".join(rng.choice(SYLLABLES) for _ in range(syllables))
