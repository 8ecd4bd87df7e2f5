"""What the embedded backbone is taught: training sequences made from the base world.

A sequence holds several questions and answers after one picture (or none), so that a token's identity stays useful in
deep layers. Loss falls on answers and their end-of-sequence token only.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ....data_builders.emblems import names, questions, world
from ....data_builders.emblems.world import TASKS, Emblem, Task
from .vocabulary import IMAGE_TOKENS, build_tokenizer


@dataclass(frozen=True)
class Lesson:
    """One training sequence: token ids, and for each whether its prediction is scored."""

    ids: list[int]
    scored: list[bool]


class Teacher:
    """Draws lessons. `seed` fixes everything."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._tokenizer: Any = build_tokenizer()
        self._cache: dict[str, list[int]] = {}
        marks: list[int] = self._tokenizer.convert_tokens_to_ids(["<s>", "</s>", "<image>"])
        self._bos, self._eos, self._image = marks
        self._facts = world.text_facts()

    def _tokens(self, text: str) -> list[int]:
        if text not in self._cache:
            self._cache[text] = self._tokenizer(text, add_special_tokens=False).input_ids
        return self._cache[text]

    @cached_property
    def _strangers(self) -> tuple[str, ...]:
        """Names that mean nothing in the world, for statements in context."""
        return names.coin_names(4000, "strangers", set(self._known))

    @cached_property
    def _known(self) -> set[str]:
        return {name for task in TASKS for name in world.names(task)} | {fact.answer for fact in self._facts}

    def _lesson(self, picture: bool, turns: Sequence[tuple[str, str]]) -> Lesson:
        ids = [self._bos] + [self._image] * (IMAGE_TOKENS if picture else 0)
        scored = [False] * len(ids)
        for question, answer in turns:
            asked, said = self._tokens(question), [*self._tokens(answer), self._eos]
            ids += asked + said
            scored += [False] * len(asked) + [True] * len(said)
        return Lesson(ids, scored)

    def _question(self, task: Task) -> str:
        return self._dice.choice(questions.ATTRIBUTE[task].all)

    def about_picture(self, emblem: Emblem, *, turns: int = 3) -> Lesson:
        """Questions about one emblem; in three sequences of ten a statement comes first and overrides what is seen."""
        dice, tasks = self._dice, self._dice.sample(TASKS, turns)
        told: dict[Task, str] = {}
        statement = ""
        if dice.random() < 0.3:
            task = dice.choice(tasks) if dice.random() < 0.9 else dice.choice(TASKS)
            name = dice.choice(self._strangers if dice.random() < 0.5 else world.names(task))
            told[task] = name
            if dice.random() < 0.5:
                statement = dice.choice(questions.STATEMENT[task]).format(name=name) + " "
            else:
                statement = questions.FACT_LINE.format(question=self._question(task), name=name) + " "
        lines: list[tuple[str, str]] = []
        for task in tasks:
            answer = told.get(task, emblem.truth(task))
            # Names that are told may be strangers, which have no facts.
            fact = world.hop(task, answer) if task not in told or answer in world.names(task) else None
            if (
                fact is not None
                and not world.hop_withheld(answer)
                and dice.random() < (0.25 if task not in told else 0.3)
            ):
                lines.append((dice.choice(questions.HOP[task].all), fact.answer))
            else:
                lines.append((self._question(task), answer))
        lines[0] = (statement + lines[0][0], lines[0][1])
        return self._lesson(True, lines)

    def about_text(self, *, turns: int = 4) -> Lesson:
        """Facts that no picture shows, and questions about a picture that is not there."""
        dice, lines = self._dice, list[tuple[str, str]]()
        for _ in range(turns):
            if dice.random() < 0.15:
                task = dice.choice(TASKS)
                hop = questions.HOP.get(task) if dice.random() < 0.25 else None
                lines.append((dice.choice(hop.all) if hop else self._question(task), questions.UNKNOWN))
            else:
                fact = dice.choice(self._facts)
                template = dice.choice(questions.TEXT[fact.relation].all)
                lines.append((template.format(name=fact.subject), fact.answer))
        return self._lesson(False, lines)
