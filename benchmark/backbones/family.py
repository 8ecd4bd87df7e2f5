"""How one family of models takes its pictures; what a family file overrides.

Most families turn each picture into rows that stand in the decoder's input where the text has image tokens: `Family`
serves them as it is. `Whole` serves those that nobody has looked at: the model is called as its library calls it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from ...errors import BenchError
from ..backbone import Batch, Query
from .encoding import Encoder, Pixels


def decoder_of(model: Any) -> Any:
    """The module whose `layers` are the decoder's blocks. Raises `BenchError` for a model that has none."""
    found: Any = model.get_decoder()
    while not hasattr(found, "layers"):
        inner: Any = found.get_decoder() if hasattr(found, "get_decoder") else found
        if inner is found:
            raise BenchError(f"{type(model).__name__} has no decoder with a list of blocks called layers")
        found = inner
    return found


class Family:
    """Pictures become rows of the decoder's input and enter in no other way."""

    template = "plain"
    """The template that is used unless another is asked for: ``plain``, ``first`` or ``chat``."""

    remembers = True
    """Whether what the decoder sees of a picture is a function of the picture (and, by `key`, of the question)."""

    projector: tuple[str, ...] = ("multi_modal_projector",)
    """Names of the modules inside the model that turn features of the vision side into the decoder's rows."""

    def __init__(self, model: nn.Module) -> None:
        self.model: Any = model
        self.decoder = decoder_of(model)
        text = self.model.config.get_text_config()
        if text.is_encoder_decoder:
            raise BenchError(
                "encoder-decoder language models (such as Flan-T5) are not supported; use a decoder-only one"
            )
        self.image_id = int(self.model.config.image_token_id)
        self.text_config: Any = text

    @property
    def text_model(self) -> Any:
        """Takes embeddings and gives logits."""
        return self.model

    @property
    def image_tokens(self) -> int | None:
        """How many image tokens a picture has, where the processor does not write them into the text."""
        return None

    # Pictures

    def key(self, query: Query) -> str:
        """What the rows of a question's picture are remembered under."""
        assert query.image is not None
        return query.image.sha256

    def vision_inputs(self, encoder: Encoder, query: Query, pixels: Pixels) -> dict[str, Tensor]:
        """What the vision side is given for the picture of one question."""
        return dict(pixels.inputs)

    def rows(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """[image tokens, width]: what the decoder sees of one picture. width: hidden_size, or a multiple of it."""
        return as_rows(self._image_features(inputs).pooler_output)

    def _image_features(self, inputs: Mapping[str, Tensor]) -> Any:
        base = self.model.base_model
        known = inspect.signature(base.get_image_features).parameters
        placed = {name: self._placed(value) for name, value in inputs.items() if name in known}
        return base.get_image_features(**placed, return_dict=True)

    def _placed(self, value: Tensor) -> Tensor:
        return value.to(self.model.device, self.model.dtype if value.is_floating_point() else None)

    # Text

    def positions(self, batch: Batch, pictures: Sequence[Pixels]) -> Tensor | None:
        """Position of each token, counted from the first real one on: [B, T], or [3, B, T] where a family has axes.

        None: the model counts by itself.
        """
        return (batch.attention_mask.cumsum(dim=1) - 1).clamp(min=0)

    def following(self, positions: Tensor) -> Tensor:
        """Position of the token after each row: [B, 1], or [3, B, 1]. Padding is on the left."""
        return positions.amax(dim=-1, keepdim=True) + 1

    def embed(self, batch: Batch) -> Tensor:
        """[B, T, hidden_size] before pictures are put in."""
        table = self.model.get_input_embeddings()
        ids = batch.input_ids
        if self.image_id >= table.weight.shape[0]:  # a placeholder without an embedding of its own
            ids = ids.masked_fill(batch.image_mask, 0)
        return cast("Tensor", table(ids))

    def placed_in(self, embeddings: Tensor, batch: Batch, rows: Tensor) -> Tensor:
        """Embeddings with the rows of the pictures in their places.

        By the mask and not by token id, as the model itself would: an image token in an answer is only a token.
        """
        return embeddings.masked_scatter(
            batch.image_mask[..., None], rows[:, : embeddings.shape[-1]].to(embeddings.device, embeddings.dtype)
        )

    def run(self, batch: Batch, rows: Tensor | None, options: dict[str, Any]) -> Any:
        """The decoder over a batch; the result has `logits`."""
        embeddings = self.embed(batch)
        if rows is not None:
            embeddings = self.placed_in(embeddings, batch, rows)
        return self.text_model(
            inputs_embeds=embeddings,
            attention_mask=batch.attention_mask,
            **self.masks(batch),
            **options,
        )

    def masks(self, batch: Batch) -> dict[str, Tensor]:
        """Further inputs that say who may attend to whom."""
        return {}

    def step(self, token: Tensor, mask: Tensor, options: dict[str, Any]) -> Any:
        """One more token [B, 1] of each row."""
        return self.text_model(input_ids=token, attention_mask=mask, **options)


class ChatFamily(Family):
    """The same for models that were tuned on conversations in their own chat template."""

    template = "chat"


class Connected(ChatFamily):
    """The same where the projector is called otherwise."""

    projector = ("connector",)


class Whole(Family):
    """Any other family: pixels and text go into the model as its library puts them in; nothing is remembered."""

    template = "chat"
    remembers = False
    projector = ()

    def positions(self, batch: Batch, pictures: Sequence[Pixels]) -> Tensor | None:
        """As `Family` counts, unless the model counts along several axes by itself."""
        return None if self._counts_itself else super().positions(batch, pictures)

    @property
    def _counts_itself(self) -> bool:
        return hasattr(self.model.base_model, "get_rope_index")

    def step(self, token: Tensor, mask: Tensor, options: dict[str, Any]) -> Any:
        """One more token; where the model counts by itself, from what it kept of the question."""
        if self._counts_itself:
            ahead: Tensor | None = self.model.base_model.rope_deltas
            everyone = mask.new_full((len(mask), 1), mask.shape[1] - 1)
            last = everyone if ahead is None else mask.sum(dim=1, keepdim=True) - 1 + ahead
            options["position_ids"] = last.expand(3, -1, -1)
        return super().step(token, mask, options)

    def run_whole(self, batch: Batch, options: dict[str, Any]) -> Any:
        """The model over ids and pixels."""
        known = inspect.signature(self.model.forward).parameters
        if self._counts_itself:
            self.model.base_model.rope_deltas = None  # of an earlier question
        inputs = dict(batch.extra) if batch.pixels is None else {**batch.extra, "pixel_values": batch.pixels}
        for kinds in ("mm_token_type_ids", "token_type_ids"):
            if kinds in known and inputs:
                options[kinds] = batch.image_mask.long()
        placed = {name: self._placed(value) for name, value in inputs.items() if name in known}
        return self.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **placed, **options)


def as_rows(found: Tensor | Sequence[Tensor]) -> Tensor:
    """Features of one picture, tile by tile or in one piece, as [image tokens, width]."""
    return torch.cat([each.reshape(-1, each.shape[-1]) for each in found])
