"""Editors that keep a codebook beside one decoder block: keys, values, and how far each key reaches."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor

from ...errors import EditError
from ..backbone import Answer, Backbone, Batch, Query
from ..editor import Editor, EditRequest
from .blocks import chosen_layer, entered, length, question_ends, question_tokens, standing, states, with_states
from .target_loss import Learnt, Predicted, answered, predicted
from .tuning import finite, tune

SAME = 1e-3
"""Keys nearer to each other than this are one question asked again."""

_PARTS = ("keys", "values", "radii", "labels")


@dataclass(frozen=True)
class CodebookOptions:
    """How values are learnt.

    layer: the block whose output is replaced; -1 takes the one half-way up.
    replaced: where the block's output is replaced: at the question's ``last`` token, or at all of the ``question``,
        its picture included.
    lr, max_steps, stop_loss, stop_margin: Adam on the value, until the target and its end are spoken (see `Learnt`).
    """

    layer: int = -1
    lr: float = 1.0
    max_steps: int = 100
    stop_loss: float = 0.1
    stop_margin: float | None = 0.5
    replaced: Literal["last", "question"] = "question"


@dataclass(frozen=True)
class Codebook:
    """keys [N, d], values [N, d], radii [N]; labels [N, 32]: the sha256 of each target. All but labels in float32."""

    keys: Tensor
    values: Tensor
    radii: Tensor
    labels: Tensor

    @classmethod
    def empty(cls, width: int, device: torch.device) -> Codebook:
        """Of no entries."""
        blank = torch.zeros(0, width, device=device)
        labels = torch.zeros(0, 32, dtype=torch.uint8, device=device)
        return cls(blank, blank.clone(), torch.zeros(0, device=device), labels)

    def __len__(self) -> int:
        return len(self.radii)

    def nearest(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Index of the nearest key to each of the states [B, d], and how far it is, as `distance` counts."""
        far = torch.cdist(states.float(), self.keys, compute_mode="donot_use_mm_for_euclid_dist")
        found = torch.min(far / length(self.keys), dim=1)
        return found.indices, found.values

    def with_entry(self, key: Tensor, value: Tensor, radius: float, label: Tensor) -> Codebook:
        """One entry more."""
        return Codebook(
            torch.cat([self.keys, key[None]]),
            torch.cat([self.values, value[None]]),
            torch.cat([self.radii, self.radii.new_tensor([radius])]),
            torch.cat([self.labels, label[None]]),
        )

    def with_value(self, index: int, value: Tensor, label: Tensor) -> Codebook:
        """Another value, and target, under a key."""
        values, labels = self.values.clone(), self.labels.clone()
        values[index], labels[index] = value, label
        return Codebook(self.keys, values, self.radii, labels)

    def with_radius(self, index: int, radius: float) -> Codebook:
        """Another radius of one entry."""
        radii = self.radii.clone()
        radii[index] = radius
        return Codebook(self.keys, self.values, radii, self.labels)


def distance(states: Tensor, key: Tensor) -> Tensor:
    """[B]: Euclidean distance of states [B, d] to a key [d], in lengths of the key."""
    return length(states.float() - key) / length(key)


