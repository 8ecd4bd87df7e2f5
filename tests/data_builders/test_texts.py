"""Recipes for texts: what each step does, that it is recorded, and that nothing is lost."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liveedit_bench.data_builders.texts import STEPS, Role, clean, key_text, prepare


@pytest.mark.parametrize(
    ("raw", "after", "steps"),
    [
        ("What is it?", "What is it?", []),
        (" a fox\t", "a fox", ["strip"]),
        ("\na fox\nand a hen. \n", "a fox and a hen.", ["newlines", "strip"]),
        ("one\r\n\r\n two\u2028three", "one two three", ["newlines"]),
        ("\ufeffa\u200b \u202cfox", "a fox", ["zero-width"]),
        ("cafe\u0301", "caf\u00e9", ["nfc"]),
        ("\u200b ", "", ["zero-width", "strip"]),
        ("\U0001f469\u200d\U0001f33e", "\U0001f469\u200d\U0001f33e", []),  # a joiner makes this one sign
        ("\u0646\u200c\u0647", "\u0646\u200c\u0647", []),  # and keeps these letters apart
        ('"quoted"', '"quoted"', []),  # only rephrases lose quotes
        ("nq question: why", "nq question: why", []),  # only text locality has that prefix
    ],
)
def test_steps_that_serve_every_text(raw: str, after: str, steps: list[str]) -> None:
    text, taken = clean(raw, "prompt")
    assert text == after
    assert [step for step, _ in taken] == steps
    if taken:
        assert taken[0][1] == raw  # the text as it was is kept


@pytest.mark.parametrize(
    ("raw", "after"),
    [
        ('"Which animal is it?"', "Which animal is it?"),
        ('"Which animal is it?', "Which animal is it?"),
        ('Which animal is it?"', "Which animal is it?"),
        ("\u201cWhich animal?\u201d", "Which animal?"),
        ("'Which animal?'", "Which animal?"),
        ("'What's it called?'", "What's it called?"),
        ("\"'Which animal?'\"", "Which animal?"),
        ('" Which animal? "', "Which animal?"),
        ('"What does "stop" mean?"', 'What does "stop" mean?'),
        # Quotes that belong to a part of the text stay.
        ('"Stop" is written on what?', '"Stop" is written on what?'),
        ('Who says "stop"', 'Who says "stop"'),
        ('"Stop" or "go"', '"Stop" or "go"'),
        ("Whose are the dogs'", "Whose are the dogs'"),
        ("It's what?", "It's what?"),
        ('"', '"'),
    ],
)
def test_quotes_around_a_rephrase(raw: str, after: str) -> None:
    assert clean(raw, "rephrase")[0] == after


def test_the_prefix_of_text_locality() -> None:
    assert clean("nq question: who was it", "text_locality") == (
        "who was it",
        [("nq-question", "nq question: who was it")],
    )
    assert clean("who asked the nq question: you", "text_locality")[0] == "who asked the nq question: you"


def test_paper_keeps_texts_and_appends() -> None:
    suffixes: dict[Role, str] = {"prompt": " The answer is:", "text_locality": "?"}
    raw = ' "What\u200b is it?\n'
    for role in ("prompt", "rephrase", "text_locality"):
        text, changes = prepare(raw, field="x", role=role, recipe="paper", suffixes=suffixes)
        assert (text, changes) == (raw + suffixes.get(role, ""), ())


def test_clean_never_appends() -> None:
    text, changes = prepare(" What is it?", field="src", role="prompt", recipe="clean", suffixes={"prompt": " The"})
    assert text == "What is it?"
    assert [vars(change) for change in changes] == [{"field": "src", "step": "strip", "before": " What is it?"}]


def test_keys_are_the_same_for_the_same_words() -> None:
    assert key_text(" What\u200b  COLOR is\nit?") == key_text("what color is it?") == "what color is it?"
    assert key_text("nq question: Who", "text_locality") == "who"


@given(st.text(), st.sampled_from(["prompt", "rephrase", "text_locality", "target"]))
def test_cleaning_twice_changes_nothing_more(raw: str, role: Role) -> None:
    """But for quotes and prefixes inside which more of them stand."""
    text, taken = clean(raw, role)
    assert all(step in STEPS for step, _ in taken)
    if role in ("prompt", "target"):
        assert clean(text, role) == (text, [])
        assert text == text.strip()
        assert unicodedata.is_normalized("NFC", text)
        assert "\n" not in text
