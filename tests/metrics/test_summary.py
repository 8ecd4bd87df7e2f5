"""Every reported number against plain loops over the rows, and what must hold whatever was answered."""

from __future__ import annotations

import json
import math
import random
import statistics
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import auc

from liveedit_bench.benchmark.edits import KINDS, LOCALITY_KINDS
from liveedit_bench.errors import BenchError
from liveedit_bench.metrics import intervals
from liveedit_bench.metrics import summary as module
from liveedit_bench.metrics.answers import row_scores
from liveedit_bench.metrics.curves import curve
from liveedit_bench.metrics.forgetting import age_bins
from liveedit_bench.metrics.superseded import Superseded

summarise: Any = module.summarise  # untyped: what may be None is what is asserted on
headline: Any = module.headline
two_level: Any = intervals.two_level
SCORERS = ("teacher_forced", "free_running")
SEEDS = st.integers(0, 10**6)
UNCOUNTED = ("expired", "superseded")


def loop_mean(records, score) -> Any:
    """Mean over edits of means over rows: (value, number of edits), or None."""
    by_edit: dict[int, list[float]] = {}
    for record in records:
        value = score(record)
        if value is not None and not math.isnan(value):
            by_edit.setdefault(record["position"], []).append(value)
    if not by_edit:
        return None
    return sum(sum(values) / len(values) for values in by_edit.values()) / len(by_edit), len(by_edit)


def truth(record):
    if record["kind"] not in LOCALITY_KINDS or record["status"] in UNCOUNTED:
        return None
    return float(record["answer"] is not None and record["answer"].strip() == record["expected"].strip())


def leak(record):
    if not isinstance(record["leak"], str) or record["status"] in UNCOUNTED:
        return None
    if record["leak"].strip() == record["expected"].strip() or record["position"] >= record["step"]:
        return None
    return float(record["answer"] is not None and record["answer"].strip() == record["leak"].strip())


def scored(table) -> list[dict[str, Any]]:
    forced, free = row_scores(table, "exact")
    return table.assign(teacher_forced=forced, free_running=free).to_dict("records")


def same(estimate, want):
    """An estimate (or None) equals a pair of value and n (or None)."""
    if want is None:
        return estimate is None
    return estimate.value == pytest.approx(want[0], abs=1e-12) and estimate.n == want[1]


def loop_kinds(records):
    return {
        kind: {
            scorer: loop_mean([r for r in records if r["kind"] == kind], lambda r, scorer=scorer: r[scorer])
            for scorer in SCORERS
        }
        for kind in KINDS
    }


def check_kinds(metrics, records, kinds=KINDS):
    want = loop_kinds(records)
    for kind in kinds:
        for scorer in SCORERS:
            assert same(metrics.get(kind, {}).get(scorer), want[kind][scorer]), (kind, scorer)


def loop_composites(records, scorer):
    """(generality, locality, score), each (value, n) or None."""
    of = {kind: scorers[scorer] for kind, scorers in loop_kinds(records).items()}
    general = [of["text_generality"], of["image_generality"]]
    generality = None if None in general else (statistics.fmean(v for v, _ in general), min(n for _, n in general))
    local = [of[kind] for kind in LOCALITY_KINDS if of[kind] is not None]
    locality = (statistics.fmean(v for v, _ in local), min(n for _, n in local)) if local else None
    parts = [of["reliability"], generality, locality]
    score = None if None in parts else (statistics.harmonic_mean([v for v, _ in parts]), min(n for _, n in parts))
    return generality, locality, score


def check_superseded(found, records):
    if not records:
        assert found is None
        return
    answers = [(r["answer"].strip(), r["expected"].strip(), r["leak"].strip()) for r in records]
    assert found.probes == len(records)
    assert found.edits == len({r["position"] for r in records})
    assert found.newest == pytest.approx(statistics.fmean(said == newest for said, newest, _ in answers))
    assert found.stale == pytest.approx(statistics.fmean(said == old != newest for said, newest, old in answers))


