"""When two texts say the same."""

import pytest

from liveedit_bench.data_builders.audit.wording import alike, question, stands_in, words


@pytest.mark.parametrize("text", ["Two dogs", " two\n dogs ", "TWO DOGS", "two\u200b dogs\ufeff", "two\u202c dogs"])
def test_alike(text: str) -> None:
    assert alike(text) == "two dogs"


@pytest.mark.parametrize(
    "text",
    [
        "What is this?",
        "what is this",
        "What is this? The answer is:",
        '"What is this?"',
        "\u201cWhat is this\u201d?",
        "nq question: what is this",
        "nq question: what is this?",
        "What  is this ?\n",
    ],
)
def test_question(text: str) -> None:
    assert question(text) == "what is this"


def test_marks_inside_a_question_stay() -> None:
    assert question("Is it 3.5?") == "is it 3.5"
    assert question("What is this, then?") != question("What is this then?")
    assert words("The dog's bowl, no. 2!") == ("the", "dog", "s", "bowl", "no", "2")


@pytest.mark.parametrize(
    ("answer", "text", "stands"),
    [
        ("red", "Is it red or blue?", True),
        ("Red", "is it RED?", True),
        ("red", "Is it bored?", False),
        ("fire truck", "Is this a fire truck?", True),
        ("fire truck", "Is this truck on fire?", False),
        ("fire-truck.", "Is this a fire truck?", True),
        ("yes", "Yes or no?", False),
        ("No", "Is there no dog?", False),
        ("a", "Is this a dog?", False),
        ("2", "Are there 2 dogs?", True),
        ("?", "What?", False),
        ("", "What?", False),
        ("\u72ac", "\u72ac\uff1f", False),
    ],
)
def test_stands_in(answer: str, text: str, stands: bool) -> None:
    assert stands_in(answer, text) is stands
