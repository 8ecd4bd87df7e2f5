"""The record that E-VQA, E-IC and VLKEB share, and how it becomes an edit with its five (or more) probes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

from ..benchmark.edits import Edit, Facts, Probe, Source, sha256_text
from .annotations import Annotations, Record, read_annotations
from .assembly import Desk, assemble
from .card import Card
from .choices import Choices
from .notes import Built
from .splits import split_of
from .texts import key_text

R = TypeVar("R", bound=Record)

VERSION = "1"
"""Of how records become edits; a change that changes streams raises it."""


class FieldRecord(Record):
    """Eleven texts: the edit, its rephrase and second picture, and one locality question of each kind.

    `src` prompt, `pred` old answer, `alt` target, `loc`/`loc_ans` text locality, `m_loc`/`m_loc_q`/`m_loc_a`
    image locality.
    """

    src: str
    pred: str
    alt: str
    rephrase: str
    image: str
    image_rephrase: str
    loc: str
    loc_ans: str
    m_loc: str
    m_loc_q: str
    m_loc_a: str


@dataclass(frozen=True)
class Hop:
    """A question that follows from the edit. `hops` says how far it leads; both texts know the field they stand in."""

    question_field: str
    answer_field: str
    hops: int
    question: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a source's records are to be understood: what they are about, and what they ask.

    Attributes:
        thing: picture path -> name of the thing pictured; edits of one thing form one cluster.
        attribute: (picture path, question, the record's own prompt) -> what is asked of the thing.
        task: prompt -> kind of question.
        model: the fields of a record.
        hops: portability questions of a record, and texts it has no use for.
    """

    thing: Callable[[str], str]
    attribute: Callable[[str, str, str], str]
    task: Callable[[str], str]
    model: Callable[[Annotations], type[FieldRecord]] = lambda file: FieldRecord
    hops: Callable[[FieldRecord, Desk], Sequence[Hop]] = lambda record, desk: ()


def file_stem(path: str) -> str:
    """``COCO_val2014_000000000001`` of ``val2014/COCO_val2014_000000000001.jpg``."""
    return PurePosixPath(path.strip().replace("\\", "/")).stem or "unnamed"


def text_fact(question: str) -> str:
    """The key of a question without a picture: nothing tells what it is about but its words."""
    return f"text {sha256_text(key_text(question, 'text_locality'))[:16]}/answer"


def build_records(card: Card, reading: Reading, annotations: Path, choices: Choices) -> Built:
    """Build the stream of one annotation file. Raises `BenchError` as `build_file` does."""

    def write(record: FieldRecord, desk: Desk, file_name: str) -> Edit:
        return edit_of(record, desk, reading=reading, file_name=file_name)

    return build_file(card, annotations, choices, model=reading.model, write=write, version=VERSION)


def build_file(
    card: Card,
    annotations: Path,
    choices: Choices,
    *,
    model: Callable[[Annotations], type[R]],
    write: Callable[[R, Desk, str], Edit],
    version: str,
) -> Built:
    """From an annotation file to a stream, for every source whose answers are compared without regard to case.

    Args:
        card: of the source.
        annotations: the file.
        choices: what the user chose.
        model: the fields of a file's records.
        write: (record, desk, name of the file) -> edit.
        version: of how records become edits.

    Raises:
        BenchError: Whatever a user can mend in file, pictures or options.
    """
    file = read_annotations(annotations)
    fields = model(file)
    records = file.validated(fields, limit=choices.limit)
    split, warnings = split_of(card, file, choices.split)
    unused = file.unused(fields)
    if unused:
        named = ", ".join(f"{name} ({count:,})" for name, count in sorted(unused.items()))
        warnings = (*warnings, f"fields of {file.name} that a stream has no place for: {named}")
    train = None
    if choices.train is not None:
        other = read_annotations(choices.train)
        train = other.validated(model(other))
    source = Source(
        dataset=card.name, split=split, seed=None, version=version, normalisation="casefold", texts=choices.texts
    )

    def written(record: R, desk: Desk) -> Edit:
        return write(record, desk, file.name)

    return assemble(file, records, written, card=card, source=source, choices=choices, warnings=warnings, train=train)


def edit_of(record: FieldRecord, desk: Desk, *, reading: Reading, file_name: str) -> Edit:
    """One record as an edit: reliability, text and image generality, text and image locality, then its hops."""
    image = desk.picture("image", record.image)
    prompt = desk.text("src", record.src, "prompt")
    target = desk.text("alt", record.alt, "target")
    thing = reading.thing(record.image)
    key = f"{thing}/{reading.attribute(record.image, record.src, record.src)}"
    elsewhere = f"{reading.thing(record.m_loc)}/{reading.attribute(record.m_loc, record.m_loc_q, record.src)}"
    probes = (
        Probe("reliability", image, prompt, target, key),
        Probe("text_generality", image, desk.text("rephrase", record.rephrase, "rephrase"), target, key),
        Probe("image_generality", desk.picture("image_rephrase", record.image_rephrase), prompt, target, key),
        *locality_probes(record, desk, elsewhere),
        *_portability(reading.hops(record, desk), key, record, desk),
    )
    old = desk.text("pred", record.pred, "old", may_be_empty=True)
    facts = Facts(key, old, thing, reading.task(key_text(record.src)), f"{file_name} record {desk.index}")
    return Edit(image, prompt, target, probes, facts)


class LocalityFields(Protocol):
    """The five texts that every record of the field has for its two locality questions."""

    @property
    def loc(self) -> str:
        """The question without a picture."""
        ...

    @property
    def loc_ans(self) -> str:
        """Its answer."""
        ...

    @property
    def m_loc(self) -> str:
        """Path of another picture."""
        ...

    @property
    def m_loc_q(self) -> str:
        """The question on it."""
        ...

    @property
    def m_loc_a(self) -> str:
        """Its answer."""
        ...


def locality_probes(
    record: LocalityFields, desk: Desk, fact: str, *, facts_used: tuple[str, ...] = ()
) -> tuple[Probe, Probe]:
    """The question without a picture and the one on another picture, whose key is `fact`."""
    return (
        Probe(
            "text_locality",
            None,
            desk.text("loc", record.loc, "text_locality"),
            desk.text("loc_ans", record.loc_ans, "text_locality_answer"),
            text_fact(record.loc),
        ),
        Probe(
            "image_locality",
            desk.picture("m_loc", record.m_loc),
            desk.text("m_loc_q", record.m_loc_q, "image_locality"),
            desk.text("m_loc_a", record.m_loc_a, "image_locality_answer"),
            fact,
            facts_used=facts_used,
        ),
    )


def _portability(hops: Sequence[Hop], key: str, record: FieldRecord, desk: Desk) -> Iterator[Probe]:
    image, met = desk.picture("image", record.image), dict[int, int]()
    for hop in hops:
        met[hop.hops] = met.get(hop.hops, 0) + 1
        again = f".{met[hop.hops]}" if met[hop.hops] > 1 else ""
        question = desk.text(hop.question_field, hop.question, "portability")
        answer = desk.text(hop.answer_field, hop.answer, "portability_answer")
        yield Probe("portability", image, question, answer, f"{key}.hop{hop.hops}{again}", facts_used=(key,))
