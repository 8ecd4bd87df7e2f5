"""Chatter, rephrases that are the prompt, and answers in questions."""

import pytest
from made_up_edits import clean, made, material

from liveedit_bench.data_builders.audit import phrasing
from liveedit_bench.data_builders.audit.phrasing import chatter_of

PROMPT = "What sport is this?"


@pytest.mark.parametrize(
    ("rephrase", "rules"),
    [
        ("Which sport is this?", ()),
        ("Here is a ball: which sport is it for", ("opening",)),
        ("Surely, which sport is this?", ()),
        ("Where is this sport played?", ()),
        ("Sure! Which sport is this?", ("opening",)),
        ("'Certainly: which sport?'", ("opening",)),
        ("Here's one: which sport is this?", ("opening",)),
        ("I'm sorry, I cannot see the picture.", ("refusal",)),
        ("I\u2019m sorry, but no.", ("refusal",)),
        ("I am unable to help.", ("refusal",)),
        ("As an AI language model, I do not see pictures.", ("refusal",)),
        ("Unfortunately there is no question.", ("refusal",)),
        ("Rephrase: which sport is this?", ("talks about rephrasing",)),
        ("Another way to ask it: which sport?", ("talks about rephrasing",)),
        ("The original question is about sport.", ("talks about rephrasing",)),
        ("1. Which sport is this? 2. This is which sport?", ("numbered list",)),
        ("1) Which sport?\n2) What sport?", ("numbered list", "several lines")),
        ("Which sport is this?\n\nIt is asked of the picture.", ("several lines",)),
        ("Is it sport 1. or another?", ()),
        ("", ("empty",)),
        (" ?!", ("empty",)),
        (" ".join(["word"] * 17), ("much longer than the prompt",)),
        (" ".join(["word"] * 16), ()),
    ],
)
def test_rules(rephrase: str, rules: tuple[str, ...]) -> None:
    assert chatter_of(rephrase, PROMPT) == rules


def test_what_the_prompt_says_itself_is_no_chatter() -> None:
    assert chatter_of("Who rewrites the text here?", "Who rewrites this text?") == ()
    assert chatter_of("Who rewrites the text here?", "Who is this?") == ("talks about rephrasing",)


def test_a_long_prompt_may_have_a_long_rephrase() -> None:
    assert chatter_of(" ".join(["word"] * 60), " ".join(["word"] * 20)) == ()
    assert chatter_of(" ".join(["word"] * 61), " ".join(["word"] * 20)) == ("much longer than the prompt",)


def test_chatter_counts_by_rule() -> None:
    edits = [made(0, rephrase="I'm sorry, I cannot rephrase that."), made(1, rephrase="Sure, what?"), *clean(5)[2:]]
    found = phrasing.chatter(material(*edits))
    assert (found.count, found.of) == (2, 5)
    assert found.numbers == {"refusal": 1, "opening": 1, "talks about rephrasing": 1}
    assert [(record.position, record.probe) for record in found.records] == [(0, 1), (1, 1)]


def test_a_rephrase_that_is_the_prompt() -> None:
    edits = [
        made(0, prompt="Which one?", rephrase='"which ONE"'),
        made(1, prompt="Which one?", rephrase="Which one?"),
        made(2, prompt="Which one?", rephrase="Which ones?"),
    ]
    found = phrasing.unchanged(material(*edits))
    assert (found.count, found.of, found.numbers) == (2, 3, {"letter by letter": 1})


def test_an_answer_that_stands_in_the_question() -> None:
    edits = [
        made(0, prompt="Is it red or blue?", target="Red", rephrase="Which colour?"),
        made(1, prompt="Is it red?", target="yes", rephrase="Yes or no, is it red?"),
        made(2, prompt="Which colour?", target="red", rephrase="Red is its colour?"),
        made(3, prompt="Which colour? The answer is:", target="answer", rephrase="Which one?"),
    ]
    prompt, rephrase = phrasing.answer_in_prompt(material(*edits)), phrasing.answer_in_rephrase(material(*edits))
    assert ([record.position for record in prompt.records], prompt.of) == ([0], 4)
    assert prompt.numbers == {"prompts that offer a choice": 1}
    assert [record.position for record in rephrase.records] == [2]
    assert rephrase.numbers == {"of these, not in the prompt": 1}
