"""MMKE-Bench: which question is of which kind, both spellings, several pictures and answers."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from annotated import FIXTURES, MULTI_HOP, ONE_HOP, records_of
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from liveedit_bench.benchmark.edits import Edit, EditStream
from liveedit_bench.data_builders.choices import Choices
from liveedit_bench.data_builders.mmke_bench import CARD, MmkeRecord, build, thing_of
from liveedit_bench.data_builders.notes import Built
from liveedit_bench.errors import BenchError
from liveedit_bench.runners.ledger import Ledger


def paths_in(value: object) -> Iterator[str]:
    if isinstance(value, str) and value.endswith(".jpg"):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from paths_in(each)


Place = Callable[..., Path]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Puts a fixture, with changes to its first record, into a folder with a picture for every path."""

    def put(name: str, **changes: Any) -> Path:
        first, *others = records_of(FIXTURES / "mmke" / f"{name}.json")
        records = [{key: value for key, value in {**first, **changes}.items() if value is not ...}, *others]
        for path in paths_in(records):
            target = tmp_path / "data_image" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.frombytes("RGB", (2, 2), hashlib.sha256(path.encode()).digest()[:12]).save(target)
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(records), encoding="utf-8")
        return file

    return put


def asked(edit: Edit) -> list[tuple[str, str | None, str, str, str]]:
    """Kind, picture, question, answer and key of each probe."""
    return [
        (probe.kind, probe.image and probe.image.path, probe.prompt, probe.target, probe.fact) for probe in edit.probes
    ]


def test_entity_questions(place: Place) -> None:
    built = build(place("entity_eval"), Choices())
    edit, key, target = built.stream[0], "Gull Tower/knowledge", built.stream[0].target
    tower, other = "entity/Gull Tower+2.jpg", "entity/Gull Tower+11.jpg"
    src, hop = edit.prompt, "What do the animals of the tower in the picture make?"
    assert asked(edit) == [
        ("reliability", tower, src, target, key),
        ("text_generality", tower, "Tell me about the tower shown.", target, key),
        ("image_generality", other, src, target, key),
        ("text_locality", None, "which river runs through Oldmere", "the Tam", edit.probes[3].fact),
        ("image_locality", "entity/Blue Barn+1.jpg", "What colour is the barn?", "blue", edit.probes[4].fact),
        ("portability", None, "Who built the Copper Spire?", "Ivo Marsh", f"{key}.rel_1"),
        ("portability", None, "What does the Copper Spire keep?", "bees", f"{key}.rel_2"),
        ("portability", tower, "Who built the tower in the picture?", "Ivo Marsh", f"{key}.m_rel_1"),
        ("portability", other, "Who built the tower in the picture?", "Ivo Marsh", f"{key}.m_rel_1"),
        ("portability", tower, "What does the tower in the picture keep?", "bees", f"{key}.m_rel_2"),
        ("portability", other, "What does the tower in the picture keep?", "bees", f"{key}.m_rel_2"),
        ("portability", tower, hop, "honey", f"{key}.hop1"),
    ]
    assert edit.probes[4].fact == "Blue Barn/what colour is the barn?"
    assert all(probe.facts_used == (key,) for probe in edit.probes[5:])
    facts = edit.facts
    assert (facts.key, facts.entity, facts.task, facts.provenance) == (
        key,
        "Gull Tower",
        "entity",
        "entity_eval.json record 0",
    )
    assert facts.old == "The Copper Spire is a clock tower by Ada Wren."
    assert dict(built.notes[0].unused) == {"type_self": "tower"}


def test_the_other_spelling_several_pictures_and_answers(place: Place) -> None:
    built = build(place("entity_eval"), Choices())
    edit, note = built.stream[1], built.notes[1]
    assert edit.target == "The barn in the picture is the Long Barn, a school for owls."
    kinds = [(kind, path) for kind, path, *_ in asked(edit) if kind == "image_generality"]
    assert kinds == [("image_generality", f"entity/Blue Barn+{copy}.jpg") for copy in (5, 4)]
    assert [probe.target for probe in edit.probes if probe.fact.endswith(("rel_1", "rel_2"))] == [
        "owls",
        "a school",
        "owls",
        "owls",
    ]
    assert dict(note.unused) == {
        "alt[1]": "A school for owls.",
        "m_rel_2": "What is the barn in the picture?",
        "type_self": "barn",
    }
    assert [change.step for change in note.changes] == ["quotes"]
    assert [(note.position, note.reason) for note in built.notes] == [(0, None), (1, None), (None, "empty text: alt")]


