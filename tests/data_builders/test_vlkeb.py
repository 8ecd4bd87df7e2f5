"""VLKEB: entities, one-hop and multi-hop files."""

import json
from pathlib import Path
from typing import Any

import pytest
from annotated import MULTI_HOP, ONE_HOP, VLKEB, copy_of, draw_pictures, records_of

from liveedit_bench.benchmark.edits import Edit, Probe
from liveedit_bench.data_builders import vlkeb
from liveedit_bench.data_builders.choices import Choices
from liveedit_bench.errors import BenchError
from liveedit_bench.runners.ledger import Ledger


def hops(edit: Edit) -> list[Probe]:
    return [probe for probe in edit.probes if probe.kind == "portability"]


def test_an_entity_is_its_folder(tmp_path: Path) -> None:
    edits = vlkeb.build(copy_of(VLKEB, tmp_path), Choices()).stream
    assert [edit.facts.key for edit in edits] == ["m.0ab1/name", "m.0ab1/name", "m.0cd_2/name", "m.0ef3/name"]
    assert {edit.facts.task for edit in edits} == {"entity"}
    assert edits.source.split == "eval"
    assert edits[2].target == "Jon Arel"
    assert edits[1].probes[1].prompt == "Can you tell which tower this is?"
    ledger = Ledger(list(edits))
    # Edited twice: whatever the words of the question, the entity has one name.
    assert ledger.expected(0, edits[0].probes[0], 1) == "Tower of Kest"
    assert ledger.expected(0, edits[0].probes[0], 2) == "Tower of Sarn"
    locality = [edit.probes[4] for edit in edits]
    assert [probe.fact for probe in locality] == [
        "m.0zz1/name",
        "m.0zz2/name",
        "COCO_val2014_000000000903/what covers the hill?",
        "m.0ab1/name",
    ]
    assert ledger.expected(3, locality[3], 4) is None  # the entity it asks for was edited
    assert not any(hops(edit) for edit in edits)


def test_the_one_hop_file(tmp_path: Path) -> None:
    built = vlkeb.build(copy_of(ONE_HOP, tmp_path), Choices())
    assert built.stream.source.split == "one-hop"
    first, second, _ = built.stream
    [probe] = hops(first)
    assert (probe.prompt, probe.target) == ("In which city is this tower?", "Luma")
    assert (probe.fact, probe.facts_used) == ("m.0ab1/name.hop1", ("m.0ab1/name",))
    assert probe.image == first.image
    assert hops(second)[0].target == "boats"
    # The hop's own fact is no edit of the stream, and is not lost either.
    assert built.notes[0].unused == {
        "port_new[0].port_edit_q": "Where is the Tower of Kest?",
        "port_new[0].port_edit_a": "in Luma",
    }
    assert built.notes[0].plain()["unused"] == dict(built.notes[0].unused)


def test_the_multi_hop_file(tmp_path: Path) -> None:
    built = vlkeb.build(copy_of(MULTI_HOP, tmp_path), Choices())
    assert built.stream.source.split == "multi-hop"
    assert [[probe.fact.partition("/")[2] for probe in hops(edit)] for edit in built.stream] == [
        ["name.hop1", "name.hop2"],
        ["name.hop1", "name.hop1.2", "name.hop3"],
        ["name.hop4"],
    ]
    assert {probe.facts_used for probe in hops(built.stream[1])} == {("m.0cd_2/name",)}
    assert hops(built.stream[0])[1].prompt == "Which river runs through the city of this tower?"


def test_the_papers_texts(tmp_path: Path) -> None:
    records = records_of(ONE_HOP)
    edits = vlkeb.build(copy_of(ONE_HOP, tmp_path), Choices(texts="paper")).stream
    for edit, record in zip(edits, records, strict=True):
        assert (edit.prompt, edit.target) == (record["src"], record["alt"])
        assert edit.probes[3].prompt == record["loc"] + "?"
        assert edit.probes[4].prompt == record["m_loc_q"] + " The answer is:"
        assert hops(edit)[0].prompt == record["port_new"][0]["port_q"]


