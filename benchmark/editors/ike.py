"""IKE: edits stay out of the model; the nearest of them stand as demonstrations before the question.

Source: arXiv 2305.12740; only its abstract could be consulted when this was written, so what follows is from memory
and still to be checked against the paper. The unedited model f_0 is asked for
argmax P(y | x, f, C) with demonstrations C and the new fact f in its context; demonstrations are the k nearest of a
corpus to the question in a frozen sentence embedding, nearest last.

Departures and choices:

* Lifelong editing names no fact f that a question is about: the edits so far are the corpus, and the nearest of
  them stands where f stood, right before the question.
* The paper's corpus has copy, update and retain demonstrations in the ratio 1:3:4, from training data. An editor here
  knows edits only, and each is a copy demonstration: its question with its target, in the form the backbone was taught
  (`statements`). Without retain demonstrations nothing tells the model when not to follow its context, and locality is
  low, as it is in the multimodal benchmarks that use the method so. `threshold` leaves edits out that are less similar
  than this (none by default: the paper has no such rule).
* The paper embeds sentences. Here a question and an edit are the frozen model's own features of picture and prompt
  (`FrozenFeatures`), both of length 1, side by side; what has no picture has zeros there.
* Demonstrations are text: the question's picture is the only one in the context. ``demonstrations=1`` is the default
  because the embedded backbone has learnt to follow one statement: on 100 edits of Emblems validation four of them
  leave 3 % of the edits right, one leaves all (the paper: 32, in models of 6B and more).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import numpy.typing as npt
import torch
from sklearn.neighbors import NearestNeighbors

from ..backbone import Answer, Backbone, Batch, Query
from ..editor import Editor, EditRequest
from .in_context import logits_in_context
from .memory import as_tensors, from_tensors
from .retrieval import FrozenFeatures
from .statements import form_for, stated

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class IkeOptions:
    """What stands before a question.

    demonstrations: how many edits, the nearest last. threshold: the cosine an edit must reach, ``none`` for any.
    statement: how an edit is put, with the fields ``{prompt}`` and ``{target}``; by default the backbone's own.
    prompt_layer: of the embedding (see `RetrievalOptions`).
    """

    demonstrations: int = 1
    threshold: float | None = None
    statement: str | None = None
    prompt_layer: int = -1


class Ike(Editor):
    """In-context knowledge editing: the unedited model, asked with edits before the question."""

    name = "ike"
    Options: ClassVar[type[Any]] = IkeOptions
    first_layer_touched = 0

    def __init__(self, backbone: Backbone, options: IkeOptions | None = None, *, seed: int = 0) -> None:
        super().__init__(backbone, options, seed=seed)
        given: IkeOptions = self.options
        self.form = form_for(backbone, given.statement)
        self.features = FrozenFeatures(backbone, pool="mean", prompt_layer=given.prompt_layer)
        self._forget()

    def edit(self, request: EditRequest) -> None:
        """Remember an edit. The same question with another target takes its place."""
        embedded = self.embedded(Query(request.image, request.prompt))
        kept = EditRequest(None, request.prompt, request.target)
        for index, known in enumerate(self._embeddings):
            if torch.equal(known, embedded):
                self._edits[index] = kept
                return
        self._edits.append(kept)
        self._embeddings.append(embedded)
        self._index = None

    def embedded(self, query: Query) -> Tensor:
        """[2 d]: picture and prompt side by side, zeros for no picture."""
        prompt = self.features.prompt(query.prompt)
        picture = torch.zeros_like(prompt) if query.image is None else self.features.picture(query.image)
        return torch.cat([picture, prompt]).cpu()

    def nearest(self, queries: Sequence[Query]) -> list[list[EditRequest]]:
        """The demonstrations of each question, the nearest last."""
        given, known = cast(IkeOptions, self.options), self._edits
        if not known:
            return [[] for _ in queries]
        if self._index is None:
            neighbours: Any = NearestNeighbors(metric="cosine", algorithm="brute")
            self._index = neighbours.fit(torch.stack(self._embeddings).numpy())
        asked = torch.stack([self.embedded(query) for query in queries]).numpy()
        far, found = cast("tuple[npt.NDArray[Any], npt.NDArray[Any]]", self._index.kneighbors(asked, len(known)))
        # Of equally near edits the newest counts as nearest; batches differ in the last bits of a cosine.
        far = far.round(5)
        ranks = np.lexsort((-found, far), axis=1)[:, : given.demonstrations]
        # Fewer than nothing is similar: every edit stands.
        least = -2.0 if given.threshold is None else given.threshold
        shown: list[list[EditRequest]] = []
        for row, away, rank in zip(found, far, ranks, strict=True):
            near = [int(row[place]) for place in rank[::-1] if 1 - float(away[place]) >= least]
            shown.append([known[index] for index in near])
        return shown

    def in_context(self, queries: Sequence[Query]) -> list[Query]:
        """Each question with its demonstrations before it."""
        return [
            Query(query.image, " ".join([*(stated(self.form, edit) for edit in edits), query.prompt]))
            for query, edits in zip(queries, self.nearest(queries), strict=True)
        ]

    def logits(self, batch: Batch) -> Tensor:
        """Teacher-forced logits of the questions in their contexts."""
        told = self.in_context(batch.queries)
        if tuple(told) == batch.queries:
            return self.backbone.logits(batch)
        return logits_in_context(self.backbone, batch, told)

    def generate(self, queries: Sequence[Query], *, max_new_tokens: int | None = None) -> list[Answer]:
        """Greedy answers to the questions in their contexts."""
        return self.backbone.generate(self.in_context(queries), max_new_tokens=max_new_tokens)

    def reset(self) -> None:
        """Forget every edit. The backbone was never changed."""
        self._forget()

    def state_dict(self) -> dict[str, Tensor]:
        """Questions and targets as text, and the embeddings they are found by."""
        if not self._edits:
            return {}
        return {"requests": as_tensors(self._edits)["requests"], "embeddings": torch.stack(self._embeddings)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue with saved edits."""
        self._forget()
        if state:
            self._edits = from_tensors({"pictures": torch.zeros(0, dtype=torch.uint8), **state})
            self._embeddings = [row.clone() for row in state["embeddings"]]

    def _forget(self) -> None:
        self._edits: list[EditRequest] = []
        self._embeddings: list[Tensor] = []
        self._index: Any = None
