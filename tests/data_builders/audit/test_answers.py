"""Prompts, lengths, what is seen and what is missing."""

from dataclasses import replace

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from made_up_edits import Draft, clean, gone, made, material

from liveedit_bench.data_builders.audit import answers


def test_one_prompt_for_all() -> None:
    found = answers.prompts(material(*(made(n, prompt="A photo of" + " " * n) for n in range(4))))
    assert (found.count, found.of, found.state, found.title) == (1, 4, "odd", "one prompt for every edit")
    assert found.numbers == {"edits with the commonest prompt": 4}
    many = answers.prompts(material(made(0, prompt="Who?"), made(1, prompt="who"), made(2, prompt="What?")))
    assert (many.count, many.state) == (2, "fact")
    assert [record.position for record in many.records] == [0, 1]
    assert answers.prompts(material(made(0))).state == "fact"


def test_lengths_and_yes_no() -> None:
    targets = ["Yes.", "no", "nobody", "a b c", "yes or no"]
    found = answers.target_lengths(material(*(made(n, target=target) for n, target in enumerate(targets))))
    assert (found.count, found.of, found.state) == (2, 5, "fact")
    assert found.numbers == {
        "distinct targets": 5,
        "characters, min": 2,
        "characters, median": 5,
        "characters, p95": 9,
        "characters, max": 9,
        "words, min": 1,
        "words, median": 1,
        "words, p95": 3,
        "words, max": 3,
    }


@drawn(st.lists(st.integers(0, 50), min_size=1))
def test_summary(sizes: list[int]) -> None:
    sizes.sort()
    found = answers.summary(sizes)
    assert (found["min"], found["max"]) == (sizes[0], sizes[-1])
    at_most = sum(size <= found["p95"] for size in sizes)
    below = sum(size < found["p95"] for size in sizes)
    assert at_most >= 0.95 * len(sizes) > below
    assert sum(size < found["median"] for size in sizes) <= len(sizes) / 2
    assert sum(size > found["median"] for size in sizes) <= len(sizes) / 2


def test_seen_is_what_the_builder_said_unless_training_is_named() -> None:
    edits = [
        replace(edit, facts=replace(edit.facts, seen_target=flag), probes=(replace(edit.probes[0], seen=flag),))
        for edit, flag in zip(clean(3), (True, False, None), strict=True)
    ]
    targets, prompts = answers.seen_targets(material(*edits)), answers.seen_prompts(material(*edits))
    assert (targets.count, targets.of, targets.numbers) == (1, 2, {"unseen": 1})
    assert (prompts.count, prompts.of) == (1, 2)
    train = [made(0, "train", target="EVAL2ish", prompt="what colour has eval thing 1")]
    targets, prompts = (check(material(*edits, train=train)) for check in (answers.seen_targets, answers.seen_prompts))
    assert ([record.position for record in targets.records], targets.of) == ([2], 3)
    assert ([record.position for record in prompts.records], prompts.of) == ([1], 3)


@pytest.mark.parametrize("check", [answers.seen_targets, answers.seen_prompts])
def test_nobody_knows_what_is_seen(check: type) -> None:
    found = check(material(*clean(2)))
    assert (found.state, found.unknown) == ("unknown", "needs --train")


def test_missing_pictures_are_counted_once() -> None:
    drafts = [Draft(0), Draft(1), Draft(2)]
    drafts[0].pictures["other"] = drafts[1].pictures["second"] = gone("lost.jpg")
    found = answers.missing_pictures(material(*(draft.edit() for draft in drafts)))
    assert (found.count, found.of, found.state) == (1, 8, "grave")
    assert [record.position for record in found.records] == [0, 1]
    assert found.numbers == {"edits that show one": 2}
