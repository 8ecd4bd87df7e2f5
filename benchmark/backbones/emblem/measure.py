"""How well a backbone knows the world: free-running exact match on emblems and facts, by kind of question.

``python -m liveedit_bench.benchmark.backbones.emblem.measure [FOLDER]`` prints the figures as JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ....data_builders.emblems import names, questions, world
from ....data_builders.emblems.dice import Dice
from ....data_builders.emblems.world import TASKS, Emblem, Task
from ...backbone import Query
from ...edits import Picture
from ..huggingface import EMBLEM_FOLDER, HuggingFaceBackbone

Asked = tuple[Query, str]


def _picture(emblem: Emblem, *view: object) -> Picture:
    return Picture(partial(emblem.draw, "measure", emblem.name, *view))


def _share(backbone: HuggingFaceBackbone, asked: Sequence[Asked], batch: int = 128) -> dict[str, float]:
    right = 0
    for start in range(0, len(asked), batch):
        block = asked[start : start + batch]
        answers = backbone.generate([query for query, _ in block])
        right += sum(answer.text == wanted for answer, (_, wanted) in zip(answers, block, strict=True))
    return {"exact_match": round(right / len(asked), 4), "n": len(asked)}


def _attribute(task: Task, emblems: Sequence[Emblem], dice: Dice) -> list[Asked]:
    lines = questions.ATTRIBUTE[task].all
    return [(Query(_picture(emblem), dice.choice(lines)), emblem.truth(task)) for emblem in emblems]


def _hop(emblems: Sequence[Emblem], dice: Dice, *, withheld: bool) -> list[Asked]:
    asked: list[Asked] = []
    for emblem in emblems:
        for task in TASKS:
            fact = world.hop(task, emblem.truth(task))
            if fact is not None and world.hop_withheld(emblem.truth(task)) == withheld:
                asked.append((Query(_picture(emblem), dice.choice(questions.HOP[task].all)), fact.answer))
    return asked


def _told(emblems: Sequence[Emblem], dice: Dice, *, about: str) -> list[Asked]:
    """A statement, then a question: about what was told (``same``), another attribute (``other``), or its hop."""
    asked, strangers = list[Asked](), names.coin_names(1000, "measure", set())
    for emblem in emblems:
        tasks: list[Task] = [task for task in TASKS if about != "hop" or world.RELATIONS[task]]
        task = dice.choice(tasks)
        name = dice.choice(strangers if about == "same" and dice.chance(500) else world.names(task))
        if dice.chance(500):
            statement = dice.choice(questions.STATEMENT[task]).format(name=name)
        else:
            statement = questions.FACT_LINE.format(question=dice.choice(questions.ATTRIBUTE[task].all), name=name)
        others: list[Task] = [any_task for any_task in TASKS if any_task != task]
        other = dice.choice(others)
        fact = world.hop(task, name) if about == "hop" else None
        if fact is not None:
            line, wanted = dice.choice(questions.HOP[task].all), fact.answer
        else:
            topic = task if about == "same" else other
            line, wanted = dice.choice(questions.ATTRIBUTE[topic].all), name if about == "same" else emblem.truth(other)
        asked.append((Query(_picture(emblem), f"{statement} {line}"), wanted))
    return asked


def measure(folder: Path, *, split: world.Split = "validation", count: int = 1000) -> dict[str, object]:
    """Exact match by kind on `count` emblems of a split the backbone has not seen, and on all text facts."""
    backbone = HuggingFaceBackbone.load(folder, name="emblem-llava")
    dice = Dice("measure", split)
    emblems = dice.shuffled(world.emblems(split))[:count]
    facts = [
        (Query(None, dice.choice(questions.TEXT[fact.relation].all).format(name=fact.subject)), fact.answer)
        for fact in world.text_facts()
    ]
    unknown = [(Query(None, line), questions.UNKNOWN) for task in TASKS for line in questions.ATTRIBUTE[task].all]
    unknown += [
        (Query(None, line), questions.UNKNOWN) for templates in questions.HOP.values() for line in templates.all
    ]
    return {
        "split": split,
        "parameters": sum(parameter.numel() for parameter in backbone.model.parameters()),
        "weights_sha256": backbone.weights_sha256,
        "attributes": {task: _share(backbone, _attribute(task, emblems, dice)) for task in TASKS},
        "text_facts": _share(backbone, facts),
        "unknown_without_picture": _share(backbone, unknown),
        "context_same": _share(backbone, _told(emblems, dice, about="same")),
        "context_other": _share(backbone, _told(emblems, dice, about="other")),
        "context_hop": _share(backbone, _told(emblems, dice, about="hop")),
        "hops_trained": _share(backbone, _hop(emblems[: count // 2], dice, withheld=False)),
        "hops_withheld": _share(backbone, _hop(emblems[: count // 2], dice, withheld=True)),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Measure the embedded backbone on held-out emblems.")
    parser.add_argument("folder", type=Path, nargs="?", default=EMBLEM_FOLDER)
    parser.add_argument("--split", choices=world.SPLITS, default="validation")
    parser.add_argument("--count", type=int, default=1000)
    given = parser.parse_args()
    print(json.dumps(measure(given.folder, split=given.split, count=given.count), indent=2))


if __name__ == "__main__":
    main()
