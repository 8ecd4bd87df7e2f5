"""MMKE-Bench: free-form knowledge about entities, visual semantics and a user's own things."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, cast

from pydantic import Field, PlainValidator
from pydantic_core import PydanticCustomError

from ..benchmark.edits import Edit, Facts, Picture, Probe
from .annotations import Annotations, Record
from .assembly import Desk, Skip
from .card import Card, KnownFile
from .choices import Choices
from .notes import Built
from .records import build_file, locality_probes
from .texts import key_text
from .vlkeb import MultiHop, MultiHopRecord, OneHop, OneHopRecord
from .vlkeb import model_of as hops_model_of

VERSION = "1"
"""Of how records become edits; a change that changes streams raises it."""

CARD = Card(
    name="mmke-bench",
    title="MMKE-Bench: descriptions of entities, of visual semantics and of a user's own things",
    licence="MIT (code); none stated for the annotations",
    citation="Du et al., MMKE-Bench: A Multimodal Editing Benchmark for Diverse Visual Knowledge, arXiv 2502.19870",
    url="https://github.com/MMKE-Bench-ICLR/MMKE-Bench",
    files=(
        KnownFile(split="entity-train", records=636, what="other entities pictured", names=("entity_train.json",)),
        KnownFile(split="entity-eval", records=None, what="other entities pictured", names=("entity_eval.json",)),
        KnownFile(split="visual-train", records=214, what="what gestures mean", names=("visual_train.json",)),
        KnownFile(split="visual-eval", records=None, what="what gestures mean", names=("visual_eval.json",)),
        KnownFile(split="user-train", records=None, what="a user's own things", names=("user_train.json",)),
        KnownFile(split="user-eval", records=None, what="a user's own things", names=("user_eval.json",)),
    ),
    image_roots=("", "data_image"),
    notes=(
        "our reading: an edit says what a thing is, so its key is <file name without +2>/knowledge",
        "reliability is the edit's own question; rel_* (no picture), m_rel_* (edited and other picture) and port_new "
        "(one_hop_img, else the edited picture) ask for parts of the target or follow from it: portability, told "
        "apart by their keys, which end in .rel_1, .m_rel_1, .hop1",
        "several pictures: the first is edited, the others are image generality; of several alt the first counts",
        "answers are accepted as rel_ans_1 and as rel_1_ans; type_self and lone questions stay in records.jsonl",
        "two of the files were counted in public notes, the others not by us; the paper speaks of 2,940 pieces in all",
        "targets are long: read token accuracy beside exact match. MMKE-Bench's own code appends nothing to questions",
    ),
)

_TASKS = {"entity_level": "entity", "visual_knowledge": "visual", "user_specific": "user"}
_FOLDERS = ("data_image", "entity", "visual", "user")
_COPY = re.compile(r"\+\d+$")

# Question -> the spellings of its answer. Those of `_PICTURED` ask about the edited picture.
_WORDED = {"rel": ("rel_ans",), "rel_1": ("rel_ans_1", "rel_1_ans"), "rel_2": ("rel_ans_2", "rel_2_ans")}
_PICTURED = {
    "m_rel": ("m_rel_ans",),
    "m_rel_1": ("m_rel_ans_1", "m_rel_1_ans"),
    "m_rel_2": ("m_rel_ans_2", "m_rel_2_ans"),
}


def _texts(value: object) -> tuple[str, ...]:
    items = cast("list[object]", value) if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in items):
        raise PydanticCustomError("texts_type", "a text or a list of texts")
    return tuple(cast("list[str]", items))


def _paths(value: object) -> tuple[str, ...]:
    """Of a path, a list of them, or an object whose values are one or the other."""
    values = list(cast("dict[str, object]", value).values()) if isinstance(value, dict) else [value]
    try:
        return tuple(path for each in values for path in _texts(each))
    except PydanticCustomError:
        raise PydanticCustomError("paths_type", "a path, a list of paths or an object of paths") from None


Texts = Annotated[tuple[str, ...], PlainValidator(_texts)]
Paths = Annotated[tuple[str, ...], PlainValidator(_paths)]


class MmkeRecord(Record):
    """The eleven fields of the others, some of them several, and further questions about the same knowledge."""

    knowledge_type: str
    type_self: str | None = None
    src: str
    pred: str
    alt: Texts
    rephrase: str
    image: Paths
    image_rephrase: Paths
    image_rephrase_question: str | None = None
    one_hop_img: Paths = ()
    loc: str
    loc_ans: str
    m_loc: str
    m_loc_q: str
    m_loc_a: str
    rel: str | None = None
    rel_ans: str | None = None
    rel_1: str | None = None
    rel_ans_1: str | None = None
    rel_1_ans: str | None = None
    rel_2: str | None = None
    rel_ans_2: str | None = None
    rel_2_ans: str | None = None
    m_rel: str | None = None
    m_rel_ans: str | None = None
    m_rel_1: str | None = None
    m_rel_ans_1: str | None = None
    m_rel_1_ans: str | None = None
    m_rel_2: str | None = None
    m_rel_ans_2: str | None = None
    m_rel_2_ans: str | None = None

    def given(self, name: str) -> str | None:
        """The text of a question or an answer; None when it is absent or empty."""
        text: str | None = getattr(self, name)
        return text if text is not None and key_text(text) else None

    def hops(self) -> Iterator[tuple[str, str, str, str]]:
        """Field, how far it leads, question and answer of each entry of `port_new`."""
        return iter(())

    def beside_hops(self) -> Mapping[str, str]:
        """Texts of `port_new` that are asked by no probe, by field."""
        return {}


class MmkeOneHopRecord(MmkeRecord):
    """With `port_new` as in VLKEB's one-hop file."""

    port_new: list[OneHop] = Field(default_factory=list[OneHop])

    def hops(self) -> Iterator[tuple[str, str, str, str]]:
        """Each question is one hop away."""
        return ((f"port_new[{at}].port_q", "1", hop.port_q, hop.port_a) for at, hop in enumerate(self.port_new))

    def beside_hops(self) -> Mapping[str, str]:
        """The facts that hops need beside the edit."""
        return {
            f"port_new[{at}].{name}": text
            for at, hop in enumerate(self.port_new)
            for name, text in (("port_edit_q", hop.port_edit_q), ("port_edit_a", hop.port_edit_a))
        }


