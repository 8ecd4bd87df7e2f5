"""BLIP-2 and InstructBLIP: a Q-Former turns a picture into a few rows that stand before the text, its BOS included."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..backbone import Query
from .encoding import Encoder, Pixels
from .family import Family


class Blip2(Family):
    """The language model is a model of its own with embeddings and head."""

    template = "first"
    projector = ("language_projection",)

    @property
    def text_model(self) -> Any:
        """OPT or Llama with its head."""
        return self.model.language_model

    @property
    def image_tokens(self) -> int | None:
        """As many as the Q-Former has queries."""
        return int(self.model.config.num_query_tokens)


class InstructBlip(Blip2):
    """The Q-Former reads the question as well.

    It reads the question alone: given the answer too, as `processor(images, text)` would do with a joined text, the
    rows of the picture would tell the decoder the answer.
    """

    def key(self, query: Query) -> str:
        """Picture and question."""
        return f"{super().key(query)} {query.prompt}"

    def vision_inputs(self, encoder: Encoder, query: Query, pixels: Pixels) -> dict[str, Tensor]:
        """Pixels, and the question in the Q-Former's own tokens."""
        words = encoder.processor.qformer_tokenizer(encoder.question(query.prompt, "").text, return_tensors="pt")
        return {
            **super().vision_inputs(encoder, query, pixels),
            "qformer_input_ids": words["input_ids"],
            "qformer_attention_mask": words["attention_mask"],
        }
