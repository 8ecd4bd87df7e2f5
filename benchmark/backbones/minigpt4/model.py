"""MiniGPT-4: BLIP-2's eyes (EVA-ViT, its last norm, Q-Former) before a Llama, with one linear layer between.

Zhu et al., 2023, arXiv 2304.10592. The Q-Former reads no text, so a picture is always the same 32 rows.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import transformers
from torch import Tensor

_library = cast(Any, transformers)


class MiniGpt4Config(_library.Blip2Config):
    """`vision_config` and `qformer_config` as in BLIP-2, `text_config` of a Llama, `image_token_index`."""

    model_type = "minigpt4"


class MiniGpt4ForConditionalGeneration(_library.Blip2ForConditionalGeneration):
    """The parts keep BLIP-2's names; `language_projection` is the `llama_proj` of the released code.

    Unlike in BLIP-2 the rows of a picture stand wherever the text has placeholders, a text may do without a picture,
    and the placeholder needs no embedding: the vocabulary of the Llama stays as it was trained.
    """

    config_class = MiniGpt4Config

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **options: Any,
    ) -> Any:
        """What the Llama gives, `logits` among it. Raises `ValueError` when placeholders and pictures do not match."""
        if inputs_embeds is None:
            assert input_ids is not None
            inputs_embeds = self.embed(input_ids, pixel_values)
        return self.language_model(inputs_embeds=inputs_embeds, attention_mask=attention_mask, **options)

    @torch.no_grad()
    def generate(
        self,
        pixel_values: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **options: Any,
    ) -> Any:
        """New token ids only, as the library gives them for a model that is handed embeddings."""
        assert input_ids is not None
        embeddings = self.embed(input_ids, pixel_values)
        return self.language_model.generate(inputs_embeds=embeddings, attention_mask=attention_mask, **options)

    def embed(self, input_ids: Tensor, pixel_values: Tensor | None) -> Tensor:
        """[B, T, hidden_size]: embeddings, with the rows of the pictures, in order, where the placeholders are."""
        table = self.get_input_embeddings()
        places = input_ids == self.config.image_token_id
        known = input_ids if self.config.image_token_id < len(table.weight) else input_ids.masked_fill(places, 0)
        embeddings = cast("Tensor", table(known))
        if pixel_values is None:
            return embeddings
        rows = cast("Tensor", self.get_image_features(pixel_values, return_dict=True).pooler_output)
        if rows.shape[0] * rows.shape[1] != int(places.sum()):
            raise ValueError(f"{int(places.sum())} placeholders for {rows.shape[0]} pictures of {rows.shape[1]} rows")
        return embeddings.masked_scatter(places[..., None], rows.to(embeddings.device, embeddings.dtype))