def test_an_edit_of_a_thing_makes_old_answers_about_it_doubtful(place: Place) -> None:
    edits = build(place("entity_eval"), Choices()).stream
    ledger, locality = Ledger(edits), edits[0].probes[4]
    assert [ledger.expected(0, locality, step) for step in (1, 2)] == ["blue", None]
    part = edits[0].probes[5]
    again = [*edits, replace(edits[0], target="The tower in the picture is no tower.")]
    assert [Ledger(again).expected(0, part, step) for step in (1, 3)] == ["Ivo Marsh", None]


def test_visual_questions(place: Place) -> None:
    (edit,) = build(place("visual_eval"), Choices()).stream
    key, sign, other = "bowlball:kettle/knowledge", "visual/bowlball/kettle+1.jpg", "visual/bowlball/kettle+2.jpg"
    assert (edit.facts.old, edit.facts.task) == ("", "visual")
    assert asked(edit)[5:] == [
        ("portability", None, "What do teams do after the kettle sign?", "rest for tea", f"{key}.rel"),
        ("portability", sign, "What do the teams do after the sign in the picture?", "rest for tea", f"{key}.m_rel"),
        (
            "portability",
            other,
            "What do the teams do after the sign in this other picture?",
            "rest for tea",
            f"{key}.m_rel",
        ),
        (
            "portability",
            "visual/bowlball/teapot.jpg",
            "Which sign calls for what is pictured here?",
            "the kettle sign",
            f"{key}.hop1",
        ),
    ]


def test_user_questions(place: Place) -> None:
    built = build(place("user_train"), Choices())
    (edit,) = built.stream
    key = "Tilda:Mog/knowledge"
    assert edit.image is not None
    assert edit.image.path == "user/Tilda/Mog+1.jpg"
    assert [path for kind, path, *_ in asked(edit) if kind == "image_generality"] == [
        "user/Tilda/Mog+3.jpg",
        "user/Tilda/Mog+2.jpg",
    ]
    assert edit.probes[4].prompt == "what is the tallest house of Oldmere"
    hops = [line[1:] for line in asked(edit) if ".hop" in line[-1]]
    assert hops == [
        ("user/Tilda/bath.jpg", "Which cat sleeps here?", "Mog", f"{key}.hop1"),
        ("user/Tilda/bath.jpg", "Whose cat sleeps here?", "Tilda's", f"{key}.hop1.2"),
    ]
    assert dict(built.notes[0].unused) == {
        "rel_1_ans": "bath",
        "type_self": "pet",
        "one_hop_img[1]": "user/Tilda/bath2.jpg",
    }
    assert "fields of user_train.json that a stream has no place for: remark (1)" in built.warnings
    assert edit.probes[5].fact == "Rolf:1/how many boats are there?"


def test_every_field_is_asked_or_noted(place: Place) -> None:
    names = {"port_new", *MmkeRecord.model_fields}
    for fixture in ("entity_eval", "visual_eval", "user_train"):
        file = place(fixture)
        built = build(file, Choices(texts="paper"))
        for note, record in zip(built.notes, records_of(file), strict=True):
            if note.position is None:
                continue
            edit = built.stream[note.position]
            held = {text for probe in edit.probes for text in (probe.prompt, probe.target)}
            held |= {
                edit.facts.old,
                *note.unused.values(),
                *(probe.image.path or "" for probe in edit.probes if probe.image),
            }
            for name in names & set(record) - {"knowledge_type"}:
                assert {text for text in _texts(record[name]) if text} <= held, name


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from () if key == "port_type" else _texts(each)


