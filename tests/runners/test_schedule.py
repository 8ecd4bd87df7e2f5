import pytest
from fakes import make_edit
from hypothesis import given
from hypothesis import strategies as st

from liveedit_bench.benchmark.edits import LOCALITY_KINDS
from liveedit_bench.errors import BenchError
from liveedit_bench.runners.ledger import Ledger
from liveedit_bench.runners.schedule import checkpoints, draw, panel, past_edits


def test_checkpoints_go_1_2_5_and_end_at_the_last_step():
    assert checkpoints(1) == (1,)
    assert checkpoints(7) == (1, 2, 5, 7)
    assert checkpoints(1000) == (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    assert checkpoints(120) == (1, 2, 5, 10, 20, 50, 100, 120)


def test_chosen_checkpoints_are_sorted_and_always_hold_the_last_step():
    assert checkpoints(100, [50, 3, 50]) == (3, 50, 100)
    for wrong in (0, 101):
        with pytest.raises(BenchError, match="from 1 to 100"):
            checkpoints(100, [wrong])


def test_the_panel_asks_only_what_no_edit_touches():
    edits = [make_edit(position, facts=30) for position in range(80)]
    ledger = Ledger(edits)
    places = panel(edits, ledger, seed=0)
    probes = [edits[place.position].probes[place.probe] for place in places]
    touched = {edit.facts.key for edit in edits}
    assert places == sorted(set(places))
    assert all(probe.kind in LOCALITY_KINDS and probe.fact not in touched for probe in probes)
    assert {probe.kind for probe in probes} == {
        probe.kind for edit in edits for probe in edit.probes if probe.kind in LOCALITY_KINDS
    }


def test_the_panel_is_drawn_by_the_seed_and_bounded_for_each_kind():
    edits = [make_edit(position) for position in range(50)]
    ledger = Ledger(edits)
    small = panel(edits, ledger, seed=0, size=10)
    kinds = [edits[place.position].probes[place.probe].kind for place in small]
    assert all(kinds.count(kind) == 10 for kind in set(kinds))
    assert small == panel(edits, ledger, seed=0, size=10)
    assert small != panel(edits, ledger, seed=1, size=10)


@given(st.integers(1, 3000), st.integers(1, 200), st.integers(0, 5))
def test_a_sample_of_past_edits_takes_every_age_alike(step: int, bound: int, seed: int):
    sample = past_edits(step, seed=seed, bound=bound)
    if step <= bound:
        assert sample == list(range(step))
        return
    assert len(sample) == bound
    assert sample == sorted(set(sample))
    assert all(index * step // bound <= position < (index + 1) * step // bound for index, position in enumerate(sample))
    assert sample == past_edits(step, seed=seed, bound=bound)


def test_a_draw_is_a_subset_that_depends_on_its_label():
    assert draw(3, 10, "a") == [0, 1, 2]
    assert draw(100, 5, "a") == draw(100, 5, "a") != draw(100, 5, "b")