class MmkeMultiHopRecord(MmkeRecord):
    """With `port_new` as in VLKEB's multi-hop file, which is how MMKE-Bench is distributed."""

    port_new: list[MultiHop] = Field(default_factory=list[MultiHop])

    def hops(self) -> Iterator[tuple[str, str, str, str]]:
        """Each question is as far away as it says."""
        for at, hop in enumerate(self.port_new):
            yield f"port_new[{at}].Q&A.Question", hop.port_type[0], hop.pair.question, hop.pair.answer


def thing_of(path: str) -> str:
    """``Some Thing`` of ``entity/Some Thing+2.jpg``, ``a sport:Some Sign`` of ``visual/a sport/Some Sign+1.jpg``."""
    *folders, name = PurePosixPath(path.strip().replace("\\", "/")).parts or ("",)
    if folders[:1] == ["/"]:  # the folders of one machine say nothing about the thing
        folders = []
    while folders and folders[0] in _FOLDERS:
        folders = folders[1:]
    stem = PurePosixPath(name).stem
    return ":".join([*folders, _COPY.sub("", stem) or stem])


def model_of(file: Annotations) -> type[MmkeRecord]:
    """The model of all records, by the schema of `port_new`. Refuses a file that mixes the two."""
    theirs = hops_model_of(file)
    if theirs is OneHopRecord:
        return MmkeOneHopRecord
    return MmkeMultiHopRecord if theirs is MultiHopRecord else MmkeRecord


def build(annotations: Path, choices: Choices) -> Built:
    """Build the stream of one annotation file: entity, visual or user; train or eval.

    Raises:
        BenchError: Whatever a user can mend in file, pictures or options.
    """
    return build_file(CARD, annotations, choices, model=model_of, write=edit_of, version=VERSION)


