"""The parts of a tiny MiniGPT-4 as a user has them: BLIP-2 with its T5, a Vicuna, and the pickled projection."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from tiny_families import VISION, llama_words

t = cast(Any, transformers)
ROWS = 4


@dataclass(frozen=True)
class Parts:
    """Folders of BLIP-2 and Llama, and the checkpoint."""

    blip2: Path
    llama: Path
    projection: Path


def save_parts(folder: Path, *, text_width: int = 32, seed: int = 0) -> Parts:
    """Random parts of the real classes. BLIP-2 is in many files; its T5 is what nobody needs."""
    torch.manual_seed(seed)
    parts = Parts(folder / "blip2-flan-t5-xxl", folder / "vicuna-7b", folder / "prerained_minigpt4_7b.pth")
    words = llama_words()
    eyes = t.Blip2Config(
        vision_config=t.Blip2VisionConfig(**VISION, image_size=16),
        qformer_config=t.Blip2QFormerConfig(
            vocab_size=50,
            hidden_size=20,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            encoder_hidden_size=24,
        ),
        text_config=t.T5Config(
            vocab_size=60, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2, decoder_start_token_id=0
        ),
        num_query_tokens=ROWS,
    )
    blip2 = loud(t.Blip2ForConditionalGeneration(eyes))
    blip2.save_pretrained(parts.blip2, max_shard_size="20KB")
    t.BlipImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(parts.blip2)
    text = t.LlamaConfig(
        vocab_size=len(words),
        hidden_size=text_width,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    loud(t.LlamaForCausalLM(text)).half().save_pretrained(parts.llama)
    words.save_pretrained(parts.llama)
    torch.save(published(torch.randn(text_width, 20), torch.randn(text_width)), parts.projection)
    return parts


def published(weight: torch.Tensor, bias: torch.Tensor) -> dict[str, Any]:
    """A checkpoint as the released training code writes it: weights that were trained, every buffer, and the rest."""
    return {
        "model": {
            "llama_proj.weight": weight,
            "llama_proj.bias": bias,
            "Qformer.bert.embeddings.position_ids": torch.arange(8)[None],
            "llama_model.model.layers.0.self_attn.rotary_emb.inv_freq": torch.rand(4),
        },
        "optimizer": {
            "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros_like(weight)}},
            "param_groups": [],
        },
        "config": {"run": {"lr_sched": "linear_warmup_cosine_lr", "init_lr": 3e-5}},
        "scaler": {"scale": 65536.0},
        "epoch": 4,
    }


def loud(model: Any) -> Any:
    """Weights large enough that every part is heard."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "norm" not in name:
                parameter.normal_(0, 0.15)
    return model
