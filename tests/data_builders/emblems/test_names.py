"""The invented language under the backbone's tokenizer."""

import pytest
from transformers import PreTrainedTokenizerFast

from liveedit_bench.benchmark.backbones.emblem.vocabulary import build_tokenizer
from liveedit_bench.data_builders.emblems import names, questions, world
from liveedit_bench.data_builders.emblems.world import TASKS


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer()


@pytest.fixture(scope="module")
def every_name() -> list[str]:
    return [name for task in TASKS for name in world.names(task)] + [fact.answer for fact in world.text_facts()]


def test_no_two_things_share_a_name(every_name: list[str]) -> None:
    assert len(every_name) == len(set(every_name)) == 1600


def test_every_name_is_two_to_four_tokens_and_reads_back(
    tokenizer: PreTrainedTokenizerFast, every_name: list[str]
) -> None:
    cut = tokenizer(every_name, add_special_tokens=False).input_ids
    assert {len(ids) for ids in cut} == {2, 3, 4}
    assert len({tuple(ids) for ids in cut}) == len(every_name)
    assert all(tokenizer.unk_token_id not in ids for ids in cut)
    assert tokenizer.batch_decode(cut) == every_name


def test_a_name_is_cut_alike_after_a_question(tokenizer: PreTrainedTokenizerFast, every_name: list[str]) -> None:
    asked = "Which clan bears this emblem?"
    question = tokenizer(asked, add_special_tokens=False).input_ids
    for name in every_name[::7]:
        whole = tokenizer(f"{asked} {name}", add_special_tokens=False).input_ids
        assert whole == question + tokenizer(name, add_special_tokens=False).input_ids


def test_a_name_can_be_cut_in_one_way_only(every_name: list[str]) -> None:
    pieces = [*names.FIRST, *names.MIDDLE, *names.LAST]
    assert len(set(pieces)) == len(pieces)

    def ways(rest: str, follow: tuple[str, ...]) -> int:
        if not rest:
            return 1
        return sum(ways(rest[len(piece) :], names.MIDDLE + names.LAST) for piece in follow if rest.startswith(piece))

    assert {ways(name, names.FIRST) for name in every_name} == {1}


def test_no_word_of_a_template_begins_a_name(every_name: list[str]) -> None:
    assert not [
        (word, name) for word in questions.words() - set(names.FIRST) for name in every_name if name.startswith(word)
    ]


def test_every_question_is_made_of_known_words(tokenizer: PreTrainedTokenizerFast) -> None:
    lines = [
        line.format(name=world.names("clan")[0])
        for table in (questions.ATTRIBUTE, questions.HOP, questions.TEXT)
        for templates in table.values()
        for line in templates.all
    ]
    lines += [line.format(name=world.names("clan")[0]) for told in questions.STATEMENT.values() for line in told]
    lines.append(questions.UNKNOWN)
    for line in lines:
        ids = tokenizer(line, add_special_tokens=False).input_ids
        assert tokenizer.unk_token_id not in ids, line


def test_strangers_are_new_names() -> None:
    known = set(world.names("clan"))
    taken = set(known)
    strangers = names.coin_names(50, "strangers", taken)
    assert len(set(strangers)) == 50
    assert not known & set(strangers)
    assert taken == known | set(strangers)
