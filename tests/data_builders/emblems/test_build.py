"""Streams: what is edited, to what, and what is asked."""

import re
import time
from collections.abc import Iterator
from itertools import combinations
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liveedit_bench.benchmark.edits import KINDS, Edit, EditStream, Kind, Picture, Probe
from liveedit_bench.data_builders.emblems import build, capacity, questions, world
from liveedit_bench.data_builders.emblems.build import _KEPT_PICTURES, _drawn, _in_order
from liveedit_bench.data_builders.emblems.world import SPLITS, TASKS, VALUES, Emblem, Split, Task
from liveedit_bench.errors import BenchError

TEST, VALIDATION, TRAIN = (build(1000, split=split) for split in ("test", "validation", "train"))
STREAMS: dict[Split, EditStream] = {"test": TEST, "validation": VALIDATION, "train": TRAIN}
EVERY = {emblem.name: emblem for split in SPLITS for emblem in world.emblems(split)}


def asked(edit: Edit, kind: Kind) -> Probe:
    [probe] = [probe for probe in edit.probes if probe.kind == kind]
    return probe


def shown(picture: Picture | None) -> Emblem:
    """The emblem on a picture that no one has opened yet."""
    assert picture is not None
    return cast(Any, picture.opener).args[0]


def task_of(edit: Edit) -> Task:
    return cast(Task, edit.facts.task)


def task_asked(probe: Probe) -> Task:
    return cast(Task, probe.fact.rpartition("/")[2])


def pictures(stream: EditStream) -> Iterator[Emblem]:
    return (shown(probe.image) for edit in stream for probe in edit.probes if probe.image is not None)


def test_capacity_is_what_a_split_can_be_asked_for() -> None:
    assert capacity("test") >= 10_000
    for split in SPLITS:
        assert capacity(split) == sum(len(emblem.edited_tasks) for emblem in world.emblems(split))


@pytest.mark.parametrize("split", SPLITS)
def test_every_edit_of_a_split_comes_once_whatever_the_seed(split: Split) -> None:
    every = {(emblem, task) for emblem in world.emblems(split) for task in emblem.edited_tasks}
    drawn = list(_in_order(split, 3))
    assert len(drawn) == len(every)
    assert set(drawn) == every


@pytest.mark.parametrize("wanted", [0, -1, 10**6])
def test_a_refusal_names_the_largest_number(wanted: int) -> None:
    with pytest.raises(BenchError, match=re.escape(f"holds from 1 to {capacity('test')}")):
        build(wanted)


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(BenchError, match="train, validation, test"):
        build(1, split="tests")


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 3), st.sampled_from(SPLITS))
@settings(max_examples=6)
def test_the_beginning_of_a_long_stream_is_the_short_one(m: int, n: int, seed: int, split: Split) -> None:
    short, long = sorted((m, n))
    assert build(long, seed=seed, split=split)[:short].sha256 == build(short, seed=seed, split=split).sha256


def test_known_streams() -> None:
    """What was published under these names: a change here is another version of the world."""
    assert build(30, seed=0, split="test").sha256.startswith("24dffe08fcea7a32")
    assert build(30, seed=1, split="train").sha256.startswith("7d0435fdaf91d191")


def test_seeds_draw_other_edits_in_another_order() -> None:
    first, second = ({edit.facts.key: edit for edit in build(800, seed=seed)} for seed in (0, 1))
    assert list(first) != list(second)
    shared = first.keys() & second.keys()
    assert 0 < len(shared) < 400
    assert sum(first[key].target != second[key].target for key in shared) > 0.8 * len(shared)


def test_splits_share_no_emblem() -> None:
    seen = {split: {emblem.name for emblem in pictures(stream)} for split, stream in STREAMS.items()}
    for split, names in seen.items():
        assert {EVERY[name].split for name in names} == {split}


def test_splits_share_no_text_fact() -> None:
    facts = {
        split: {probe.fact for edit in stream for probe in edit.probes if probe.kind == "text_locality"}
        for split, stream in STREAMS.items()
    }
    assert all(not facts[one] & facts[other] for one, other in combinations(SPLITS, 2))