class CodebookEditor(Editor):
    """Base of the editors with a codebook: they say how far a new key reaches.

    The key of a question is what enters the block at the question's last token. Where the nearest key reaches it, the
    block's output over the question is that key's value; the answer's tokens are left alone. They come later and so
    cannot change the key.
    """

    Options = CodebookOptions

    def __init__(self, backbone: Backbone, options: Any = None, *, seed: int = 0) -> None:
        super().__init__(backbone, options, seed=seed)
        given: CodebookOptions = self.options
        self.layer = self.first_layer_touched = chosen_layer(backbone, given.layer, share=1 / 2)
        self.codebook = self._empty()

    @abstractmethod
    def radius(self, request: EditRequest, key: Tensor) -> float:
        """How far the key of an edit reaches, in its own lengths, while no other key is in its way."""

    @torch.inference_mode(False)
    def edit(self, request: EditRequest) -> None:
        """Add, expand, split or overwrite, as the nearest key and its target ask for."""
        key = self.keys([Query(request.image, request.prompt)])[0]
        label = torch.frombuffer(bytearray(hashlib.sha256(request.target.encode()).digest()), dtype=torch.uint8)
        self.codebook = self._with_edit(request, key, label.to(key.device))

    def _with_edit(self, request: EditRequest, key: Tensor, label: Tensor) -> Codebook:
        book = self.codebook
        # A key reaches its own question, which batches change in the last bits.
        radius = max(self.radius(request, key), SAME)
        if not len(book):
            return book.with_entry(key, self._learn(request), radius, label)
        found, far = book.nearest(key[None])
        index, apart = int(found), float(far)
        if apart > float(book.radii[index]) + radius:
            return book.with_entry(key, self._learn(request), radius, label)
        if apart < SAME:
            return book.with_value(index, self._learn(request), label)
        if torch.equal(book.labels[index], label):
            return book.with_radius(index, max(apart, float(book.radii[index])))
        # Strictly less than half: no question lies within both.
        half = apart / 2 * (1 - 1e-6)
        value = self._learn(request)
        return book.with_radius(index, min(half, float(book.radii[index]))).with_entry(
            key, value, min(half, radius), label
        )

    def reset(self) -> None:
        """Forget every entry. The backbone was never changed."""
        self.codebook = self._empty()

    def state_dict(self) -> dict[str, Tensor]:
        """The codebook."""
        return {part: getattr(self.codebook, part).cpu().clone() for part in _PARTS}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue with a saved codebook."""
        self.codebook = Codebook(**{part: state[part].to(self.backbone.device, copy=True) for part in _PARTS})

    @torch.no_grad()
    def logits(self, batch: Batch) -> Tensor:
        """Teacher-forced logits; each row looks its question up."""
        with self._looked_up(batch):
            return self.backbone.logits(batch)

    def generate(self, queries: Sequence[Query], *, max_new_tokens: int | None = None) -> list[Answer]:
        """Greedy answers; looked up once, at the end of the question."""
        batch = self.backbone.encode(queries, pad="left")
        with self._looked_up(batch):
            return self.backbone.generate_batch(batch, max_new_tokens=max_new_tokens)

    @torch.no_grad()
    def keys(self, queries: Sequence[Query]) -> Tensor:
        """[B, d]: the keys of questions."""
        return self._at_ends(self.backbone.encode(queries))[0]

    def _empty(self) -> Codebook:
        return Codebook.empty(self.backbone.hidden_size, self.backbone.device)

    def _at_ends(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What enters and what leaves the block at the questions' last tokens, in float32."""
        kept: list[tuple[Tensor, Tensor]] = []

        def keep(key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
            kept.append((key.float(), value.float()))
            return value, torch.zeros(len(value), dtype=torch.bool, device=value.device)

        with self._replaced(batch, keep):
            self.backbone.logits(batch)
        return kept[0]

    @torch.inference_mode(False)
    def _learn(self, request: EditRequest) -> Tensor:
        """[d]: the value that makes the backbone speak the target. Raises `EditError` when training diverges."""
        given: CodebookOptions = self.options
        batch = answered(self.backbone, [request])
        with torch.no_grad():
            value = self._at_ends(batch)[1].requires_grad_(True)

        def forward() -> Predicted:
            with self._replaced(batch, lambda key, old: (value, everywhere)):
                return predicted(self.backbone.logits(batch), batch)

        everywhere = torch.ones(1, dtype=torch.bool, device=value.device)
        learnt = Learnt(given.stop_loss, given.stop_margin)
        with standing(self.backbone, self.layer, batch):
            tune([value], forward, lr=given.lr, max_steps=given.max_steps, learnt=learnt)
        if not finite([value]):
            raise EditError(f"{self.name} diverged on {request.prompt!r}; lower --option lr", kind="diverged")
        return value.detach()[0]

    @contextmanager
    def _looked_up(self, batch: Batch) -> Generator[None]:
        book = self.codebook
        if not len(book):
            yield
            return

        def look_up(key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
            found, far = book.nearest(key)
            return book.values[found], far <= book.radii[found]

        with self._replaced(batch, look_up):
            yield

    @contextmanager
    def _replaced(self, batch: Batch, replace: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Generator[None]:
        """While open, the block's output is replaced in the rows of a batch for which `replace` says so.

        It is given what enters and what leaves the block at the questions' last tokens, [B, d] each, and returns
        values [B, d] and the rows they are for, [B]. Only the first call is changed: those that follow are single
        tokens of the answer.
        """
        ends = question_ends(batch)
        rows = torch.arange(len(ends), device=ends.device)
        places = question_tokens(batch)
        if self.options.replaced == "last":
            places = torch.zeros_like(places).index_put((rows, ends), torch.ones_like(rows, dtype=torch.bool))
        begun = False

        def act(_module: object, args: Any, kwargs: dict[str, Any], output: Any) -> Any:
            nonlocal begun
            if begun:
                return output
            begun = True
            h = states(output)
            at = rows.to(h.device), ends.to(h.device)
            values, asked = replace(entered(args, kwargs)[at], h[at])
            where = (places.to(h.device) & asked[:, None])[:, :, None]
            return with_states(output, torch.where(where, values[:, None].to(h.dtype), h))

        block = cast(Any, self.backbone.layers[self.layer])
        hook = block.register_forward_hook(act, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()
