"""Asking an editor for its answers and its logits, and telling two sets of answers apart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from safetensors.torch import save
from torch import Tensor

from ...benchmark.backbone import Answer, Backbone, Query
from ..probing import Answerer
from ..randomness import undisturbed
from .check import Fault


@dataclass(frozen=True)
class Question:
    """A query, and the answer that its logits are read along (token ids, the end included)."""

    query: Query
    path: tuple[int, ...]

    @property
    def words(self) -> str:
        """The question, for messages."""
        return repr(self.query.prompt) + ("" if self.query.image is not None else " (without a picture)")


@dataclass(frozen=True)
class Answers:
    """What came back: for each question a free-running answer, and logits [len(path), vocabulary] along its path."""

    questions: tuple[Question, ...]
    spoken: tuple[Answer, ...]
    logits: tuple[Tensor, ...]


@dataclass(frozen=True)
class Tolerance:
    """How far two computations of one number may lie apart: kernels round differently in other shapes."""

    absolute: float
    relative: float

    @classmethod
    def of(cls, backbone: Backbone) -> Tolerance:
        """By the precision of the backbone's embeddings."""
        exact = cast(Any, backbone.model).get_input_embeddings().weight.dtype in (torch.float32, torch.float64)
        return cls(1e-3, 1e-4) if exact else cls(0.25, 0.02)

    def gap(self, one: Tensor, other: Tensor) -> float:
        """The largest difference that is too large; 0 where there is none."""
        difference = (one - other).abs()
        allowed = self.absolute + self.relative * torch.maximum(one.abs(), other.abs())
        beyond = difference[difference > allowed]
        return float(beyond.max()) if len(beyond) else 0.0


def ask(answerer: Answerer, backbone: Backbone, questions: Sequence[Question]) -> Answers:
    """Ask all questions as one batch. Raises `Fault` for answers that are none."""
    with torch.no_grad(), undisturbed():
        logits = forced(answerer, backbone, questions)
        spoken = answerer.generate([question.query for question in questions])
    if len(spoken) != len(questions):
        raise Fault(f"generate gives {len(spoken)} answers to {len(questions)} questions")
    return Answers(tuple(questions), tuple(spoken), logits)


def forced(answerer: Answerer, backbone: Backbone, questions: Sequence[Question]) -> tuple[Tensor, ...]:
    """The logits before each token of the paths, on the CPU. Raises `Fault` for another shape, or NaN."""
    batch = backbone.encode_ids([each.query for each in questions], [each.path for each in questions])
    given = cast("object", answerer.logits(batch))
    wanted = tuple(batch.input_ids.shape)
    shape = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
    least = 1 + max(int(batch.input_ids.max()), 1)
    if not isinstance(given, Tensor) or given.ndim != 3 or given.shape[:2] != wanted or given.shape[2] < least:
        raise Fault(f"logits gives {shape} for a batch of {wanted}; it must be [B, T, vocabulary]")
    rows, columns = cast(Any, batch.answer_mask).nonzero(as_tuple=True)
    picked = given[rows.to(given.device), columns.to(given.device) - 1].detach().float().cpu()
    if not bool(picked.isfinite().all()):
        raise Fault("logits gives NaN or infinity")
    return cast(Any, picked).split([len(each.path) for each in questions])


def block_outputs(answerer: Answerer, backbone: Backbone, questions: Sequence[Question]) -> list[list[str]]:
    """Per decoder block a digest of each of its outputs while logits are computed; none when it did not run."""
    found: list[list[str]] = [[] for _ in backbone.layers]

    def enter(digests: list[str], block: Any, _args: object) -> None:
        # Hung in only now, so that it comes after every hook of the editor and sees what those made of the output.
        def leave(_module: object, _args: object, output: Any) -> None:
            hook.remove()
            states = cast("Tensor", output[0] if isinstance(output, tuple) else output)
            digests.append(hashlib.sha256(save({"states": states.detach().cpu().contiguous()})).hexdigest())

        hook = block.register_forward_hook(leave)

    hooks = [
        layer.register_forward_pre_hook(partial(enter, digests))
        for layer, digests in zip(backbone.layers, found, strict=True)
    ]
    try:
        with torch.no_grad(), undisturbed():
            forced(answerer, backbone, questions)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def difference(before: Answers, after: Answers, tolerance: Tolerance | None = None) -> str | None:
    """How two sets of answers to the same questions differ, in words; None when they are equal.

    Without a tolerance every bit counts; with one, tokens whose logits are as good as equal may go either way.
    """
    for index, question in enumerate(before.questions):
        told = _spoken_otherwise(before.spoken[index], after.spoken[index], tolerance)
        if told:
            return f"{question.words} is answered {told}"
    for index, question in enumerate(before.questions):
        one, other = before.logits[index], after.logits[index]
        if one.shape != other.shape:
            return f"the vocabulary has {one.shape[-1]} logits, then {other.shape[-1]}"
        gap = float((one - other).abs().max()) if tolerance is None else tolerance.gap(one, other)
        if gap > 0:
            return f"the logits of {question.words} differ by {gap:.2g}"
    return None


def _spoken_otherwise(one: Answer, other: Answer, tolerance: Tolerance | None) -> str | None:
    if tuple(one.ids) == tuple(other.ids):
        return None
    close = 0.0 if tolerance is None else tolerance.absolute
    if min(one.margin, other.margin) < close:
        return None
    return f"{one.text!r}, then {other.text!r}"
