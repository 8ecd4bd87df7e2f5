"""The base world: emblems, meanings, text facts, and who may see what."""

from itertools import combinations

import pytest

from liveedit_bench.data_builders.emblems import world
from liveedit_bench.data_builders.emblems.world import SPLITS, TASKS, VALUES, Emblem, emblem


def test_every_emblem_stands_in_exactly_one_split() -> None:
    parts = {split: set(world.emblems(split)) for split in SPLITS}
    assert sum(map(len, parts.values())) == 34_560
    assert all(not parts[one] & parts[other] for one, other in combinations(SPLITS, 2))


def test_a_split_is_a_function_of_the_emblem_alone() -> None:
    for split in SPLITS:
        for each in world.emblems(split)[::500]:
            fresh = Emblem(each.clan, each.region, each.craft, each.era, each.motto)
            assert (fresh.split, fresh.probe_only, fresh.edited_tasks) == (split, each.probe_only, each.edited_tasks)


def test_a_triple_of_shape_colour_and_pattern_stands_in_one_split_only() -> None:
    triples = {split: {(each.clan, each.region, each.craft) for each in world.emblems(split)} for split in SPLITS}
    assert all(not triples[one] & triples[other] for one, other in combinations(SPLITS, 2))


def test_every_emblem_has_a_twin_of_its_split_along_every_attribute() -> None:
    for split in SPLITS:
        for each in world.emblems(split)[::300]:
            for task in TASKS:
                twins = [each.with_value(task, value) for value in range(len(VALUES[task]))]
                assert any(twin.split == split and twin != each for twin in twins), (each.name, task)


def test_one_object_for_one_emblem() -> None:
    each = world.emblems("test")[7]
    assert each.with_value("era", each.era) is each
    assert emblem(each.clan, each.region, each.craft, each.era, each.motto) is each
    assert each.with_value("era", (each.era + 1) % 6).with_value("era", each.era) is each


def test_a_fifth_is_never_edited_and_a_fifth_of_the_edited_twice() -> None:
    every = [each for split in SPLITS for each in world.emblems(split)]
    edited = [each for each in every if not each.probe_only]
    assert len(edited) / len(every) == pytest.approx(0.8, abs=0.01)
    assert {len(each.edited_tasks) for each in edited} == {1, 2}
    assert sum(len(each.edited_tasks) == 2 for each in edited) / len(edited) == pytest.approx(0.2, abs=0.01)
    assert all(len(set(each.edited_tasks)) == len(each.edited_tasks) for each in edited)
    assert not any(each.edited_tasks for each in every if each.probe_only)


def test_names_of_emblems_and_facts_are_keys() -> None:
    every = [each for split in SPLITS for each in world.emblems(split)]
    assert len({each.name for each in every}) == len(every)
    assert not any("/" in each.name for each in every)
    assert every[0].key("era") == f"{every[0].name}/era"
    assert len({fact.key for fact in world.text_facts()}) == len(world.text_facts())


def test_a_thousand_text_facts_dealt_to_the_splits() -> None:
    facts = world.text_facts()
    assert len(facts) >= 1000
    assert {fact for split in SPLITS for fact in world.text_facts_of(split)} == set(facts)
    assert sum(len(world.text_facts_of(split)) for split in SPLITS) == len(facts)
    for split in SPLITS:
        assert len(world.text_facts_of(split)) / len(facts) == pytest.approx(1 / 3, abs=0.05)


def test_names_that_only_one_evaluation_split_may_use_as_targets() -> None:
    for task in TASKS:
        pools = [
            set(world.targets(task, "train", seen=True)),
            set(world.targets(task, "validation", seen=False)),
            set(world.targets(task, "test", seen=False)),
        ]
        assert all(pools)
        assert set.union(*pools) == set(world.names(task))
        assert all(not one & other for one, other in combinations(pools, 2))


def test_two_hundred_target_names_share_no_word() -> None:
    test_targets = [name for task in TASKS for seen in (True, False) for name in world.targets(task, "test", seen=seen)]
    words = [word for name in test_targets for word in name.split()]
    assert len(test_targets) >= 200
    assert len(set(words)) == len(words) == len(test_targets)


def test_hops_lead_from_a_name_to_its_own_fact() -> None:
    for task in TASKS:
        for name in world.names(task):
            fact = world.hop(task, name)
            if not world.RELATIONS[task]:
                assert fact is None
                continue
            assert fact is not None
            assert (fact.subject, fact.relation) == (name, world.RELATIONS[task][0])
            assert fact in world.text_facts()


def test_a_third_of_the_hops_is_withheld() -> None:
    for task in TASKS:
        meanings, others = world.names(task)[: len(VALUES[task])], world.names(task)[len(VALUES[task]) :]
        assert sum(map(world.hop_withheld, meanings)) == len(meanings) // 3
        assert sum(map(world.hop_withheld, others)) / len(others) == pytest.approx(1 / 3, abs=0.12)


def test_meanings_are_the_first_names() -> None:
    each = emblem(3, 4, 5, 2, 1)
    assert [each.truth(task) for task in TASKS] == [
        world.names(task)[value] for task, value in zip(TASKS, (3, 4, 5, 2, 1), strict=True)
    ]
