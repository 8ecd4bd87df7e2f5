"""Editors that go wrong, as a user's file would: `--editor tests/bad_editors.py:Name`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from liveedit_bench.benchmark.backbone import Answer, Batch, Query
from liveedit_bench.benchmark.editor import Editor, EditRequest


class Base(Editor):
    """Counts its edits and changes nothing."""

    name = "bad"

    def __init__(self, backbone: Any, options: Any = None, *, seed: int = 0) -> None:
        super().__init__(backbone, options, seed=seed)
        self.edits = 0

    def edit(self, request: EditRequest) -> None:
        self.edits += 1

    def reset(self) -> None:
        super().reset()
        self.edits = 0

    def state_dict(self) -> dict[str, Tensor]:
        return {"edits": torch.tensor(self.edits)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.edits = int(state["edits"])


class Poison(Base):
    """Its third edit leaves NaN in the weights."""

    def edit(self, request: EditRequest) -> None:
        super().edit(request)
        if self.edits == 3:
            with torch.no_grad():
                next(self.backbone.layers[0].parameters()).fill_(float("nan"))


class Raises(Base):
    """Fails to answer from the third edit on."""

    def logits(self, batch: Batch) -> Tensor:
        if self.edits >= 3:
            raise IndexError("list index\nout of range")
        return super().logits(batch)


class Narrow(Base):
    """Forgets the vocabulary's end."""

    def logits(self, batch: Batch) -> Tensor:
        return super().logits(batch)[..., :1]


class Silent(Base):
    """Says nothing right where f_0 is asked to speak, and then gives too few answers."""

    def logits(self, batch: Batch) -> Tensor:
        return super().logits(batch).roll(1, dims=-1)

    def generate(self, queries: Sequence[Query], *, max_new_tokens: int | None = None) -> list[Answer]:
        return super().generate(queries, max_new_tokens=max_new_tokens)[1:]


class Broken(Base):
    """Cannot even be made."""

    def __init__(self, backbone: Any, options: Any = None, *, seed: int = 0) -> None:
        raise RuntimeError("no such luck")
