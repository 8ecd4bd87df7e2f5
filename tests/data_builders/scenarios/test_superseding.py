from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_streams import local, plain, small_edit, small_stream

from liveedit_bench.benchmark.edits import LOCALITY_KINDS, EditStream
from liveedit_bench.data_builders.emblems import build
from liveedit_bench.data_builders.scenarios import arrange, arranged
from liveedit_bench.errors import BenchError
from liveedit_bench.runners.ledger import Ledger


def pairs(stream: EditStream) -> list[tuple[int, int]]:
    """Positions of both edits of every fact that is edited twice."""
    first: dict[str, int] = {}
    found: list[tuple[int, int]] = []
    for position, edit in enumerate(stream):
        if edit.facts.key in first:
            found.append((first[edit.facts.key], position))
        first.setdefault(edit.facts.key, position)
    return found


@pytest.fixture(scope="module")
def emblems() -> EditStream:
    return build(60, seed=0, split="validation")


def test_a_second_edit_asks_the_same_for_another_target(emblems: EditStream):
    stream = arrange(emblems, ["superseding"], seed=3)
    found = pairs(stream)
    assert len(stream) == 72
    assert len(found) == 12
    for before, after in found:
        one, two = stream[before], stream[after]
        assert before < after
        assert (two.image, two.prompt, two.facts.key, two.facts.old) == (
            one.image,
            one.prompt,
            one.facts.key,
            one.facts.old,
        )
        assert two.target not in (one.target, one.facts.old)
        assert two.target in {edit.target for edit in emblems if edit.facts.task == one.facts.task}
        donor = next(edit for edit in emblems if edit.target == two.target and edit.facts.task == one.facts.task)
        assert two.facts.seen_target == donor.facts.seen_target
        assert two.facts.provenance == f"{one.facts.provenance}; edited again"
        kept = [probe for probe in one.probes if probe.kind != "portability"]
        assert [(probe.kind, probe.image, probe.prompt) for probe in two.probes] == [
            (probe.kind, probe.image, probe.prompt) for probe in kept
        ]
        for old, new in zip(kept, two.probes, strict=True):
            assert new.target == (old.target if old.kind in LOCALITY_KINDS else two.target)
            assert old.kind not in LOCALITY_KINDS or old.target != two.target


def test_what_was_not_drawn_is_as_it_was(emblems: EditStream):
    found = arranged(emblems, ["superseding"], seed=3)
    second = {after for _, after in pairs(found.stream)}
    rest = [edit.id for position, edit in enumerate(found.stream) if position not in second]
    assert rest == [edit.id for edit in emblems]
    assert found.card["origins"] == [
        [edit.facts.key for edit in emblems].index(edit.facts.key) for edit in found.stream
    ]


def test_the_counts_are_told(emblems: EditStream):
    found = arranged(emblems, ["superseding"], seed=3)
    (told,) = found.card["done"]
    assert (told["second edits"], told["edits"], told["share"]) == (12, 60, 0.2)
    hops = sum(
        probe.kind == "portability" for before, _ in pairs(found.stream) for probe in found.stream[before].probes
    )
    assert told["portability left out of second edits, what follows from the new target is not known"] == hops > 0


@pytest.mark.parametrize(("share", "second"), [(0.01, 1), (0.5, 30), (1.0, 60)])
def test_the_share_is_an_option(emblems: EditStream, share: float, second: int):
    assert len(pairs(arrange(emblems, ["superseding"], share=share))) == second


@pytest.mark.parametrize("share", [0, -0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(emblems: EditStream, share: float):
    with pytest.raises(BenchError, match="more than 0 and at most 1"):
        arrange(emblems, ["superseding"], share=share)


def test_the_seed_draws_edits_targets_and_places(emblems: EditStream):
    streams = [arrange(emblems, ["superseding"], seed=seed) for seed in (0, 1, 1)]
    assert streams[1].sha256 == streams[2].sha256
    drawn = [{stream[before].facts.key for before, _ in pairs(stream)} for stream in streams]
    assert drawn[0] != drawn[1]


def test_edits_that_cannot_be_edited_again_are_counted():
    twice = [small_edit(at, key="both/x", target=f"t{at}") for at in range(2)]
    alone = small_edit(2, task="nothing else is like it")
    same = [small_edit(at, target=f"Same{' ' * at}", task="one answer") for at in (3, 4)]
    found = arranged(small_stream([*twice, alone, *same], normalisation="casefold"), ["superseding"], share=1.0)
    (told,) = found.card["done"]
    assert told["second edits"] == 0
    assert told["not drawn: the stream edits their fact again anyway"] == 2
    assert told["passed over: no other target of its task"] == 3
    assert told["fewer than the share asks for"] == 5
    assert len(found.stream) == 5


def test_the_new_target_is_no_answer_of_a_neighbour():
    neighbour = local("image_locality", "and this", image="other", truth="target1")
    for seed in range(10):
        edits = [small_edit(0, locality=[neighbour]), small_edit(1), small_edit(2)]
        stream = arrange(small_stream(edits), ["superseding"], seed=seed, share=1.0)
        again = {stream[after].facts.key: stream[after].target for _, after in pairs(stream)}
        assert again["thing0/fact0"] == "target2"


def test_targets_come_from_the_same_dataset():
    streams = [plain(10, "one"), small_stream([small_edit(at, key=f"k{at}/x", target=f"else{at}") for at in range(10)])]
    stream = arrange(streams, ["superseding"], share=1.0)
    for before, after in pairs(stream):
        assert stream[before].target[:4] == stream[after].target[:4]


@given(st.integers(1, 30), st.integers(0, 99), st.sampled_from([["shuffled"], ["spread-twins"], ["by-entity"], []]))
def test_the_second_edit_stays_the_later_one_in_every_order(count: int, seed: int, orders: list[str]):
    stream = arrange(plain(count), ["superseding", *orders], seed=seed, share=0.5)
    found = pairs(stream)
    assert len(found) == (int(count * 0.5 + 0.5) if count > 1 else 0)
    assert all(stream[after].facts.provenance.endswith("again") for _, after in found)
    assert not any(stream[before].facts.provenance.endswith("again") for before, _ in found)
    ledger, steps = Ledger(stream), len(stream)
    for before, after in found:
        assert ledger.expected(before, stream[before].probes[0], steps) == stream[after].target
        assert ledger.superseded(before, stream[before].probes[0], steps)
        assert not ledger.superseded(after, stream[after].probes[0], steps)
    assert max(Counter(edit.facts.key for edit in stream).values()) <= 2
