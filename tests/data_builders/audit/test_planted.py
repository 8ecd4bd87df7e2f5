"""What is planted in a clean stream is found: by the checks that it must strike, by so many, and by no other."""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_edits import Draft, gone, stream

from liveedit_bench.data_builders.audit import audit

Strikes = dict[str, int]
Free = Iterator[Draft]


def duplicate(free: Free, train: Free) -> Strikes:
    one, other = next(free), next(free)
    other.texts = {name: one[name] for name in NAMES}
    return {"duplicates": 2, "same-key": 2, "entities-edited-twice": 1, "shared-pictures": 2, "distinct-prompts": -1}


def conflict(free: Free, train: Free) -> Strikes:
    one, other = next(free), next(free)
    other.texts |= {"image": one["image"], "prompt": one["prompt"]}
    return {
        "same-key": 2,
        "conflicting-targets": 2,
        "entities-edited-twice": 1,
        "shared-pictures": 2,
        "shared-pictures-other-targets": 2,
        "distinct-prompts": -1,
    }


def shared_picture(free: Free, train: Free) -> Strikes:
    one, other = next(free), next(free)
    other.texts["image"] = one["image"]
    return {"entities-edited-twice": 1, "shared-pictures": 2, "shared-pictures-other-targets": 2}


def shared_entity(free: Free, train: Free) -> Strikes:
    one, other = next(free), next(free)
    one.texts["entity"] = other.texts["entity"] = f"entity of {one.n}"
    return {"entities-edited-twice": 1}


def no_op(free: Free, train: Free) -> Strikes:
    draft = next(free)
    draft.texts["target"] = f" {draft['old'].upper()}"
    return {"no-op": 1}


def unchanged(free: Free, train: Free) -> Strikes:
    draft = next(free)
    draft.texts["rephrase"] = f"\u201c{draft['prompt'].upper()}\u201d"
    return {"rephrase-equals-prompt": 1}


def chatter(free: Free, train: Free) -> Strikes:
    draft = next(free)
    draft.texts["rephrase"] = "I'm sorry, I do not understand."
    return {"rephrase-chatter": 1}


def answer_in_prompt(free: Free, train: Free) -> Strikes:
    draft = next(free)
    draft.texts["prompt"] = f"Is thing {draft.n} {draft['target'].title()}?"
    return {"answer-in-prompt": 1}


def answer_in_rephrase(free: Free, train: Free) -> Strikes:
    draft = next(free)
    draft.texts["rephrase"] = f"Would you say {draft['target']}, thing {draft.n}?"
    return {"answer-in-rephrase": 1}


def yes(free: Free, train: Free) -> Strikes:
    next(free).texts |= {"target": "yes"}
    return {"yes-no-targets": 1}


def lost_picture(free: Free, train: Free) -> Strikes:
    draft = next(free)
    draft.pictures["second"] = gone(draft["second"])
    return {"missing-pictures": 1}


def local_picture(free: Free, train: Free) -> Strikes:
    one, other = next(free), next(free)
    one.texts["other"] = other["image"]
    return {"locality-edited-picture": 1, "locality-edited-entity": 1}


def local_fact(free: Free, train: Free) -> Strikes:
    one, other = next(free), next(free)
    one.texts |= {"other": other["image"], "other_prompt": other["prompt"]}
    return {"locality-edited-fact": 1, "locality-edited-picture": 1, "locality-edited-entity": 1}


def taught_key(free: Free, train: Free) -> Strikes:
    draft = next(free)
    next(train).texts |= {"image": draft["image"], "prompt": draft["prompt"]}
    return {"train-key": 1, "train-edited-picture": 1, "train-entity": 1, "train-pictures": 1, "seen-prompts": 1}


def taught_picture(free: Free, train: Free) -> Strikes:
    next(train).texts["image"] = next(free)["image"]
    return {"train-edited-picture": 1, "train-entity": 1, "train-pictures": 1}


def taught_answer(free: Free, train: Free) -> Strikes:
    draft = next(free)
    next(train).texts |= {"prompt": draft["prompt"].lower(), "target": draft["target"].upper()}
    return {"train-prompt-and-target": 1, "seen-targets": 1, "seen-prompts": 1}


def taught_image_locality(free: Free, train: Free) -> Strikes:
    draft = next(free)
    next(train).texts |= {"other": draft["other"], "other_prompt": draft["other_prompt"]}
    return {"train-image-locality": 1, "train-pictures": 1}


def taught_text_locality(free: Free, train: Free) -> Strikes:
    next(train).texts["text"] = f"nq question: {next(free)['text']}?"
    return {"train-text-locality": 1}


NAMES = ("image", "second", "other", "prompt", "rephrase", "old", "target", "text", "other_prompt")
PLANTS: tuple[Callable[[Free, Free], Strikes], ...] = (
    duplicate,
    conflict,
    shared_picture,
    shared_entity,
    no_op,
    unchanged,
    chatter,
    answer_in_prompt,
    answer_in_rephrase,
    yes,
    lost_picture,
    local_picture,
    local_fact,
    taught_key,
    taught_picture,
    taught_answer,
    taught_image_locality,
    taught_text_locality,
)
SIZE = 2 * 3 * len(PLANTS)


def counts(drafts: list[Draft], train: list[Draft]) -> dict[str, int]:
    report, _ = audit(
        stream([draft.edit() for draft in drafts]),
        train=stream([draft.edit() for draft in train], split="train"),
    )
    return {name: finding.count for name, finding in report.findings.items()}


def streams() -> tuple[list[Draft], list[Draft]]:
    return [Draft(n) for n in range(SIZE)], [Draft(n, "train") for n in range(SIZE)]


CLEAN = counts(*streams())


def test_the_clean_stream_is_clean() -> None:
    assert {name: count for name, count in CLEAN.items() if count} == {"distinct-prompts": SIZE}


def check(planted: dict[Callable[[Free, Free], Strikes], int], order: list[int]) -> None:
    drafts, train = streams()
    free, taught = iter([drafts[at] for at in order]), iter([train[at] for at in reversed(order)])
    expected = Counter(CLEAN)
    for plant, many in planted.items():
        for _ in range(many):
            for name, strikes in plant(free, taught).items():
                expected[name] += strikes
    assert counts(drafts, train) == dict(expected)


@pytest.mark.parametrize("plant", PLANTS)
@settings(max_examples=10)
@given(many=st.integers(0, 5), order=st.permutations(range(SIZE)))
def test_each_anomaly(plant: Callable[[Free, Free], Strikes], many: int, order: list[int]) -> None:
    check({plant: many}, order)


@given(planted=st.dictionaries(st.sampled_from(PLANTS), st.integers(0, 3)), order=st.permutations(range(SIZE)))
def test_anomalies_together(planted: dict[Callable[[Free, Free], Strikes], int], order: list[int]) -> None:
    check(planted, order)


def test_every_check_is_struck_by_something() -> None:
    drafts, train = streams()
    struck = {name for plant in PLANTS for name in plant(iter(drafts), iter(train))}
    assert struck == set(CLEAN)
