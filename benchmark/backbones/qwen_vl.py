"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL: pictures of any size, positions along three axes (time, height, width)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor

from ..backbone import Batch
from .encoding import Pixels
from .family import ChatFamily, as_rows


class QwenVL(ChatFamily):
    """Positions are worked out here, for any padding side, and not by the model, which keeps them from call to call."""

    projector = ("merger",)

    def positions(self, batch: Batch, pictures: Sequence[Pixels]) -> Tensor | None:
        """[3, B, T]."""
        if not pictures:
            plain = (batch.attention_mask.cumsum(dim=1) - 1).clamp(min=0)
            return plain.expand(3, *plain.shape)
        found, _ = self.model.base_model.get_rope_index(
            batch.input_ids,
            mm_token_type_ids=batch.image_mask.int(),
            image_grid_thw=torch.cat([each.inputs["image_grid_thw"] for each in pictures]).to(batch.input_ids.device),
            attention_mask=batch.attention_mask,
        )
        return found

    def following(self, positions: Tensor) -> Tensor:
        """One more than the largest along any axis."""
        return super().following(positions).amax(dim=0, keepdim=True).expand(3, -1, -1)


class Qwen3VL(QwenVL):
    """The first blocks are each followed by features of a picture that are added to its rows (DeepStack)."""

    projector = ("merger", "deepstack_merger_list")

    def rows(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """[image tokens, hidden_size * (1 + blocks that are followed by features)]."""
        found = self._image_features(inputs)
        return torch.cat([as_rows(found.pooler_output), *map(as_rows, found.deepstack_features)], dim=-1)

    def run(self, batch: Batch, rows: Tensor | None, options: dict[str, Any]) -> Any:
        """The decoder is called past its model, which would look for image tokens by their id."""
        if rows is None:
            return super().run(batch, rows, options)
        last = options.pop("logits_to_keep", 0)
        embeddings = self.placed_in(self.embed(batch), batch, rows)
        hidden = self.decoder(
            inputs_embeds=embeddings,
            attention_mask=batch.attention_mask,
            visual_pos_masks=batch.image_mask,
            deepstack_visual_embeds=list(cast(Any, rows).split(embeddings.shape[-1], dim=-1)[1:]),
            **options,
        ).last_hidden_state
        return SimpleNamespace(logits=self.model.get_output_embeddings()(hidden[:, -last:]))