def test_no_locality_probe_of_test_stands_in_train() -> None:
    """Except the one without a picture, the edit's own question: `seen` tells whether its template is trained on."""

    def probes(stream: EditStream) -> set[tuple[str | None, str]]:
        return {
            (None if probe.image is None else shown(probe.image).name, probe.prompt)
            for edit in stream
            for probe in edit.probes
            if probe.kind != "locality_no_image"
        }

    assert not probes(TEST) & probes(TRAIN)
    trained = {asked(edit, "locality_no_image").prompt for edit in TRAIN}
    for edit in TEST:
        probe = asked(edit, "locality_no_image")
        assert (probe.prompt in trained) == probe.seen


def test_a_target_is_neither_the_old_answer_nor_a_twins() -> None:
    for stream in STREAMS.values():
        for edit in stream:
            assert edit.target not in (edit.facts.old, asked(edit, "locality_twin_other").target)
            assert edit.target in world.names(task_of(edit))


def test_a_fifth_of_the_targets_of_an_evaluation_stands_in_no_training_stream() -> None:
    trained = {name for task in TASKS for name in world.targets(task, "train", seen=True)}
    assert {edit.target for edit in TRAIN} <= trained
    for stream in (TEST, VALIDATION):
        unseen = [edit for edit in stream if not edit.facts.seen_target]
        assert len(unseen) / len(stream) == pytest.approx(0.2, abs=0.03)
        assert not {edit.target for edit in unseen} & trained
        assert {edit.target for edit in stream if edit.facts.seen_target} <= trained
    assert not {e.target for e in TEST if not e.facts.seen_target} & {e.target for e in VALIDATION}
    assert all(edit.facts.seen_target for edit in TRAIN)


def test_a_third_of_the_questions_of_an_evaluation_is_asked_in_new_words() -> None:
    tables = (questions.ATTRIBUTE, questions.HOP, questions.TEXT)
    trained = {line for table in tables for templates in table.values() for line in templates.seen}
    subjects = "|".join(fact.subject for fact in world.text_facts())
    for stream in (TEST, VALIDATION):
        probes = [probe for edit in stream for probe in edit.probes]
        assert sum(not probe.seen for probe in probes) / len(probes) == pytest.approx(1 / 3, abs=0.04)
        for probe in probes[:1500]:
            assert (re.sub(rf"\b({subjects})\b", "{name}", probe.prompt) in trained) == probe.seen, probe.prompt
    assert all(probe.seen for edit in TRAIN for probe in edit.probes)


def test_a_fifth_of_the_edited_emblems_is_edited_twice() -> None:
    entities = [emblem for emblem, _ in _in_order("test", 0)]
    assert (len(entities) - len(set(entities))) / len(set(entities)) == pytest.approx(0.2, abs=0.01)
    # The second edit comes soon, so that a stream of any length holds pairs.
    entities = [edit.facts.entity for edit in TEST[:1000]]
    assert (len(entities) - len(set(entities))) / len(set(entities)) > 0.15


def test_every_edit_asks_every_kind_once_and_portability_where_there_is_a_hop() -> None:
    for edit in TEST:
        kinds = [probe.kind for probe in edit.probes]
        assert kinds[0] == "reliability"
        assert len(set(kinds)) == len(kinds)
        assert set(KINDS) - set(kinds) == (set() if edit.facts.task in questions.HOP else {"portability"})


def test_generality_asks_in_other_words_and_of_another_picture() -> None:
    for edit in TEST[:200]:
        assert asked(edit, "text_generality").prompt != edit.prompt
        assert asked(edit, "text_generality").image is edit.image
        second = asked(edit, "image_generality")
        assert shown(second.image) == shown(edit.image)
    assert all(asked(edit, "image_generality").image != edit.image for edit in TEST[:10])


def differences(one: Emblem, other: Emblem) -> list[str]:
    return [task for task in TASKS if one.value(task) != other.value(task)]


