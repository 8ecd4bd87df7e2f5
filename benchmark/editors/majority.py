"""Guessing without looking: what can be had from the question's kind alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import ClassVar

from ..backbone import Backbone, Query
from .lookup import Lookup, Record

_WORD = re.compile(r"\w+")


def words(prompt: str) -> frozenset[str]:
    """The words of a prompt, without case and punctuation."""
    return frozenset(_WORD.findall(prompt.casefold()))


def nearest(prompt: str, edited: Iterable[str]) -> list[str]:
    """The edited prompts that share the largest part of their words with `prompt` (Jaccard index), all of them."""
    asked = words(prompt)
    shares: dict[str, float] = {}
    for other in edited:
        known = words(other)
        shares[other] = len(asked & known) / max(len(asked | known), 1)
    best = max(shares.values(), default=0.0)
    return [other for other, share in shares.items() if share == best]


class Majority(Lookup):
    """Answers every question with the commonest target so far of the question's kind.

    A question tells its kind by its words: it is of the kind of the edited prompts nearest to it.
    Their targets are counted together; of equally common ones the one seen first wins. Pictures play no part.
    """

    name = "majority"
    exempt: ClassVar[Mapping[str, str]] = {"takes": "answers with the commonest target, not with the newest"}

    def __init__(self, backbone: Backbone, options: object = None, *, seed: int = 0) -> None:
        super().__init__(backbone, options, seed=seed)
        self._counts: dict[str, Counter[str]] = {}
        self._first: dict[str, int] = {}
        self._kinds: dict[str, list[str]] = {}
        self._answers: dict[str, str] = {}

    def remember(self, record: Record) -> None:
        """Count one more target for its prompt."""
        self._answers.clear()
        if record.prompt not in self._counts:
            self._kinds.clear()  # a new prompt may be nearer to some question than those known so far
        self._counts.setdefault(record.prompt, Counter())[record.target] += 1
        self._first.setdefault(record.target, len(self.records))
        super().remember(record)

    def forget(self) -> None:
        """Empty the table."""
        super().forget()
        for index in (self._counts, self._first, self._kinds, self._answers):
            index.clear()

    def answer(self, query: Query) -> str | None:
        """The commonest target among the edits whose prompts are nearest; None before the first edit."""
        if not self.records:
            return None
        if query.prompt not in self._answers:
            if query.prompt not in self._kinds:
                self._kinds[query.prompt] = nearest(query.prompt, self._counts)
            counts = sum((self._counts[prompt] for prompt in self._kinds[query.prompt]), Counter[str]())
            self._answers[query.prompt] = min(counts, key=lambda target: (-counts[target], self._first[target]))
        return self._answers[query.prompt]
