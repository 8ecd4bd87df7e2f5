"""The base world: what every emblem means, and what is told about the names.

An emblem is five attributes; each has an invented meaning (shape -> clan, colour -> region, pattern -> craft,
marks -> era, border -> motto). Names of clans, regions and crafts have three text facts each, one of which is the
*hop* that a portability question asks for. Only the first names of a task are meanings of the base world; the rest
wait to become targets of edits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product, starmap
from typing import Literal, get_args

from PIL.Image import Image

from . import drawing
from .dice import Dice
from .names import coin_names

VERSION = "emblems-v1"
Task = Literal["clan", "region", "craft", "era", "motto"]
TASKS: tuple[Task, ...] = get_args(Task)
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

VALUES: dict[Task, tuple[str, ...]] = {
    "clan": drawing.SHAPES,
    "region": tuple(drawing.COLOURS),
    "craft": drawing.PATTERNS,
    "era": drawing.MARKS,
    "motto": drawing.BORDERS,
}
_NAMES_PER_TASK: dict[Task, int] = {"clan": 120, "region": 120, "craft": 120, "era": 80, "motto": 80}
RELATIONS: dict[Task, tuple[str, ...]] = {
    "clan": ("founder", "rival", "hall"),
    "region": ("capital", "river", "ruler"),
    "craft": ("patron", "festival", "tool"),
    "era": (),
    "motto": (),
}
"""Relations of a task's names; the first is the hop."""

# Residues of (shape + colour + pattern) mod 10. A Latin design: every emblem has neighbours of its own split along
# every attribute, and a triple of shape, colour and pattern stands in one split only.
_SPLIT_OF_RESIDUE: tuple[Split, ...] = (
    *("train", "train", "train", "train"),
    *("validation", "validation"),
    *("test", "test", "test", "test"),
)


@dataclass(frozen=True)
class Emblem:
    """A drawing by its five attributes, each a position in `VALUES` of its task.

    `emblem` and `emblems` give one object per emblem, so that what is drawn from its name is drawn once.
    """

    clan: int
    region: int
    craft: int
    era: int
    motto: int

    def value(self, task: Task) -> int:
        """The attribute that carries a task's answer."""
        return int(getattr(self, task))

    def with_value(self, task: Task, value: int) -> Emblem:
        """The twin that differs in one attribute."""
        return emblem(*(value if each == task else self.value(each) for each in TASKS))

    @cached_property
    def name(self) -> str:
        """Unique and readable: the thing a ledger key starts with."""
        return "emblem:" + "-".join(VALUES[task][self.value(task)] for task in TASKS)

    @cached_property
    def split(self) -> Split:
        """A function of the emblem alone."""
        return _SPLIT_OF_RESIDUE[(self.clan + self.region + self.craft) % 10]

    @cached_property
    def probe_only(self) -> bool:
        """One emblem in five is never edited, whatever the stream."""
        return Dice("role", self.name).chance(200)

    @cached_property
    def edited_tasks(self) -> tuple[Task, ...]:
        """The attributes that a stream edits, in order: none, one, or (one emblem in five of the edited) two."""
        if self.probe_only:
            return ()
        dice = Dice("edited", self.name)
        tasks = dice.shuffled(TASKS)
        return tuple(tasks[:2] if dice.chance(200) else tasks[:1])

    def truth(self, task: Task) -> str:
        """The base world's answer."""
        return names(task)[self.value(task)]

    def key(self, task: Task) -> str:
        """The ledger's key of one fact of this emblem."""
        return f"{self.name}/{task}"

    def draw(self, *view: object) -> Image:
        """The emblem under the view that a key names."""
        shape, colour, pattern, marks, border = (VALUES[task][self.value(task)] for task in TASKS)
        return drawing.draw(shape, colour, pattern, marks, border, drawing.view(*view))


@cache
def emblem(clan: int, region: int, craft: int, era: int, motto: int) -> Emblem:
    """The emblem with these values, one object however often it is asked for."""
    return Emblem(clan, region, craft, era, motto)


@cache
def _every_emblem() -> tuple[Emblem, ...]:
    return tuple(starmap(emblem, product(*(range(len(VALUES[task])) for task in TASKS))))


@cache
def emblems(split: Split) -> tuple[Emblem, ...]:
    """All emblems of a split."""
    return tuple(each for each in _every_emblem() if each.split == split)


@cache
def _all_names() -> dict[str, tuple[str, ...]]:
    taken = set[str]()
    coined: dict[str, tuple[str, ...]] = {task: coin_names(_NAMES_PER_TASK[task], task, taken) for task in TASKS}
    for task in TASKS:
        for relation in RELATIONS[task]:
            coined[f"{task}/{relation}"] = coin_names(_NAMES_PER_TASK[task], f"{task}/{relation}", taken)
    return coined


def names(task: Task) -> tuple[str, ...]:
    """Every name of a task: the meanings of its values first, then names that only edits use."""
    return _all_names()[task]


@cache
def name_split(name: str) -> Literal["seen", "validation", "test"]:
    """Where a name may be a target: everywhere (``seen``), or in one evaluation split only."""
    drawn = Dice("target", name).below(100)
    return "seen" if drawn < 70 else "validation" if drawn < 85 else "test"


@cache
def targets(task: Task, split: Split, *, seen: bool) -> tuple[str, ...]:
    """The names from which a split draws the targets of a task, those of training streams or the others."""
    wanted = "seen" if seen else split
    return tuple(name for name in names(task) if name_split(name) == wanted)


@dataclass(frozen=True)
class TextFact:
    """A fact about a name that no picture shows: the `relation` of `subject` is `answer`."""

    task: Task
    subject: str
    relation: str
    answer: str

    @property
    def key(self) -> str:
        """The ledger's key."""
        return f"{self.task}:{self.subject}/{self.relation}"

    @cached_property
    def split(self) -> Split:
        """Text facts are dealt to the splits one by one, a third each."""
        return SPLITS[Dice("fact", self.key).below(3)]


@cache
def text_facts() -> tuple[TextFact, ...]:
    """The 1,080 facts about clans, regions and crafts."""
    return tuple(
        TextFact(task, subject, relation, answer)
        for task in TASKS
        for relation in RELATIONS[task]
        for subject, answer in zip(names(task), _all_names()[f"{task}/{relation}"], strict=True)
    )


@cache
def text_facts_of(split: Split) -> tuple[TextFact, ...]:
    """The facts that text locality asks for in a split."""
    return tuple(fact for fact in text_facts() if fact.split == split)


@cache
def _facts_by_key() -> dict[str, TextFact]:
    return {fact.key: fact for fact in text_facts()}


def hop(task: Task, name: str) -> TextFact | None:
    """The fact that a portability question about `name` asks for; None for tasks without a hop."""
    return _facts_by_key()[f"{task}:{name}/{RELATIONS[task][0]}"] if RELATIONS[task] else None


@cache
def hop_withheld(name: str) -> bool:
    """A third of the names never occur in the hop training of the backbone."""
    for task in TASKS:
        base = names(task)[: len(VALUES[task])]
        if name in base:  # exactly a third of the meanings, rounded down
            return name in Dice("hop", task).shuffled(base)[: len(base) // 3]
    return Dice("hop", name).below(3) == 0
