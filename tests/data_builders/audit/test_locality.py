"""Locality probes that touch what is edited, on edits made by hand."""

from dataclasses import replace

from made_up_edits import clean, made, material

from liveedit_bench.benchmark.edits import Probe
from liveedit_bench.data_builders.audit import locality


def test_fact_picture_and_entity_of_another_edit() -> None:
    first = made(0)
    fact = made(1, other="eval/thing0.jpg", other_prompt=first.prompt)
    picture = made(2, other="eval/thing0.jpg")
    entity = made(3, other="elsewhere/thing0.jpg")
    given = material(first, fact, picture, entity)
    facts, pictures, entities = (
        check(given) for check in (locality.edited_facts, locality.edited_pictures, locality.edited_entities)
    )
    assert [record.position for record in facts.records] == [1]
    assert [record.position for record in pictures.records] == [1, 2]
    assert [record.position for record in entities.records] == [1, 2, 3]
    assert {record.probe for record in entities.records} == {4}
    assert facts.of == pictures.of == entities.of == 8
    assert pictures.numbers == {"image_locality": 2}
    assert pictures.records[0].why.startswith("shows the picture of #0: ")


def test_its_own_edit_counts_as_well() -> None:
    given = material(made(0, other="eval/thing0.jpg"), *clean(3)[1:])
    assert locality.edited_pictures(given).count == 1


def test_an_answer_that_rests_on_an_edited_fact() -> None:
    edit = made(0)
    probes = (*edit.probes[:4], replace(edit.probes[4], facts_used=(edit.facts.key,)))
    assert locality.edited_facts(material(replace(edit, probes=probes))).count == 1


def test_another_question_about_the_edited_picture_is_meant_so() -> None:
    edit = made(0)
    asked = Probe("locality_other_question", edit.image, "Which size?", "big", "thing0/size")
    given = material(replace(edit, probes=(*edit.probes, asked)))
    assert (locality.edited_pictures(given).count, locality.edited_pictures(given).of) == (0, 2)
    assert locality.edited_entities(given).count == 0
    again = replace(asked, fact=edit.facts.key)
    given = material(replace(edit, probes=(*edit.probes, again)))
    assert (locality.edited_facts(given).count, locality.edited_facts(given).of) == (1, 3)