@given(seed=SEEDS)
def test_every_number_equals_plain_loops(table, rows, seed):
    given_table = table(rows(seed))
    summary = summarise(given_table, normalisation="exact", resamples=20)
    records = scored(given_table)
    steps = sorted({r["step"] for r in records if r["when"] == "checkpoint"})
    assert [point.step for point in summary.curve] == steps
    for point in summary.curve:
        here = [r for r in records if r["when"] == "checkpoint" and r["step"] == point.step]
        check_kinds(point.metrics, here)
        for scorer in SCORERS:
            generality, locality, score = loop_composites(here, scorer)
            assert same(point.generality.get(scorer), generality)
            assert same(point.locality.get(scorer), locality)
            assert same(point.score.get(scorer), score)
        for kind in KINDS:
            of_kind = [r for r in here if r["kind"] == kind]
            assert same(point.truth.get(kind), loop_mean(of_kind, truth))
            assert same(point.leak.get(kind), loop_mean(of_kind, leak))
            assert point.expired.get(kind, 0) == sum(r["status"] == "expired" for r in of_kind)
        check_superseded(point.superseded, [r for r in here if r["status"] == "superseded"])
    last = [r for r in records if r["when"] == "checkpoint" and r["step"] == steps[-1]]
    assert same(summary.score, loop_composites(last, "free_running")[2])
    assert summary.expired == summary.curve[-1].expired
    assert summary.superseded == summary.curve[-1].superseded
    paper = [
        loop_mean([r for r in last if r["kind"] == kind], lambda r: r["teacher_forced"])
        for kind in ("reliability", "text_generality", "image_generality", "text_locality", "image_locality")
    ]
    want = None if None in paper else (statistics.fmean(v for v, _ in paper), min(n for _, n in paper))
    assert same(summary.paper_average, want)
    after = [r for r in records if r["when"] == "after_edit"]
    for scorer in SCORERS:
        assert same(summary.immediate.get(scorer), loop_mean(after, lambda r, scorer=scorer: r[scorer]))


@given(seed=SEEDS)
def test_splits_tasks_and_portability_equal_plain_loops(table, rows, seed):
    given_table = table(rows(seed))
    summary = summarise(given_table, normalisation="exact", resamples=0)
    last = [r for r in scored(given_table) if r["when"] == "checkpoint" and r["step"] == 12]
    split_kinds = ("reliability", "text_generality", "image_generality")
    for name in ("target", "prompt"):
        for split, flag in ((summary.seen, True), (summary.unseen, False)):
            part = [r for r in last if r[f"seen_{name}"] is flag and r["kind"] in split_kinds]
            metrics = split.get(name, {})
            check_kinds(metrics, part, split_kinds)
            for scorer in SCORERS:
                assert same(metrics.get("generality", {}).get(scorer), loop_composites(part, scorer)[0])
            assert set(metrics) <= {*split_kinds, "generality"}
    for task in ("clan", "craft"):
        check_kinds(summary.by_task[task], [r for r in last if r["task"] == task])
    holding = {r["position"] for r in last if r["kind"] == "reliability" and r["free_running"] == 1}
    asked = [r for r in last if r["kind"] == "portability"]
    for scorer in SCORERS:
        overall, held = summary.portability.overall, summary.portability.given_edit_holds
        assert same(overall.get(scorer), loop_mean(asked, lambda r, scorer=scorer: r[scorer]))
        given_held = [r for r in asked if r["position"] in holding]
        assert same(held.get(scorer), loop_mean(given_held, lambda r, scorer=scorer: r[scorer]))


@given(seed=SEEDS, right=st.sampled_from([0.3, 0.8]))
def test_forgetting_equals_plain_loops(table, rows, seed, right):
    given_table = table(rows(seed, edits=24, checkpoints=(3, 24), right=right, panel=0))
    found = summarise(given_table, normalisation="exact", resamples=50).forgetting
    then, now = {}, {}
    for record in scored(given_table):
        if record["kind"] == "reliability" and record["status"] not in UNCOUNTED:
            if record["when"] == "after_edit":
                then[record["position"]] = record["free_running"]
            elif record["step"] == 24:
                now[record["position"]] = record["free_running"]
    want = []
    for first, last in ((1, 10), (11, 20), (21, 50)):
        lost = [then[p] - now[p] for p in then if p in now and first <= 24 - p <= last]
        if lost:
            want.append(((first, last), sum(lost) / len(lost), len(lost)))
    assert [(b.age, pytest.approx(b.value), b.n) for b in found] == want
    assert all(b.ci95 is None or b.ci95[0] <= b.value <= b.ci95[1] for b in found)


def test_age_bins_cover_every_age_once():
    assert age_bins(0) == []
    assert age_bins(1000) == [(1, 10), (11, 20), (21, 50), (51, 100), (101, 200), (201, 500), (501, 1000)]
    assert age_bins(1001)[-1] == (1001, 2000)