def test_splits_and_stored_streams(place: Place, tmp_path: Path) -> None:
    file = place("entity_eval")
    built = build(file, Choices(limit=2))
    source = built.stream.source
    assert (source.dataset, source.split, source.normalisation) == ("mmke-bench", "entity-eval", "casefold")
    assert not any("as distributed" in each for each in built.warnings)  # that file was never counted
    built.save(tmp_path / "stream")
    assert (
        EditStream.load(tmp_path / "stream").sha256
        == built.stream.sha256
        == build(file, Choices(limit=2)).stream.sha256
    )
    counted = build(file.rename(file.with_name("entity_train.json")), Choices(limit=2)).warnings
    assert any("holds 3 records, the file 'entity-train' as distributed 636" in each for each in counted)
    assert len((tmp_path / "stream" / "records.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    assert len(CARD.text().splitlines()) <= 40


def test_training_records_mark_what_they_hold(place: Place) -> None:
    file = place("entity_eval")
    train = file.with_name("train.json")
    shutil.copyfile(file, train)
    assert all(edit.facts.seen_target for edit in build(file, Choices(train=train)).stream)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"src": ...}, "record 0, field 'src': is missing"),
        ({"knowledge_type": ...}, "record 0, field 'knowledge_type': is missing"),
        ({"alt": ["a", 3]}, "record 0, field 'alt': must be a text or a list of texts, is a list"),
        ({"image": {"a": 3}}, "field 'image': must be a path, a list of paths or an object of paths, is an object"),
        ({"rel_1": 3}, "record 0, field 'rel_1': must be a text, is the number 3"),
        ({"one_hop_img": "../x.jpg"}, r"record 0, field 'one_hop_img': .*outside"),
        ({"image": "entity/none.png"}, r"record 0, field 'image': 1 of \d+ pictures is missing: entity/none.png"),
        ({"port_new": {"a": 1}}, "field 'port_new': must be a list, is an object"),
        (
            {"port_new": [{"port_q": "a", "port_a": "b", "port_edit_q": "c", "port_edit_a": "d"}]},
            "split the file in two",
        ),
    ],
)
def test_a_bad_record_is_named_by_file_record_and_field(changes: dict[str, Any], says: str, place: Place) -> None:
    with pytest.raises(BenchError, match=says) as refused:
        build(place("entity_eval", **changes), Choices())
    assert "\n" not in str(refused.value)
    assert "entity_eval.json" in str(refused.value)


def test_the_one_hop_schema_is_read_too(place: Place) -> None:
    hop = {"port_q": "What hums there?", "port_a": "bees", "port_edit_q": "What do bees do?", "port_edit_a": "hum"}
    built: Built = build(place("visual_eval", port_new=[hop], one_hop_img=...), Choices())
    (edit,) = built.stream
    assert asked(edit)[-1] == (
        "portability",
        "visual/bowlball/kettle+1.jpg",
        "What hums there?",
        "bees",
        "bowlball:kettle/knowledge.hop1",
    )
    assert built.notes[0].unused["port_new[0].port_edit_q"] == "What do bees do?"


def test_what_nobody_asks_is_noted(place: Place) -> None:
    hops = [{"port_type": "1-hop", "Q&A": {"Question": "Why?", "Answer": "\u200b"}}]
    missing = {"one_hop_img": "visual/nowhere.png"}  # of no use without a question, so nobody looks for it
    file = place("visual_eval", port_new=hops, m_rel="\ufeff ", image_rephrase_question="And here?", **missing)
    built = build(file, Choices())
    assert [probe.fact.rpartition(".")[2] for probe in built.stream[0].probes[5:]] == ["rel"]
    assert dict(built.notes[0].unused) == {
        "m_rel_ans": "rest for tea",
        "image_rephrase_question": "And here?",
        "port_new[0].Q&A.Question": "Why?",
        "one_hop_img[0]": "visual/nowhere.png",
        "type_self": "sport_sign",
    }


def test_files_of_vlkeb_lack_what_mmke_has() -> None:
    for file in (ONE_HOP, MULTI_HOP):
        with pytest.raises(BenchError, match="'knowledge_type': is missing"):
            build(file, Choices())


@given(st.text(st.characters(exclude_characters="/\\\0+.")).map(str.strip).filter(bool), st.integers(0, 99))
def test_copies_of_a_picture_show_one_thing(name: str, copy: int) -> None:
    assert thing_of(f"entity/{name}+{copy}.jpg") == thing_of(f"{name}.png") == name
    assert thing_of(f"data_image/visual/a/{name}+{copy}.jpg") == f"a:{name}"
    assert thing_of(f"/a/b/{name}.jpg") == name
    assert thing_of("user/+1.jpg") == "+1"
