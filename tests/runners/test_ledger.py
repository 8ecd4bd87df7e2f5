from dataclasses import replace

from fakes import make_edit
from hypothesis import given
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
