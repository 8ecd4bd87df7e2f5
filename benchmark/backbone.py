"""What a vision-language model must offer to be edited and asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from .edits import Picture

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class Query:
    """A question as an editor sees it: a picture (or none) and a prompt."""

    image: Picture | None
    prompt: str


@dataclass(frozen=True)
class Answer:
    """A greedy answer.

    ids: the generated token ids, the end-of-sequence id included when it was reached.
    text: the ids decoded, special tokens left out, stripped.
    margin: the smallest difference between the best and the second logit over `ids`.
    """

    ids: tuple[int, ...]
    text: str
    margin: float


@dataclass(frozen=True)
class Batch:
    """Encoded questions, each optionally followed by a teacher-forced answer.

    All tensors have B rows; T is the padded length. `image_mask`, `prompt_mask` and `answer_mask`
    are disjoint boolean [B, T] maps: rows of image tokens, of the prompt's tokens (white space and
    template words after the image included, BOS excluded) and of the target's tokens (EOS
    excluded). The logits that predict the answer token at position i stand at position i - 1.

    pixels: [M, C, H, W] for the M rows that have a picture, in row order, or None.
    extra: further inputs of one family of models.
    """

    input_ids: Tensor
    attention_mask: Tensor
    pixels: Tensor | None
    image_mask: Tensor
    prompt_mask: Tensor
    answer_mask: Tensor
    queries: tuple[Query, ...]
    targets: tuple[str, ...] | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict[str, "Tensor"])

    def __len__(self) -> int:
        return int(self.input_ids.shape[0])

    def with_ids(self, input_ids: Tensor) -> Batch:
        """The same batch with other token ids (conformance tests change answer tokens)."""
        return replace(self, input_ids=input_ids)


@dataclass(frozen=True)
class BackboneChoice:
    """A backbone by name and how it is loaded; stands wherever a name does.

    name: a bundled or registered name, ``module:load``, a folder made by `save_pretrained`, or a hub id.
    revision: commit, branch or tag of a hub id. device_map: of accelerate. quantization: ``8bit`` or ``4bit``.
    template: how it is asked: ``plain``, ``chat`` or a text with the fields ``{image}`` and ``{prompt}``.
    """

    name: str
    revision: str | None = None
    device_map: str | None = None
    quantization: str | None = None
    template: str | None = None

    @property
    def options(self) -> dict[str, str]:
        """What is to be passed to the loading function beside device and dtype."""
        return {name: value for name, value in vars(self).items() if name != "name" and value is not None}


@runtime_checkable
class Backbone(Protocol):
    """A VLLM under edit. `benchmark.backbones.huggingface` implements it for `transformers` models.

    Answers must not depend on batch size or padding.
    """

    name: str
    max_new_tokens: int  # enough for every answer of the default dataset

    @property
    def model(self) -> nn.Module:
        """The model itself, for editors that change weights or register hooks."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the weights live."""
        ...

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The decoder blocks, input side first; each returns [B, T, hidden_size], or a tuple that starts with it."""
        ...

    @property
    def hidden_size(self) -> int:
        """Width of the decoder's residual stream."""
        ...

    @property
    def eos_id(self) -> int:
        """The token id that ends an answer."""
        ...

    @property
    def weights_sha256(self) -> str:
        """Names the pristine weights: covers names, shapes, dtypes and bytes of all parameters, as loaded."""
        ...

    def encode(self, queries: Sequence[Query], targets: Sequence[str] | None = None, *, pad: str = "right") -> Batch:
        """Tokens and masks of question (and answer). `pad` is the side that is padded, ``right`` or ``left``."""
        ...

    def encode_ids(self, queries: Sequence[Query], answers: Sequence[Sequence[int]]) -> Batch:
        """Like `encode` with the answers given as token ids (an EOS among them counts as answer)."""
        ...

    def target_ids(self, target: str) -> tuple[int, ...]:
        """The ids of a target as they stand after a prompt, EOS excluded."""
        ...

    def logits(self, batch: Batch) -> Tensor:
        """[B, T, vocabulary] in float32, no gradient unless the caller enables it."""
        ...

    def generate(self, queries: Sequence[Query], *, max_new_tokens: int | None = None) -> list[Answer]:
        """Greedy answers, one per query, in order."""
        ...

    def generate_batch(self, batch: Batch, *, max_new_tokens: int | None = None) -> list[Answer]:
        """Greedy answers to an encoded batch padded on the left.

        Hooks on `layers` see the whole batch once and then one token per row and call, rows in the order of the batch.
        """
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids without special tokens, stripped."""
        ...

    def restore(self) -> None:
        """Put every weight back to what `weights_sha256` names, bit for bit."""
        ...

    def changed_weights(self) -> dict[str, Tensor]:
        """Parameters that differ from the pristine ones, by name."""
        ...

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Overwrite the named parameters in place."""
        ...
