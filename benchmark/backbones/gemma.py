"""PaliGemma and Gemma 3: tokens that may look ahead."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..backbone import Batch
from .encoding import Pixels
from .family import ChatFamily, Family
from .template import Template


class PaliGemma(Family):
    """Picture and question see each other whole, answers see what went before; positions count from 1."""

    template = "prefix"

    def positions(self, batch: Batch, pictures: Sequence[Pixels]) -> Tensor | None:
        """[B, T]."""
        return (batch.attention_mask.cumsum(dim=1) - 1).clamp(min=0) + 1

    def masks(self, batch: Batch) -> dict[str, Tensor]:
        """0 for the question, 1 for the answer."""
        return {"token_type_ids": batch.answer_mask.long()}


class Gemma3(ChatFamily):
    """The tokens of a picture see each other."""

    def masks(self, batch: Batch) -> dict[str, Tensor]:
        """1 for the picture."""
        return {"token_type_ids": batch.image_mask.long()} if batch.pixels is not None else {}


def prefix(bos: str) -> Template:
    """What PaliGemma was trained on: picture, BOS, question, line break. The tokenizer adds nothing by itself."""
    return Template(f"{{image}}{bos}{{prompt}}\n", f"{bos}{{prompt}}\n", join="")
