"""Assembles the editing stream: which emblems are edited, to what, and what is asked about each edit."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache, partial

from PIL import Image

from ...benchmark.edits import Edit, EditStream, Facts, Kind, Picture, Probe, Source
from ...errors import BenchError
from . import questions, world
from .dice import Dice
from .drawing import SIZE
from .questions import Templates
from .world import SPLITS, TASKS, Emblem, Split, Task

LONGEST_DELAY = 200
"""An emblem's second edit follows its first after at most about so many edits."""

_KEPT_PICTURES = 16_384
"""Pictures that stay in memory once drawn, about 7 KB each: at most 125 MB, which is the pictures of 3,200 edits."""


_CAPACITY: dict[Split, int] = {"train": 13_199, "validation": 6_610, "test": 13_303}
"""Edits of each split of the world, whose version is settled; counting them anew takes longer than listing may."""


def capacity(split: str) -> int:
    """The largest number of edits a split holds."""
    return _CAPACITY[_split(split)]


def build(n_edits: int, *, seed: int = 0, split: str = "test") -> EditStream:
    """The first `n_edits` edits of a split in the order that `seed` draws; ``build(n)[:m]`` equals ``build(m)``.

    Deterministic to the decoded pixel. Raises `BenchError` when the split holds fewer edits.
    """
    part, most = _split(split), capacity(split)
    if not 1 <= n_edits <= most:
        raise BenchError(
            f"{n_edits} edits cannot be built: the {part} split of emblems holds from 1 to {most}; ask for fewer"
        )
    order = _in_order(part, seed)
    edits = [_edit(emblem, task, part, seed) for (emblem, task), _ in zip(order, range(n_edits), strict=False)]
    return EditStream(
        edits, Source(dataset="emblems", split=part, seed=seed, version=world.VERSION, normalisation="exact")
    )


def _split(name: str) -> Split:
    for split in SPLITS:
        if split == name:
            return split
    raise BenchError(f"emblems has no split {name!r}; choose one of {', '.join(SPLITS)}")


def _in_order(split: Split, seed: int) -> Iterator[tuple[Emblem, Task]]:
    """Edits as they come: emblems in drawn order, second edits a little later than first ones."""
    drawn = Dice("order", split, seed).shuffled([emblem for emblem in world.emblems(split) if emblem.edited_tasks])
    waiting: list[tuple[int, int, Emblem, Task]] = []
    for time, emblem in enumerate(drawn):
        while waiting and waiting[0][0] <= time:
            _, _, earlier, task = heapq.heappop(waiting)
            yield earlier, task
        yield emblem, emblem.edited_tasks[0]
        for task in emblem.edited_tasks[1:]:
            due = time + Dice("delay", seed, emblem.name).between(1, LONGEST_DELAY)
            heapq.heappush(waiting, (due, time, emblem, task))
    while waiting:
        _, _, emblem, task = heapq.heappop(waiting)
        yield emblem, task


def _picture(emblem: Emblem, *view: object) -> Picture:
    return Picture(partial(_open, emblem, *view))


def _open(emblem: Emblem, *view: object) -> Image.Image:
    return Image.frombytes("RGB", (SIZE, SIZE), _drawn(emblem, *view))


@lru_cache(maxsize=_KEPT_PICTURES)
def _drawn(emblem: Emblem, *view: object) -> bytes:
    """A picture's pixels. A runner looks at each picture several times; drawing one takes a millisecond."""
    return emblem.draw(*view).tobytes()


def _ask(dice: Dice, templates: Templates, split: Split, *, but: str | None = None) -> tuple[str, bool]:
    """A question and whether training streams use its template; training streams draw from those alone."""
    offered = [line for line in (templates.seen if split == "train" else templates.all) if line != but]
    line = dice.choice(offered)
    return line, line in templates.seen


def _twin(dice: Dice, emblem: Emblem, tasks: Sequence[Task], split: Split) -> Emblem:
    """A neighbour of the same split that differs in one of `tasks`; one that no stream edits where there is one."""
    twins = [
        twin
        for task in tasks
        for value in range(len(world.VALUES[task]))
        if value != emblem.value(task) and (twin := emblem.with_value(task, value)).split == split
    ]
    return dice.choice([twin for twin in twins if twin.probe_only] or twins)


def _edit(emblem: Emblem, task: Task, split: Split, seed: int) -> Edit:
    dice = Dice("edit", split, seed, emblem.name, task)
    old = emblem.truth(task)
    seen_target = split == "train" or not dice.chance(200)
    # Drawn before the target, which must differ from the answer of both (in some splits there is one such twin only).
    other_twin = _twin(dice, emblem, [task], split)
    target = dice.choice(
        [name for name in world.targets(task, split, seen=seen_target) if name not in (old, other_twin.truth(task))]
    )
    prompt, seen_prompt = _ask(dice, questions.ATTRIBUTE[task], split)
    view = (seed, split, emblem.name, task)
    image, key = _picture(emblem, *view), emblem.key(task)

    rephrase, seen_rephrase = _ask(dice, questions.ATTRIBUTE[task], split, but=prompt)
    probes = [
        Probe("reliability", image, prompt, target, key, seen=seen_prompt),
        Probe("text_generality", image, rephrase, target, key, seen=seen_rephrase),
        Probe("image_generality", _picture(emblem, *view, "second"), prompt, target, key, seen=seen_prompt),
    ]
    hop = world.hop(task, target)
    if hop is not None:
        line, seen = _ask(dice, questions.HOP[task], split)
        probes.append(Probe("portability", image, line, hop.answer, f"{key}.hop", facts_used=(key, hop.key), seen=seen))

    fact = dice.choice(world.text_facts_of(split))
    line, seen = _ask(dice, questions.TEXT[fact.relation], split)
    probes.append(Probe("text_locality", None, line.format(name=fact.subject), fact.answer, fact.key, seen=seen))

    other = dice.choice(_probe_only(split))
    asked = dice.choice(TASKS)
    line, seen = _ask(dice, questions.ATTRIBUTE[asked], split)
    probes.append(
        Probe("image_locality", _picture(other, *view, "other"), line, other.truth(asked), other.key(asked), seen=seen)
    )

    same_twin = _twin(dice, emblem, [any_task for any_task in TASKS if any_task != task], split)
    twins: tuple[tuple[Kind, Emblem], ...] = (("locality_twin_same", same_twin), ("locality_twin_other", other_twin))
    for kind, twin in twins:
        probes.append(Probe(kind, _picture(twin, *view), prompt, twin.truth(task), twin.key(task), seen=seen_prompt))

    unedited: list[Task] = [any_task for any_task in TASKS if any_task not in emblem.edited_tasks]
    asked = dice.choice(unedited)
    line, seen = _ask(dice, questions.ATTRIBUTE[asked], split)
    probes.append(Probe("locality_other_question", image, line, emblem.truth(asked), emblem.key(asked), seen=seen))
    nothing = f"no picture: {prompt}/{task}"
    probes.append(Probe("locality_no_image", None, prompt, questions.UNKNOWN, nothing, seen=seen_prompt))

    facts = Facts(key, old, emblem.name, task, f"{world.VERSION} {split} seed {seed}", seen_target)
    return Edit(image, prompt, target, tuple(probes), facts)


@cache
def _probe_only(split: Split) -> tuple[Emblem, ...]:
    return tuple(emblem for emblem in world.emblems(split) if emblem.probe_only)
