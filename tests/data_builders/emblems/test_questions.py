"""How things are asked."""

import pytest

from liveedit_bench.data_builders.emblems import questions

TABLES = {"attribute": questions.ATTRIBUTE, "hop": questions.HOP, "text": questions.TEXT}


@pytest.mark.parametrize("table", TABLES)
def test_a_third_of_the_templates_is_never_trained_on(table: str) -> None:
    for templates in TABLES[table].values():
        assert len(templates.unseen) / len(templates.all) == pytest.approx(1 / 3)
        assert len(set(templates.all)) == len(templates.all)


def test_no_template_asks_two_things() -> None:
    lines = [line for table in TABLES.values() for templates in table.values() for line in templates.all]
    assert len(set(lines)) == len(lines)


def test_every_question_about_a_picture_has_a_rephrase_among_the_trained_ones() -> None:
    assert all(len(templates.seen) >= 2 for templates in questions.ATTRIBUTE.values())