def test_area_is_the_trapezoid_over_log_steps_from_ten(table, rows):
    given_table = table(rows(3, edits=40, checkpoints=(2, 10, 20, 40), panel=20))
    summary = summarise(given_table, normalisation="exact", resamples=50)
    for name in (*KINDS, "generality", "locality", "score"):
        for scorer in SCORERS:
            heights = []
            for point in summary.curve[1:]:
                composites = {"generality": point.generality, "locality": point.locality, "score": point.score}
                heights.append({**point.metrics, **composites}[name][scorer].value)
            want = auc(np.log([10, 20, 40]), heights) / math.log(4)
            area = summary.area[name][scorer]
            assert area.value == pytest.approx(want)
            assert area.ci95[0] <= area.value <= area.ci95[1]
    assert summarise(table(rows(3)), normalisation="exact", resamples=0).area == {}  # one point from 10 on: no area


@given(seed=SEEDS, order=st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(table, rows, seed, order):
    given_rows = rows(seed)
    shuffled = random.Random(order.random()).sample(given_rows, len(given_rows))
    first, second = (summarise(table(some), normalisation="exact", resamples=30) for some in (given_rows, shuffled))
    assert first == second


@given(seed=SEEDS, keep=st.floats(0, 1))
def test_json_holds_no_nan_whatever_is_missing(table, rows, seed, keep):
    rng = random.Random(seed)
    some = [r for r in rows(seed) if rng.random() < keep]
    plain = summarise(table(some), normalisation="exact", resamples=10).plain()
    assert "null" not in json.dumps(plain, allow_nan=False)

    def check(node):
        if isinstance(node, dict):
            if "ci95" in node:
                assert node["ci95"][0] <= node["value"] <= node["ci95"][1]
            for inner in node.values():
                check(inner)
        elif isinstance(node, list):
            for inner in node:
                check(inner)

    check(plain)


def test_no_rows_give_no_numbers(table):
    assert summarise(table([]), normalisation="exact") == module.Summary(
        (), (), {}, None, None, {}, None, {}, {}, {}, {}, None
    )
    assert headline(table([]), normalisation="exact") is None
    assert summarise(table([]), normalisation="exact").last is None


def test_a_perfect_predictor_gets_one_everywhere(table, rows):
    perfect = []
    for row in rows(5):
        if row["status"] in UNCOUNTED:
            continue
        perfect.append({**row, "status": "asked", "teacher_ids": row["expected_ids"], "ids": row["expected_ids"]})
        perfect[-1]["answer"] = "right"
    summary = summarise(table(perfect), normalisation="exact")
    for point in summary.curve:
        for scorers in (*point.metrics.values(), point.generality, point.locality, point.score):
            assert all(estimate.value == 1 for estimate in scorers.values())
            assert all(estimate.ci95 in (None, (1, 1)) for estimate in scorers.values())
        assert all(estimate.value == 1 for estimate in point.truth.values())
        assert all(estimate.value == 0 for estimate in point.leak.values())
    assert summary.score.value == summary.paper_average.value == 1
    assert all(b.value == 0 for b in summary.forgetting)


def test_superseded_edits_leave_every_mean_and_are_told_of_apart(table, row):
    """Four edits, three overridden: one answers the newest target, one its own old one, one neither."""
    rows = [
        row(position=position, edit=f"e{position}", step=4, thing=f"thing{position}", status=status, leak=old, **said)
        for position, (status, old, said) in enumerate(
            [
                ("superseded", "old", {"answer": "right"}),
                ("superseded", "old", {"answer": " old ", "ids": [5, 0], "teacher_ids": [5, 5]}),
                ("superseded", "old", {"answer": "neither", "ids": [6, 0], "teacher_ids": [5, 5]}),
                ("asked", None, {"answer": "wrong", "ids": [6, 0], "teacher_ids": [1, 5]}),
            ]
        )
    ]
    after = [row(position=position, step=position + 1, when="after_edit", edit=f"e{position}") for position in range(4)]
    summary = summarise(table(rows + after), normalisation="exact")
    (point,) = summary.curve
    assert (point.metrics["reliability"]["free_running"].value, point.metrics["reliability"]["free_running"].n) == (
        0,
        1,
    )
    assert point.metrics["reliability"]["teacher_forced"].value == 0.5
    assert point.leak == {}
    assert summary.superseded == Superseded(edits=3, probes=3, newest=1 / 3, stale=1 / 3)
    assert [(found.age, found.value, found.n) for found in summary.forgetting] == [((1, 10), 1, 1)]
    assert summary.immediate["free_running"].n == 4
    brought_back = [{**rows[0], "leak": "right"}, *rows[1:]]
    assert summarise(table(brought_back), normalisation="exact").superseded == summary.superseded


def test_failed_edits_stay_in_the_denominator_and_expired_ones_leave_it(table, row):
    rows = [row(position=p, thing=f"t{p}", step=4) for p in range(4)]
    rows[1]["status"], rows[2]["status"] = "failed", "expired"
    point = summarise(table(rows), normalisation="exact").last
    for scorer in SCORERS:
        assert (point.metrics["reliability"][scorer].value, point.metrics["reliability"][scorer].n) == (2 / 3, 3)
    assert point.expired == {"reliability": 1}


def test_score_is_zero_when_a_part_is_and_missing_when_a_part_is(table, row):
    kinds = ("reliability", "text_generality", "image_generality", "text_locality", "image_locality")
    rows = [row(probe=i, kind=kind, position=p, thing=f"t{p}") for i, kind in enumerate(kinds) for p in range(5)]
    assert summarise(table(rows), normalisation="exact").score.value == 1
    wrong = [{**r, "answer": "wrong"} if "generality" in r["kind"] else r for r in rows]
    summary = summarise(table(wrong), normalisation="exact")
    assert (summary.score.value, summary.score.ci95) == (0, (0, 0))
    assert summary.paper_average.value == 1  # teacher-forced: not fooled by the text, nor by anything else
    half = [{**r, "answer": "wrong"} if r["kind"] == "text_generality" else r for r in rows]
    assert summarise(table(half), normalisation="exact").score.value == pytest.approx(3 / (1 + 2 + 1))
    without = summarise(table([r for r in rows if r["kind"] != "image_generality"]), normalisation="exact")
    assert without.score is None
    assert without.last.generality == {}
    assert without.paper_average is None


def test_a_leak_is_told_from_a_right_answer(table, row):
    def asked(position, **given):
        return row(step=3, position=position, thing=f"t{position}", kind="locality_twin_other", **given)

    rows = [
        asked(0, answer="new", leak="new"),
        asked(1, answer="right", leak="right"),  # the target is the truth here: tells nothing
        asked(2, answer="right", leak="new"),
        asked(3, answer="new", leak="new"),  # its edit is yet to come
    ]
    point = summarise(table(rows), normalisation="exact").last
    assert (point.leak["locality_twin_other"].value, point.leak["locality_twin_other"].n) == (0.5, 2)
    assert (point.truth["locality_twin_other"].value, point.truth["locality_twin_other"].n) == (0.5, 4)


def test_the_same_edit_twice_counts_twice(table, row):
    rows = [row(position=0, edit="same", answer="wrong"), row(position=1, edit="same", thing="b")]
    assert summarise(table(rows), normalisation="exact").last.metrics["reliability"]["free_running"].n == 2


def test_curve_alone_and_headline_agree_with_the_summary(table, rows):
    given_table = table(rows(8))
    summary = summarise(given_table, normalisation="exact", resamples=40, seed=2)
    assert curve(given_table, normalisation="exact", resamples=40, seed=2) == summary.curve
    share = headline(given_table, normalisation="exact", resamples=40, seed=2)
    assert share.estimate() == summary.score
    assert two_level([share, share]).value == pytest.approx(summary.score.value)


def test_damaged_tables_are_refused(table, row):
    with pytest.raises(BenchError, match="twice"):
        summarise(table([row(), row()]), normalisation="exact")
    with pytest.raises(BenchError, match="unknown kind 'charm'"):
        summarise(table([row(kind="charm")]), normalisation="exact")
    with pytest.raises(BenchError, match="lacks thing"):
        summarise(table([row()]).drop(columns="thing"), normalisation="exact")


@pytest.mark.slow
def test_a_run_of_a_thousand_edits_is_summarised_in_seconds(table, row):
    steps = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    rng = random.Random(0)
    rows = []
    for step in steps:
        for probe, kind in enumerate(KINDS):
            for position in range(300 if kind in LOCALITY_KINDS else step):
                thing = f"{kind}{position}" if kind in LOCALITY_KINDS else f"t{position}"
                answer = "right" if rng.random() < 0.8 else "wrong"
                rows.append(row(step=step, position=position, probe=probe, kind=kind, thing=thing, answer=answer))
    given_table = table(rows)
    assert len(given_table) > 25_000
    begun = time.process_time()
    summarise(given_table, normalisation="exact")
    assert time.process_time() - begun < 3
