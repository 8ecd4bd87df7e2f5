"""Locality: what an edit was not about must stay as it was.

Three questions of the same answer. `agreement` is the score: did f_t say what f_0 said? `truth` and `leak` stand beside
it: is the answer right, and is it the target of the edit?
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..benchmark.edits import Normalisation
from .answers import BoolArray, exact_match, same_ids


def agreement(ids: Sequence[Sequence[int]], base_ids: Sequence[Sequence[int]]) -> BoolArray:
    """Free-running locality: the greedy ids of f_t are those of f_0, EOS included.

    `base_ids` must come from the unedited model: a harness that compares the edited model with itself, or with the
    previously edited one, cannot see damage. The teacher-forced form is `answers.token_accuracy` along f_0's answer.
    """
    return same_ids(ids, base_ids)


def truth(answers: Iterable[object], expected: Iterable[object], how: Normalisation) -> BoolArray:
    """The answer is what the world says, whatever f_0 said."""
    return exact_match(answers, expected, how)


def leak(answers: Iterable[object], targets: Iterable[object], how: Normalisation) -> BoolArray:
    """The answer is the target of the probe's own edit, which the question does not ask for."""
    return exact_match(answers, targets, how)
