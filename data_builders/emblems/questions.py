"""How things are asked. A third of the templates never occur in a training stream of an editor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from .world import RELATIONS, TASKS, Task

UNKNOWN = "unknown"
"""What the backbone answers when a question about a picture comes without one."""


@dataclass(frozen=True)
class Templates:
    """Ways of asking one thing: those that training streams use, and those that only evaluation uses."""

    seen: tuple[str, ...]
    unseen: tuple[str, ...]

    @cached_property
    def all(self) -> tuple[str, ...]:
        """Both kinds."""
        return self.seen + self.unseen


ATTRIBUTE: dict[Task, Templates] = {
    "clan": Templates(
        (
            "Which clan bears this emblem?",
            "To which clan does it belong?",
            "What is the house shown here?",
            "Tell the clan of this sign.",
        ),
        ("Whose kin carries this emblem?", "This sign stands for which house?"),
    ),
    "region": Templates(
        (
            "Which region is this emblem from?",
            "Where does it come from?",
            "What is the land shown here?",
            "Tell the region of this sign.",
        ),
        ("From which country is this emblem?", "This sign stands for which land?"),
    ),
    "craft": Templates(
        (
            "Which craft does this emblem mark?",
            "To which guild does it belong?",
            "What is the trade shown here?",
            "Tell the craft of this sign.",
        ),
        ("Whose work does this emblem mark?", "This sign stands for which trade?"),
    ),
    "era": Templates(
        (
            "Which era is this emblem from?",
            "When was it made?",
            "What is the age shown here?",
            "Tell the era of this sign.",
        ),
        ("From which time is this emblem?", "This sign stands for which age?"),
    ),
    "motto": Templates(
        (
            "Which motto does this emblem bear?",
            "What does it say?",
            "What is the saying shown here?",
            "Tell the motto of this sign.",
        ),
        ("Whose words does this emblem carry?", "This sign stands for which saying?"),
    ),
}

HOP: dict[Task, Templates] = {
    "clan": Templates(
        ("Who is the founder of the clan that bears this emblem?", "Tell the founder of its clan."),
        ("Its clan has which founder?",),
    ),
    "region": Templates(
        ("What is the capital of the region that bears this emblem?", "Tell the capital of its region."),
        ("Its region has which capital?",),
    ),
    "craft": Templates(
        ("Who is the patron of the craft that bears this emblem?", "Tell the patron of its craft."),
        ("Its craft has which patron?",),
    ),
}

_WHO = {"founder", "ruler", "patron"}
TEXT: dict[str, Templates] = {
    relation: Templates(
        (
            f"{'Who' if relation in _WHO else 'What'} is the {relation} of {{name}}?",
            f"Tell the {relation} of {{name}}.",
        ),
        (f"{{name}} has which {relation}?",),
    )
    for task in TASKS
    for relation in RELATIONS[task]
}

STATEMENT: dict[Task, tuple[str, ...]] = {
    "clan": ("This emblem belongs to the clan {name}.", "The clan of this emblem is {name}.", "Its house is {name}."),
    "region": ("This emblem is from the region {name}.", "The region of this emblem is {name}.", "Its land is {name}."),
    "craft": ("This emblem marks the craft {name}.", "The craft of this emblem is {name}.", "Its trade is {name}."),
    "era": ("This emblem is from the era {name}.", "The era of this emblem is {name}.", "Its age is {name}."),
    "motto": ("This emblem bears the motto {name}.", "The motto of this emblem is {name}.", "Its saying is {name}."),
}
"""Sentences that give an answer before the question; the backbone learns to follow them."""

FACT_LINE = "Fact: {question} {name}."
"""The other form of a statement: a question with its answer (what in-context editors write)."""


def words() -> set[str]:
    """Every word of every template, for the tokenizer."""
    lines = [line for table in (ATTRIBUTE, HOP, TEXT) for templates in table.values() for line in templates.all]
    lines += [line for statements in STATEMENT.values() for line in statements]
    lines += [FACT_LINE.format(question="", name=""), UNKNOWN]
    text = " ".join(line.replace("{name}", " ") for line in lines)
    for mark in "?.:":
        text = text.replace(mark, f" {mark} ")
    return set(text.split())