def edit_of(record: MmkeRecord, desk: Desk, file_name: str) -> Edit:
    """One record as an edit: its own question first, the others after those that every dataset has."""
    if not record.alt or not record.image:
        raise Skip(f"empty text: {'image' if record.alt else 'alt'}")
    image, *others = _pictures("image", record.image, desk)
    others = [*_pictures("image_rephrase", record.image_rephrase, desk), *others]
    prompt, target = desk.text("src", record.src, "prompt"), desk.text("alt", record.alt[0], "target")
    desk.unused.update({f"alt[{at}]": text for at, text in enumerate(record.alt) if at})
    thing, elsewhere = thing_of(record.image[0]), thing_of(record.m_loc)
    key = f"{thing}/knowledge"
    probes = (
        Probe("reliability", image, prompt, target, key),
        Probe("text_generality", image, desk.text("rephrase", record.rephrase, "rephrase"), target, key),
        *(Probe("image_generality", other, prompt, target, key) for other in others),
        # An edit of the other thing makes its old answers doubtful.
        *locality_probes(
            record, desk, f"{elsewhere}/{key_text(record.m_loc_q)}", facts_used=(f"{elsewhere}/knowledge",)
        ),
        *_parts(record, desk, key, image, others),
        *_hops(record, desk, key, image),
    )
    if record.type_self is not None:
        desk.unused["type_self"] = record.type_self
    task = _TASKS.get(record.knowledge_type, record.knowledge_type)
    old = desk.text("pred", record.pred, "old", may_be_empty=True)
    return Edit(image, prompt, target, probes, Facts(key, old, thing, task, f"{file_name} record {desk.index}"))


def _parts(record: MmkeRecord, desk: Desk, key: str, image: Picture, others: Sequence[Picture]) -> Iterator[Probe]:
    """Questions for a part of the target: in words alone, of the edited picture, and of the first other one."""
    of_other = record.given("image_rephrase_question")
    for name, spellings in (_WORDED | _PICTURED).items():
        question, answers = record.given(name), {each: text for each in spellings if (text := record.given(each))}
        desk.unused.update(dict(list(answers.items())[1:]))
        if question is None or not answers:
            desk.unused.update(answers | ({} if question is None else {name: question}))
            continue
        field, raw = next(iter(answers.items()))
        asked = desk.text(name, question, "portability")
        answer = desk.text(field, raw, "portability_answer")
        fact, uses = f"{key}.{name}", (key,)
        yield Probe("portability", image if name in _PICTURED else None, asked, answer, fact, uses)
        if name in _PICTURED and others:
            if name == "m_rel" and of_other is not None:
                asked, of_other = desk.text("image_rephrase_question", of_other, "portability"), None
            yield Probe("portability", others[0], asked, answer, fact, uses)
    if of_other is not None:
        desk.unused["image_rephrase_question"] = of_other


def _hops(record: MmkeRecord, desk: Desk, key: str, image: Picture) -> Iterator[Probe]:
    """The questions of `port_new`; without any, their pictures are looked for by nobody."""
    hops = [hop for hop in record.hops() if key_text(hop[2]) and key_text(hop[3])]
    desk.unused.update({field: q or a for field, far, q, a in record.hops() if (field, far, q, a) not in hops})
    desk.unused.update(record.beside_hops())
    spare = record.one_hop_img
    if hops and spare:
        image, spare = desk.picture("one_hop_img", spare[0]), spare[1:]
    desk.unused.update({f"one_hop_img[{record.one_hop_img.index(path)}]": path for path in spare})
    met: dict[str, int] = {}
    for field, far, question, answer in hops:
        met[far] = met.get(far, 0) + 1
        fact = f"{key}.hop{far}" + (f".{met[far]}" if met[far] > 1 else "")
        asked = desk.text(field, question, "portability")
        told = desk.text(f"{field} answer", answer, "portability_answer")
        yield Probe("portability", image, asked, told, fact, (key,))


def _pictures(field: str, paths: Sequence[str], desk: Desk) -> list[Picture]:
    return [desk.picture(field if len(paths) == 1 else f"{field}[{at}]", path) for at, path in enumerate(paths)]
