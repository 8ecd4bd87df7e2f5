"""Scorers of other harnesses, for docs/why-numbers-differ.md and nothing else: no result and no table holds them.

Each takes what a model said along one question that is followed by its target (`Look`) and returns one number; the
right numbers they are held against, `accuracy` and `agreement`, are the first two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .answers import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Look:
    """What a model said after every token of a question and its target.

    ids: [T] the tokens as fed, the picture's included. best: [T, k] after each of them the k likeliest next tokens, the
    likeliest first. start: where the target begins; it ends with the sequence.
    """

    ids: IntArray
    best: IntArray
    start: int

    @property
    def target(self) -> IntArray:
        """Tokens of the target."""
        return self.ids[self.start :]

    @property
    def spoken(self) -> IntArray:
        """What the model puts in the place of each of them: what it said one token earlier."""
        return self.best[self.start - 1 : -1, 0]


def accuracy(look: Look) -> float:
    """Right: share of the target's tokens that the model puts in their place."""
    return float((look.spoken == look.target).mean())


def agreement(after: Look, before: Look) -> float:
    """Right for locality: share of the target's places in which two models say the same."""
    return float((after.spoken == before.spoken).mean())


def everywhere(after: Look, before: Look) -> float:
    """Agreement at every position, those inside picture and question included, where nobody asks anything."""
    return float((after.best[:, 0] == before.best[:, 0]).mean())


def rankwise(after: Look, before: Look, *, answer_only: bool = False) -> float:
    """Agreement rank by rank over the k likeliest tokens: two that changed places are two misses.

    answer_only: at the target's places alone, else at every position.
    """
    rows = slice(after.start - 1, -1) if answer_only else slice(None)
    return float((after.best[rows] == before.best[rows]).mean())


def late(look: Look) -> float:
    """Each token of the target held against what the model says after it, one place too late."""
    return float((look.best[look.start :, 0] == look.target).mean())


def apart(look: Look, labels: Sequence[int]) -> float:
    """The target's tokens when it is tokenised without its question, held against as many last predictions.

    Where the question changes how the target is cut, they are other tokens, or more or fewer of them.
    """
    predicted = look.best[:-1, 0][-len(labels) :]
    return float((predicted == np.asarray(labels)[-len(predicted) :]).mean())


def with_targets(after: Look, before: Look) -> float:
    """Agreement over predictions and targets together: the targets agree with themselves, so half is given away."""
    pairs = (after.spoken, before.spoken), (after.target, before.target)
    return float(np.mean([ours == theirs for ours, theirs in pairs]))


def without_failed(scores: FloatArray, failed: BoolArray) -> float:
    """Mean over the edits that could be applied, as if the others had never been asked for. NaN when there is none."""
    return float(scores[~failed].mean()) if (~failed).any() else float("nan")