def test_a_hop_expires_with_the_edit_it_rests_on(tmp_path: Path) -> None:
    draw_pictures(tmp_path, ONE_HOP)
    file = tmp_path / "twice.json"
    first = records_of(ONE_HOP)[0]
    file.write_text(json.dumps([first, {**first, "alt": "Tower of Sarn"}]))
    edits = list(vlkeb.build(file, Choices()).stream)
    ledger, probe = Ledger(edits), hops(edits[0])[0]
    assert ledger.expected(0, probe, 1) == "Luma"
    assert ledger.expected(0, probe, 2) is None


ONE = {"port_edit_q": "a?", "port_edit_a": "b", "port_q": "c?", "port_a": "d"}
MANY = {"port_type": "2-hop", "Q&A": {"Question": "c?", "Answer": "d"}}


@pytest.mark.parametrize(
    ("port_new", "said"),
    [
        ([ONE, MANY], "record 0, field 'port_new[1]': is of the multi-hop schema, record 0 of the one-hop one"),
        ([MANY], "record 1, field 'port_new[0]': is of the one-hop schema, record 0 of the multi-hop one"),
        ([{**ONE, **MANY}], "record 0, field 'port_new[0]': must have the keys port_q and port_a, or"),
        ([{"q": "c?"}], "record 0, field 'port_new[0]': must have the keys"),
        (ONE, "record 0, field 'port_new': must be a list, is an object"),
        (None, "record 0, field 'port_new': must be a list, is null"),
        (["c?"], "record 0, field 'port_new[0]': must be an object, is the text 'c?'"),
        ([{"port_q": "c?", "port_a": "d"}], "record 0, field 'port_new[0].port_edit_q': is missing"),
        ([{**ONE, "port_a": 3}], "record 0, field 'port_new[0].port_a': must be a text, is the number 3"),
    ],
)
def test_other_shapes_of_port_new_are_refused(port_new: Any, said: str, tmp_path: Path) -> None:
    file = copy_of(ONE_HOP, tmp_path, port_new=port_new)
    with pytest.raises(BenchError) as refused:
        vlkeb.build(file, Choices())
    assert str(refused.value).startswith(f"{file}: {said}")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({**MANY, "port_type": "5-hop"}, "'port_new[0].port_type': must be one of '1-hop'"),
        ({**MANY, "Q&A": {"Question": "c?"}}, "'port_new[0].Q&A.Answer': is missing"),
        ({**MANY, "Q&A": "c? d"}, "'port_new[0].Q&A': must be an object, is the text 'c? d'"),
    ],
)
def test_hops_that_are_incomplete_are_refused(entry: Any, said: str, tmp_path: Path) -> None:
    file = copy_of(MULTI_HOP, tmp_path, port_new=[entry])
    with pytest.raises(BenchError) as refused:
        vlkeb.build(file, Choices())
    assert f"record 0, field {said}" in str(refused.value)


def test_a_record_without_hops_is_an_edit_all_the_same(tmp_path: Path) -> None:
    edits = vlkeb.build(copy_of(MULTI_HOP, tmp_path, port_new=[]), Choices()).stream
    assert len(edits) == 3
    assert not hops(edits[0])


@pytest.mark.parametrize(
    ("path", "thing"),
    [
        ("m.0ab1/google_15.jpg", "m.0ab1"),
        ("mmkb_images/m.0ab1/google_15.jpg", "m.0ab1"),
        ("mmkb_images\\m.0ab1\\google_15.jpg", "m.0ab1"),
        ("val2014/COCO_1.jpg", "COCO_1"),
        ("m.0ab1.jpg", "m.0ab1"),
    ],
)
def test_things(path: str, thing: str) -> None:
    assert vlkeb.thing_of(path) == thing
