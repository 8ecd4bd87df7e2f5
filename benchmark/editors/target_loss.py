"""What an edit is learnt by: the logits that predict its target, and when they say that it is learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from ..backbone import Backbone, Batch, Query
from ..editor import EditRequest


class Predicted(NamedTuple):
    """The answers' tokens of a batch, row after row. logits: [N, vocabulary] before each; labels: [N] token ids."""

    logits: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Learnt:
    """When answers count as learnt.

    loss: their mean negative log likelihood is at most this, and ...
    margin: ... each of their tokens beats every other by this many logits: greedy decoding then speaks them; None
        leaves it to the loss alone.
    """

    loss: float
    margin: float | None

    def __call__(self, predicted: Predicted, loss: Tensor) -> bool:
        """Whether the answers are learnt; `loss` is the mean negative log likelihood."""
        if float(loss.detach()) > self.loss:
            return False
        return self.margin is None or bool((margins(predicted) >= self.margin).all())


def answered(backbone: Backbone, requests: Sequence[EditRequest], *, end: bool = True) -> Batch:
    """The questions of edits, each followed by its target, and by the end of the answer if `end`."""
    last = (backbone.eos_id,) if end else ()
    queries = [Query(request.image, request.prompt) for request in requests]
    return backbone.encode_ids(queries, [(*backbone.target_ids(request.target), *last) for request in requests])


def predicted(logits: Tensor, batch: Batch) -> Predicted:
    """The rows of `logits` [B, T, vocabulary] that predict the answers of `batch`, and these answers."""
    rows, columns = cast(Any, batch.answer_mask).nonzero(as_tuple=True)
    return Predicted(logits[rows, columns - 1], batch.input_ids[rows, columns])


@torch.no_grad()
def margins(predicted: Predicted) -> Tensor:
    """[N]: by how many logits each token beats every other one; negative where it does not."""
    labels = predicted.labels[:, None]
    wanted = predicted.logits.gather(1, labels)
    others = predicted.logits.scatter(1, labels, -torch.inf).max(dim=1, keepdim=True).values
    return (wanted - others)[:, 0]
