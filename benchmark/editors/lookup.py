"""Editors that answer out of a table instead of changing the model."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from ..backbone import Answer, Backbone, Batch, Query
from ..editor import Editor, EditRequest
from ..edits import canonical_json

if TYPE_CHECKING:
    from torch import Tensor

CERTAIN = 20.0
"""The logit of a stored token; every other token has 0."""


@dataclass(frozen=True)
class Record:
    """An edit as a table remembers it: the picture by its sha256."""

    picture: str | None
    prompt: str
    target: str


class Lookup(Editor):
    """Base of the editors that answer from a table: they override `answer`, and `remember` for an index of their own.

    The stored answer is spelt causally: after j answer tokens, whichever they are, its token j is
    certain, and after its last one the end of the sequence. Questions without a stored answer go to the backbone.
    """

    first_layer_touched = None

    def __init__(self, backbone: Backbone, options: Any = None, *, seed: int = 0) -> None:
        super().__init__(backbone, options, seed=seed)
        self.records: list[Record] = []

    @abstractmethod
    def answer(self, query: Query) -> str | None:
        """The stored answer, or None to let the backbone answer."""

    def remember(self, record: Record) -> None:
        """Take one edit into the table."""
        self.records.append(record)

    def forget(self) -> None:
        """Empty the table."""
        self.records.clear()

    def edit(self, request: EditRequest) -> None:
        """Remember picture, prompt and target."""
        picture = None if request.image is None else request.image.sha256
        self.remember(Record(picture, request.prompt, request.target))

    def reset(self) -> None:
        """Empty the table and restore the backbone."""
        super().reset()
        self.forget()

    def logits(self, batch: Batch) -> Tensor:
        """Logits that spell the stored answers, [B, T, vocabulary]."""
        stored = [self._ids(query) for query in batch.queries]
        head = getattr(self.backbone.model, "get_output_embeddings", None)
        if None in stored or head is None:
            logits = self.backbone.logits(batch).clone()
        else:  # nobody needs the model
            logits = torch.zeros((*batch.input_ids.shape, head().weight.shape[0]), device=batch.input_ids.device)
        question = batch.attention_mask.bool() & ~batch.answer_mask
        for row, ids in enumerate(stored):
            if ids is None:
                continue
            last = int(cast(Any, question[row].nonzero()).max())
            after = logits[row, last:]
            spelt = (ids + ids[-1:] * len(after))[: len(after)]
            after.zero_()
            after[torch.arange(len(after)), torch.tensor(spelt)] = CERTAIN
        return logits

    def generate(self, queries: Sequence[Query], *, max_new_tokens: int | None = None) -> list[Answer]:
        """The stored answers, and the backbone's where nothing is stored."""
        limit = self.backbone.max_new_tokens if max_new_tokens is None else max_new_tokens
        stored = [self._ids(query) for query in queries]
        asked = [query for query, ids in zip(queries, stored, strict=True) if ids is None]
        plain = iter(self.backbone.generate(asked, max_new_tokens=max_new_tokens) if asked else ())
        return [
            next(plain) if ids is None else Answer(ids[:limit], self.backbone.decode(ids[:limit]), CERTAIN)
            for ids in stored
        ]

    def state_dict(self) -> dict[str, Tensor]:
        """Texts as UTF-8 bytes of a JSON list, pictures as the bytes of their sha256 (zeros: no picture)."""
        texts = canonical_json([[record.prompt, record.target, record.picture is not None] for record in self.records])
        pictures = [bytes.fromhex(record.picture or "00" * 32) for record in self.records]
        return {
            "texts": _as_tensor(texts.encode()),
            "pictures": _as_tensor(b"".join(pictures)).reshape(len(pictures), 32),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what `state_dict` gave."""
        self.reset()
        texts: list[tuple[str, str, bool]] = json.loads(_as_bytes(state["texts"]))
        for (prompt, target, shown), picture in zip(texts, state["pictures"], strict=True):
            self.remember(Record(_as_bytes(picture).hex() if shown else None, prompt, target))

    def _ids(self, query: Query) -> tuple[int, ...] | None:
        """The token ids of the stored answer, EOS included."""
        answer = self.answer(query)
        return None if answer is None else (*self.backbone.target_ids(answer), self.backbone.eos_id)


def _as_tensor(data: bytes) -> Tensor:
    return torch.as_tensor(np.frombuffer(bytearray(data), dtype=np.uint8))


def _as_bytes(tensor: Tensor) -> bytes:
    return bytes(cast(Any, tensor.cpu()).numpy().tobytes())
