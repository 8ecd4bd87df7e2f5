"""VLKEB: which entity is pictured, with questions one to four hops further on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Literal, cast

from pydantic import Field

from .annotations import Annotations, Record, kind
from .assembly import Desk
from .card import Card, KnownFile
from .records import FieldRecord, Hop, Reading, build_records, file_stem
from .texts import key_text

CARD = Card(
    name="vlkeb",
    title="VLKEB: entities in pictures, with one-hop and multi-hop questions",
    licence="BSD-3-Clause",
    citation="Huang et al., VLKEB: A Large Vision-Language Model Knowledge Editing Benchmark, arXiv 2403.07350",
    url="https://github.com/VLKEB/VLKEB",
    files=(
        KnownFile(split="train", records=5000, what="what editors train on", names=("train.json",)),
        KnownFile(split="eval", records=3174, what="what is reported", names=("eval.json",)),
        KnownFile(split="one-hop", records=1278, what="eval with one hop each", names=("eval_edit_onehop.json",)),
        KnownFile(split="multi-hop", records=None, what="eval with 1 to 4 hops", names=("eval_multihop.json",)),
    ),
    image_roots=("", "mmkb_images", "VLKEB_images", "VLKEB_images/mmkb_images"),
    suffixes={"image_locality": " The answer is:", "text_locality": "?"},
    notes=(
        "our reading: every edit asks which entity is pictured, so its key is m.<id>/name whatever the words",
        "327 entities of eval are edited twice, side by side; 1,173 of its 2,847 entities stand in train",
        "one-hop: port_q is asked; port_edit_q, the hop's own fact, is kept in records.jsonl and not edited",
        "multi-hop: every entry is asked; the key ends in .hop1 to .hop4",
    ),
)

_ENTITY = re.compile(r"m\.[^/]+")


class OneHop(Record):
    """A question on the entity's new name; `port_edit_q` is the fact it needs beside the edit."""

    port_edit_q: str
    port_edit_a: str
    port_q: str
    port_a: str


class QuestionAnswer(Record):
    """The two texts of a hop."""

    question: str = Field(alias="Question")
    answer: str = Field(alias="Answer")


class MultiHop(Record):
    """A question that lies so many hops away."""

    port_type: Literal["1-hop", "2-hop", "3-hop", "4-hop"]
    pair: QuestionAnswer = Field(alias="Q&A")


class OneHopRecord(FieldRecord):
    """A record of the one-hop file."""

    port_new: list[OneHop]


class MultiHopRecord(FieldRecord):
    """A record of the multi-hop file."""

    port_new: list[MultiHop]


def thing_of(path: str) -> str:
    """The entity folder ``m.<id>``; the file's name where there is none (pictures of another source)."""
    parts = PurePosixPath(path.strip().replace("\\", "/")).parts
    return next((part for part in parts[:-1] if _ENTITY.fullmatch(part)), file_stem(path))


def _name(path: str, question: str, prompt: str) -> str:
    # A locality question on a picture of no entity asks what its words say.
    if thing_of(path) != file_stem(path) or question == prompt:
        return "name"
    return key_text(question)


def model_of(file: Annotations) -> type[FieldRecord]:
    """The model of all records, by the schema of `port_new`. Refuses a file that mixes the two."""
    first: tuple[str, int] | None = None
    for index, record in enumerate(file.records):
        if "port_new" not in record:
            continue
        for place, entry in enumerate(_entries(file, index, record["port_new"])):
            field = f"port_new[{place}]"
            schemas = [name for name, keys in _KEYS.items() if any(key in entry for key in keys)]
            if len(schemas) != 1:
                file.refuse(index, field, "must have the keys port_q and port_a, or port_type and Q&A")
            if first is None:
                first = schemas[0], index
            elif first[0] != schemas[0]:
                file.refuse(
                    index,
                    field,
                    f"is of the {schemas[0]} schema, record {first[1]} of the {first[0]} one; split the file in two",
                )
    if first is None:
        return FieldRecord
    return OneHopRecord if first[0] == "one-hop" else MultiHopRecord


def hops_of(record: FieldRecord, desk: Desk) -> Sequence[Hop]:
    """The portability questions of a record."""
    if isinstance(record, OneHopRecord):
        for place, entry in enumerate(record.port_new):
            desk.unused[f"port_new[{place}].port_edit_q"] = entry.port_edit_q
            desk.unused[f"port_new[{place}].port_edit_a"] = entry.port_edit_a
        return [
            Hop(f"port_new[{place}].port_q", f"port_new[{place}].port_a", 1, entry.port_q, entry.port_a)
            for place, entry in enumerate(record.port_new)
        ]
    if isinstance(record, MultiHopRecord):
        return [
            Hop(
                f"port_new[{place}].Q&A.Question",
                f"port_new[{place}].Q&A.Answer",
                int(entry.port_type[0]),
                entry.pair.question,
                entry.pair.answer,
            )
            for place, entry in enumerate(record.port_new)
        ]
    return ()


_KEYS = {"one-hop": ("port_q", "port_a", "port_edit_q", "port_edit_a"), "multi-hop": ("port_type", "Q&A")}


def _entries(file: Annotations, index: int, value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        file.refuse(index, "port_new", f"must be a list, is {kind(value)}")
    entries = cast("list[Any]", value)
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict):
            file.refuse(index, f"port_new[{place}]", f"must be an object, is {kind(entry)}")
    return entries


READING = Reading(thing=thing_of, attribute=_name, task=lambda _prompt: "entity", model=model_of, hops=hops_of)
build = partial(build_records, CARD, READING)
