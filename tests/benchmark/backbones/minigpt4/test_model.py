from typing import Any, cast

import pytest
import torch
import transformers

from liveedit_bench.benchmark.backbones.minigpt4.model import MiniGpt4Config, MiniGpt4ForConditionalGeneration

t = cast(Any, transformers)
VICUNA_13B = {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40}


@pytest.mark.parametrize(("llama", "billions"), [({}, 7.83), (VICUNA_13B, 14.11)], ids=["7B", "13B"])
def test_the_published_sizes(llama: dict[str, int], billions: float):
    """The library's defaults are those of BLIP-2 and Llama 7B; docs/minigpt4.md gives these figures."""
    config = MiniGpt4Config(
        vision_config=t.Blip2VisionConfig(),
        qformer_config=t.Blip2QFormerConfig(),
        text_config=t.LlamaConfig(vocab_size=32001, **llama),
        image_token_index=32001,
    )
    with torch.device("meta"):
        model: Any = MiniGpt4ForConditionalGeneration(config)
    assert config.vision_config.image_size == 224
    assert model.query_tokens.shape == (1, 32, 768)
    assert model.language_projection.weight.shape == (config.text_config.hidden_size, 768)
    sizes = {name: sum(value.numel() for value in part.parameters()) / 1e9 for name, part in model.named_children()}
    assert sizes["vision_model"] == pytest.approx(0.986, abs=1e-3)
    assert sizes["qformer"] == pytest.approx(0.105, abs=1e-3)
    assert sum(value.numel() for value in model.parameters()) / 1e9 == pytest.approx(billions, abs=5e-3)
