"""Annotation files of the field's size and schema, made up from a seed, with a known number of each anomaly in them.

Nothing here knows how the audit counts: what is planted is put there record by record and written down. Every text is
invented; no picture exists.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

Record = dict[str, str]

REFUSAL = "I'm sorry, but I cannot help with that {n}."
CHATTER = (
    "Sure! Which shade has the object {n}?",
    "Here is a rephrased question: which shade has the object {n}?",
    REFUSAL,
    "1. Which shade has the object {n}? 2. The object {n} has which shade?",
    "Certainly, which shade has the object {n}?",
    "The original question could be asked as which shade has the object {n}",
    "Which shade, among all of the many shades that a person who looks at the whole of this picture for a while could"
    " possibly think of, would most people say that the object {n} in it has?",
)


@dataclass
class MadeUp:
    """Two files, and how often each check has to strike."""

    evaluation: list[Record]
    train: list[Record]
    planted: dict[str, int] = field(default_factory=dict)


def e_vqa(seed: int = 0) -> MadeUp:
    """2,093 and 6,345 records; 1,124 share their picture with a record of another target, all image queries leak."""
    dice = random.Random(seed)
    size, in_groups = 2093, 1124
    records = [_plain(n, "eval") for n in range(size)]
    order = dice.sample(range(size), size)
    free = iter(order)
    planted: dict[str, int] = {}

    groups = [[next(free) for _ in range(many)] for many in _sizes(dice, in_groups)]
    for group in groups:
        for n in group:
            records[n]["image"] = records[group[0]]["image"]
    for group in [group for group in groups if len(group) > 2][:20]:  # two of three agree; the third does not
        records[group[1]]["alt"] = records[group[0]]["alt"].upper()
    conflicts = [group for group in groups if len(group) == 2][:5]
    for one, other in conflicts:
        records[other]["src"] = f" {records[one]['src'].upper()}"
        records[other]["rephrase"] = f"Say which colour thing {other} has, please"
    agreeing = [[next(free), next(free)] for _ in range(30)]
    for one, other in agreeing:
        records[other]["image"], records[other]["alt"] = records[one]["image"], f"{records[one]['alt']} "
    for one, other in agreeing[:4]:  # the same question with another second picture
        records[other]["src"] = records[one]["src"]
    for one, other in agreeing[4:7]:  # nothing differs
        records[other] = dict(records[one])
    planted["shared-pictures"] = in_groups + 60
    planted["shared-pictures-other-targets"] = in_groups
    planted["entities-edited-twice"] = len(groups) + 30
    planted["same-key"] = 10 + 8 + 6
    planted["conflicting-targets"] = 10
    planted["duplicates"] = 6

    for n in _take(free, planted, "no-op", 17):
        records[n]["alt"] = f" {records[n]['pred'].title()}"
    for n in _take(free, planted, "rephrase-equals-prompt", 21):
        records[n]["rephrase"] = f'"{records[n]["src"].removesuffix("?").upper()}"'
    for at, n in enumerate(_take(free, planted, "rephrase-chatter", 3 * len(CHATTER))):
        records[n]["rephrase"] = CHATTER[at % len(CHATTER)].format(n=n)
    for n in _take(free, planted, "answer-in-prompt", 12):
        records[n]["src"] = f"Is wall {n} {records[n]['alt']} or rather plain?"
    for n in _take(free, planted, "answer-in-rephrase", 9):
        records[n]["rephrase"] = f"Would thing {n} be called {records[n]['alt']}?"
    for n in _take(free, planted, "yes-no-targets", 300):  # these stand in their questions, and are no leak
        records[n].update(src=f"Is there a yes or a no on board {n}?", pred="yes", alt="No" if n % 2 else "no ")

    queries = [(f"val2014/COCO_val2014_{900_000 + q:012}.jpg", f"How many birds sit in tree {q}?") for q in range(1400)]
    for record in records:
        record["m_loc"], record["m_loc_q"] = dice.choice(queries)
        record["loc"] = f"nq question: who wrote the book {dice.randrange(700)}"
    for one, other in agreeing[4:7]:
        records[other].update(records[one])
    lone = list(free)
    touched = [(records[n]["image"], f"How many birds sit in tree {n} of the edited picture?") for n in lone[:37]]
    for n, (image, asked) in zip(lone[100:137], touched, strict=True):
        records[n]["m_loc"], records[n]["m_loc_q"] = image, asked
    planted["locality-edited-picture"] = planted["locality-edited-entity"] = 37

    train = [_plain(n, "train") for n in range(6345)]
    asked = dice.sample([*queries, *touched] * 5, 6345)
    asked[:1437] = [*queries, *touched]  # each once at least
    for n, record in enumerate(train):
        record["m_loc"], record["m_loc_q"] = asked[n]
        record["loc"] = f"nq question: who wrote the book {n % 300}"  # of 0..699, train asks 0..299
    planted["train-image-locality"] = size
    planted["train-text-locality"] = sum(int(record["loc"].rpartition(" ")[2]) < 300 for record in records)
    for at, n in enumerate(lone[200:265]):
        train[at]["image"] = records[n]["image"]
        if at < 20:
            train[at]["src"] = records[n]["src"]
    for at, n in enumerate(lone[265:298]):
        train[100 + at]["src"], train[100 + at]["alt"] = records[n]["src"].upper(), records[n]["alt"]
    planted["train-edited-picture"] = planted["train-entity"] = 65
    planted["train-key"] = 20
    planted["train-prompt-and-target"] = 33
    return MadeUp(records, dice.sample(train, len(train)), planted)


def vlkeb(seed: int = 0) -> MadeUp:
    """3,174 and 5,000 records; 327 of 2,847 entities edited twice, side by side, 1,173 of them in train."""
    dice = random.Random(seed)
    entities = [f"m.{n:05x}" for n in dice.sample(range(2**20), 2847 + 3600)]
    ours, only_train = entities[:2847], entities[2847:]
    twice = set(dice.sample(ours, 327))
    records, planted = list[Record](), dict[str, int]()
    for entity in ours:
        for again in range(1 + (entity in twice)):
            record = _plain(len(records), "eval")
            record["image"] = f"{entity}/google_{again + 1}.jpg"
            record["image_rephrase"] = f"{entity}/google_{again + 7}.jpg"
            records.append(record)
    pairs = [(at - 1, at) for at in range(1, len(records)) if _entity(records[at]) == _entity(records[at - 1])]
    for one, other in pairs[:127]:
        records[other]["alt"] = records[one]["alt"]
    planted["entities-edited-twice"] = 327
    planted["same-key"] = 2 * 327
    planted["conflicting-targets"] = 2 * 200
    planted["shared-pictures"] = planted["shared-pictures-other-targets"] = 0
    leaking = set(dice.sample(range(3174), 2063))
    for n, record in enumerate(records):
        record["m_loc"] = f"val2014/COCO_val2014_{500_000 + n % 1000:012}.jpg"
        record["m_loc_q"] = f"What lies below roof {n % 900}{'' if n in leaking else ' at night'}?"
    known = [(record["m_loc"], record["m_loc_q"]) for n, record in enumerate(records) if n in leaking]
    planted["train-image-locality"] = 2063

    train = [_plain(n, "train") for n in range(5000)]
    shared = dice.sample(ours, 1173)
    for n, record in enumerate(train):
        entity = [*shared, *only_train][n % (1173 + 3600)]
        record["image"], record["image_rephrase"] = f"{entity}/google_{30 + n // 4773}.jpg", f"{entity}/google_40.jpg"
        record["m_loc"], record["m_loc_q"] = known[n % len(known)]
    planted["train-entity"] = 1173
    planted["train-key"] = sum(1 + (entity in twice) for entity in shared)
    planted["train-edited-picture"] = 0
    return MadeUp(records, dice.sample(train, len(train)), planted)


def _plain(n: int, split: str) -> Record:
    """A record with nothing odd about it; no two of them share anything but the text-locality question of a split."""
    start = 1_000_000 if split == "eval" else 2_000_000
    return {
        "src": f"What colour has {split} thing {n}?",
        "pred": f"old {split} shade",
        "alt": f"{split}{n} shade{' of a rather long name' if n % 50 == 0 else ''}",
        "rephrase": f"Which hue does {split} thing {n} have?",
        "image": f"val2014/COCO_val2014_{start + n:012}.jpg",
        "image_rephrase": f"val2014_image_rephrase/{start + n}.png",
        "loc": f"nq question: who wrote the {split} book {n}",
        "loc_ans": f"writer {n}",
        "m_loc": f"val2014/COCO_val2014_{start + 500_000 + n:012}.jpg",
        "m_loc_q": f"How many birds sit in {split} tree {n}?",
        "m_loc_a": "three",
    }


def _sizes(dice: random.Random, total: int) -> Iterator[int]:
    while total:
        many = total if total <= 5 else min(dice.choice((2, 2, 2, 3, 3, 4, 5)), total - 2)
        total -= many
        yield many


def _take(free: Iterator[int], planted: dict[str, int], name: str, many: int) -> list[int]:
    planted[name] = many
    return [next(free) for _ in range(many)]


def _entity(record: Record) -> str:
    return record["image"].partition("/")[0]