def test_twins_differ_in_exactly_one_attribute() -> None:
    for edit in TEST:
        edited, same, other = (
            shown(asked(edit, kind).image) for kind in ("reliability", "locality_twin_same", "locality_twin_other")
        )
        [changed] = differences(edited, same)
        assert changed != edit.facts.task
        assert asked(edit, "locality_twin_same").target == edit.facts.old
        assert differences(edited, other) == [edit.facts.task]
        assert asked(edit, "locality_twin_other").target == other.truth(task_of(edit)) != edit.facts.old


def test_locality_answers_are_the_truth_of_the_base_world() -> None:
    for edit in TEST:
        other = asked(edit, "image_locality")
        assert other.target == shown(other.image).truth(task_asked(other))
        assert shown(other.image).probe_only
        assert asked(edit, "locality_no_image").target == questions.UNKNOWN
        text = asked(edit, "text_locality")
        [fact] = [fact for fact in world.text_facts_of("test") if fact.key == text.fact]
        assert (text.target, text.image) == (fact.answer, None)
        assert fact.subject in text.prompt


def test_the_other_question_is_never_about_an_edited_attribute() -> None:
    for edit in TEST:
        probe = asked(edit, "locality_other_question")
        emblem = shown(edit.image)
        assert probe.image is edit.image
        assert task_asked(probe) not in emblem.edited_tasks
        assert probe.target == emblem.truth(task_asked(probe))


def test_portability_answers_the_fact_of_the_target() -> None:
    for edit in TEST:
        for probe in edit.probes:
            if probe.kind == "portability":
                fact = world.hop(task_of(edit), edit.target)
                assert fact is not None
                assert (probe.target, probe.image) == (fact.answer, edit.image)
                assert probe.facts_used == (edit.facts.key, fact.key)


def test_ledger_keys() -> None:
    """An edit overrides the fact its own probes are known by; every probe of a picture belongs to that emblem."""
    for edit in TEST:
        emblem = shown(edit.image)
        assert edit.facts.entity == emblem.name
        assert edit.facts.key == f"{emblem.name}/{edit.facts.task}" == emblem.key(task_of(edit))
        assert edit.facts.old == emblem.truth(task_of(edit))
        assert edit.facts.provenance == f"{world.VERSION} test seed 0"
        for probe in edit.probes:
            if probe.image is not None:
                assert probe.thing == shown(probe.image).name
            if probe.kind in ("reliability", "text_generality", "image_generality"):
                assert (probe.fact, probe.target) == (edit.facts.key, edit.target)
            elif probe.kind == "portability":
                assert probe.fact == f"{edit.facts.key}.hop"
            else:
                assert probe.fact != edit.facts.key


def test_a_picture_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    draw = Emblem.draw
    monkeypatch.setattr(Emblem, "draw", lambda self, *view: (drawn.append(self.name), draw(self, *view))[1])
    [edit] = build(1, seed=77)
    first = [probe.image.open() for probe in edit.probes if probe.image is not None]
    again = [probe.image.open() for probe in build(1, seed=77)[0].probes if probe.image is not None]
    assert len(drawn) == 5
    first[0].putpixel((0, 0), (1, 2, 3))  # what a caller does to its copy stays there
    assert [picture.tobytes() for picture in again][1:] == [picture.tobytes() for picture in first][1:]
    assert edit.probes[0].image is not None
    assert edit.probes[0].image.open().tobytes() == again[0].tobytes()


def test_kept_pictures_stay_below_150_megabytes() -> None:
    assert _drawn.cache_info().maxsize == _KEPT_PICTURES
    assert _KEPT_PICTURES * (48 * 48 * 3 + 800) < 150e6


def test_a_thousand_edits_are_built_quickly() -> None:
    began = time.process_time()
    build(1000, seed=5)
    assert time.process_time() - began < 3  # 0.2 s on a quiet machine


def test_values_cover_the_world() -> None:
    assert [len(VALUES[task]) for task in TASKS] == [12, 12, 10, 6, 4]
