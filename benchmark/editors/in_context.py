"""Asking the unedited model with other words before the question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from ..backbone import Backbone, Batch, Query
from .blocks import question_ends


@torch.no_grad()
def logits_in_context(backbone: Backbone, batch: Batch, queries: Sequence[Query]) -> Tensor:
    """Logits of `queries`, followed by the answers of `batch`, where `batch` has its own: [B, T, vocabulary].

    What predicts an answer's tokens stands where it would stand without context. Rows of the question before its last
    token are 0: they have no counterpart.
    """
    answers = [
        cast("list[int]", cast(Any, ids[asked]).tolist())
        for ids, asked in zip(batch.input_ids, batch.answer_mask, strict=True)
    ]
    told = backbone.encode_ids(queries, answers)
    logits = backbone.logits(told)
    placed = logits.new_zeros((*batch.input_ids.shape, logits.shape[-1]))
    ends, told_ends = (cast("list[int]", cast(Any, question_ends(each)).tolist()) for each in (batch, told))
    for row, (answer, end, told_end) in enumerate(zip(answers, ends, told_ends, strict=True)):
        # The last token of the question and all of the answer, which follow it without a gap.
        count = len(answer) + 1
        placed[row, end : end + count] = logits[row, told_end : told_end + count]
    return placed
