from dataclasses import replace

from fakes import make_edit
from hypothesis import given, settings
from hypothesis import strategies as st

from liveedit_bench.benchmark.edits import LOCALITY_KINDS, Edit, Facts, Probe
from liveedit_bench.runners.ledger import Ledger


def edit(key: str, target: str, *probes: Probe) -> Edit:
    own = Probe("reliability", None, "?", target, key)
    return Edit(None, "?", target, (own, *probes), Facts(key, "old", key, "task", "test"))


def test_a_question_for_the_edited_fact_expects_the_newest_target():
    edits = [edit("a/x", "one"), edit("b/x", "two"), edit("a/x", "three")]
    ledger = Ledger(edits)
    own = edits[0].probes[0]
    assert [ledger.expected(0, own, step) for step in (1, 2, 3)] == ["one", "one", "three"]
    assert ledger.expected(2, edits[2].probes[0], 3) == "three"
    rephrase = replace(own, kind="text_generality")
    assert ledger.expected(0, rephrase, 3) == "three"


def test_a_portability_probe_expires_when_a_fact_it_rests_on_is_edited():
    hop = Probe("portability", None, "who?", "leader of one", "one/leader", facts_used=("a/x",))
    edits = [edit("a/x", "one", hop), edit("a/x", "two"), edit("one/leader", "nobody")]
    ledger = Ledger(edits)
    assert ledger.expected(0, hop, 1) == "leader of one"
    assert ledger.expected(0, hop, 2) is None
    only_leader = Ledger([edits[0], edits[2]])
    assert only_leader.expected(0, hop, 1) == "leader of one"
    assert only_leader.expected(0, hop, 2) is None


def test_an_earlier_edit_of_the_same_fact_does_not_expire_a_later_probe():
    hop = Probe("portability", None, "who?", "leader of two", "two/leader", facts_used=("a/x",))
    ledger = Ledger([edit("a/x", "one"), edit("a/x", "two", hop)])
    assert ledger.expected(1, hop, 2) == "leader of two"


def test_locality_keeps_the_truth_of_the_world_until_its_fact_is_edited():
    unrelated = Probe("image_locality", None, "?", "truth", "b/x")
    ledger = Ledger([edit("a/x", "one", unrelated), edit("b/x", "two")])
    assert ledger.expected(0, unrelated, 1) == "truth"
    assert ledger.expected(0, unrelated, 2) is None
    assert ledger.touched("b/x")
    assert not ledger.touched("b/y")


def test_an_edit_is_superseded_by_the_first_later_one_with_another_target_and_stays_so():
    edits = [edit("a/x", "one"), edit("a/x", "one"), edit("a/x", "two"), edit("b/x", "one"), edit("a/x", "one")]
    ledger = Ledger(edits)
    own = edits[0].probes[0]
    assert [ledger.superseded(0, own, step) for step in range(1, 6)] == [False, False, True, True, True]
    assert [ledger.superseded(1, own, step) for step in range(2, 6)] == [False, True, True, True]
    assert [ledger.superseded(2, own, step) for step in range(3, 6)] == [False, False, True]
    assert not ledger.superseded(3, edits[3].probes[0], 5)
    assert not ledger.superseded(4, own, 5)
    assert [ledger.expected(0, own, step) for step in (2, 3, 5)] == ["one", "two", "one"]
    assert not ledger.superseded(0, Probe("image_locality", None, "?", "truth", "a/x"), 5)


def test_a_repeat_changes_nothing():
    """The same fact and the same target once more: both edits count, and what rests on the fact stays known."""
    hop = Probe("portability", None, "who?", "leader of one", "one/leader", facts_used=("a/x",))
    repeated = Ledger([edit("a/x", "one", hop), edit("a/x", "one", hop)])
    assert [repeated.expected(position, hop, 2) for position in (0, 1)] == ["leader of one"] * 2
    assert not repeated.overridden(0, 2)
    folded = [edit("a/x", "One", hop), edit("a/x", " one", hop)]
    assert Ledger(folded, normalisation="casefold").expected(0, hop, 2) == "leader of one"
    assert Ledger(folded, normalisation="casefold").expected(0, folded[0].probes[0], 2) == "One"
    assert Ledger(folded).expected(0, hop, 2) is None


KEYS = ("a/x", "a/y", "b/x", "c/x")
TARGETS = ("one", "two", "three")
probes = st.builds(
    Probe,
    kind=st.sampled_from(["text_generality", "image_generality", "portability", "text_locality", "image_locality"]),
    image=st.none(),
    prompt=st.just("?"),
    target=st.sampled_from(TARGETS),
    fact=st.sampled_from([*KEYS, "free/x"]),
    facts_used=st.lists(st.sampled_from([*KEYS, "free/y"]), max_size=2).map(tuple),
)
written = st.builds(
    lambda key, target, asked: edit(key, target, *asked),
    st.sampled_from(KEYS),
    st.sampled_from(TARGETS),
    st.lists(probes, max_size=3),
)


@settings(max_examples=200)
@given(st.lists(written, min_size=1, max_size=9))
def test_against_a_world_that_is_replayed(edits: list[Edit]):
    """The world is a dict of answers; beside it stands when each answer last became another one."""
    ledger = Ledger(edits)
    world: dict[str, str] = {}
    changed: dict[str, int] = {}
    for step, newest in enumerate(edits, start=1):
        if world.get(newest.facts.key) != newest.target:
            changed[newest.facts.key] = step
        world[newest.facts.key] = newest.target
        for position, past in enumerate(edits[:step]):
            own, applied = past.facts.key, position + 1
            overridden = changed[own] > applied
            for probe in past.probes:
                locality = probe.kind in LOCALITY_KINDS
                asks_own = probe.fact == own and not locality
                rests_on = [key for key in (probe.fact, *probe.facts_used) if locality or key != own]
                gone = any(key in world for key in rests_on)
                if not locality and overridden and own in (probe.fact, *probe.facts_used) and not asks_own:
                    gone = True
                right = world[own] if asks_own and overridden else probe.target
                assert ledger.superseded(position, probe, step) == (asks_own and overridden)
                assert ledger.expected(position, probe, step) == (None if gone else right)


@given(st.integers(1, 60), st.integers(1, 8))
def test_against_a_world_that_is_written_out(length: int, facts: int):
    edits = [make_edit(position, facts=facts) for position in range(length)]
    ledger = Ledger(edits)
    world: dict[str, tuple[str, int]] = {}
    for step, newest in enumerate(edits, start=1):
        world[newest.facts.key] = (newest.target, step - 1)
        for position, past in enumerate(edits[:step]):
            for probe in past.probes:
                expected = ledger.expected(position, probe, step)
                if probe.fact == past.facts.key and probe.kind not in LOCALITY_KINDS:
                    assert expected == world[past.facts.key][0]
                    continue
                by_others = [
                    key for key in (probe.fact, *probe.facts_used) if world.get(key, ("", position))[1] != position
                ]
                assert expected == (None if by_others else probe.target)
