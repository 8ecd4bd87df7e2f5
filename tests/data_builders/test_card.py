"""Data cards: one screen each, with the counts of the field."""

import json

import pytest

from liveedit_bench.benchmark.plugins import ANNOTATED
from liveedit_bench.data_builders.card import WIDTH
from liveedit_bench.data_builders.sources import find_source
from liveedit_bench.errors import BenchError


@pytest.mark.parametrize("name", sorted(ANNOTATED))
def test_a_card_fits_one_screen(name: str) -> None:
    card = find_source(name).CARD
    lines = card.text().splitlines()
    assert card.name == name
    assert len(lines) <= 40
    assert max(map(len, lines)) <= WIDTH
    for said in (card.licence, card.citation, card.url, *(file.split for file in card.files)):
        assert said.split()[0] in card.text()
    plain = json.loads(json.dumps(card.plain()))
    assert [file["records"] for file in plain["files"]] == [file.records for file in card.files]


def test_counts_are_those_of_the_real_files() -> None:
    def counts(name: str) -> dict[str, int | None]:
        return {file.split: file.records for file in find_source(name).CARD.files}

    assert counts("e-vqa") == {"train": 6345, "eval": 2093}
    assert counts("e-ic") == {"train": 2849, "eval": 1000}
    assert counts("vlkeb") == {"train": 5000, "eval": 3174, "one-hop": 1278, "multi-hop": None}
    assert "not counted" in find_source("vlkeb").CARD.text()


def test_what_the_paper_appends() -> None:
    answer = " The answer is:"
    both = {"image_locality": answer, "text_locality": "?"}
    assert find_source("e-vqa").CARD.suffixes == {"prompt": answer, "rephrase": answer, **both}
    assert find_source("e-ic").CARD.suffixes == find_source("vlkeb").CARD.suffixes == both


def test_names_without_a_card() -> None:
    with pytest.raises(BenchError, match="did you mean 'e-vqa'"):
        find_source("evqa")
    with pytest.raises(BenchError, match="emblems is generated"):
        find_source("emblems")
