from __future__ import annotations

import io
import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score

from liveedit_bench.benchmark.edits import LOCALITY_KINDS
from liveedit_bench.errors import BenchError
from liveedit_bench.metrics import answers

TOKENS = st.lists(st.integers(0, 3), max_size=5)
TEXTS = st.sampled_from(["right", " right\n", "Right", "RIGHT", "straße", "STRASSE", "", "wrong", None])


def naive_scores(row, how):
    """The definition, one row at a time."""
    if row["status"] in ("expired", "superseded"):
        return None, None
    local = row["kind"] in LOCALITY_KINDS
    if row["status"] == "failed" and not local:
        return 0.0, 0.0
    expected, teacher = list(row["expected_ids"]), list(row["teacher_ids"])
    hits = 0
    for ours, theirs in zip(teacher, expected, strict=True):
        hits += ours == theirs
    forced = hits / len(expected) if expected else None
    if local:
        return forced, float(list(row["ids"]) == expected)
    answer = None if row["answer"] is None else row["answer"].strip()
    wanted = row["expected"].strip()
    if how == "casefold":
        answer, wanted = (None if answer is None else answer.casefold()), wanted.casefold()
    return forced, float(answer == wanted)


@pytest.mark.parametrize("how", ["exact", "casefold"])
@given(seed=st.integers(0, 10**6), arrays=st.booleans())
def test_score_rows_equals_the_definition(table, rows, how, seed, arrays):
    given_rows = rows(seed)
    before = table(given_rows)
    if arrays:
        for name in ("expected_ids", "teacher_ids", "ids"):
            before[name] = [np.array(ids, dtype=np.int32) for ids in before[name]]
    scored = answers.score_rows(before, how)
    for index, row in enumerate(given_rows):
        forced, free = naive_scores(row, how)
        for name, want in (("teacher_forced", forced), ("free_running", free)):
            got = scored[name].iloc[index]
            assert np.isnan(got) if want is None else got == np.float32(want)


def test_score_rows_leaves_its_input_alone(table, rows):
    given_table = table(rows(1)).iloc[::-1]
    stored = given_table.copy()
    scored = answers.score_rows(given_table, "exact")
    pd.testing.assert_frame_equal(given_table, stored)
    assert list(scored.index) == list(given_table.index)
    assert {name: str(dtype) for name, dtype in scored.dtypes.items()} == answers.COLUMNS


def test_failed_edits_score_nothing_even_when_the_answer_is_right(table, row):
    scored = answers.score_rows(
        table([row(status="failed"), row(status="failed", teacher_ids=[]), row(kind="text_locality", status="failed")]),
        "exact",
    )
    assert scored["teacher_forced"].tolist() == [0, 0, 1]
    assert scored["free_running"].tolist() == [0, 0, 1]  # a model left alone agrees with f_0


def test_locality_compares_ids_not_texts(table, row):
    same = row(kind="image_locality", answer="something else", ids=[1, 2, 0])
    no_eos = row(kind="image_locality", ids=[1, 2])
    assert answers.score_rows(table([same, no_eos]), "exact")["free_running"].tolist() == [1, 0]


@given(st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=5), max_size=6))
def test_token_accuracy_equals_scikit_learn(pairs):
    ours, theirs = [[a for a, _ in row] for row in pairs], [[b for _, b in row] for row in pairs]
    got = answers.token_accuracy(ours, theirs)
    assert len(got) == len(pairs)
    for value, predicted, expected in zip(got, ours, theirs, strict=True):
        assert value == accuracy_score(expected, predicted) if expected else np.isnan(value)


def test_a_copier_of_its_input_is_not_right():
    """Under teacher forcing it says the token it has just read: right only where a token repeats."""
    rng = random.Random(0)
    expected = [[rng.randrange(4) for _ in range(rng.randint(1, 6))] for _ in range(50)]
    copied = [[9, *tokens[:-1]] for tokens in expected]
    repeats = [sum(a == b for a, b in zip([9, *tokens], tokens, strict=False)) / len(tokens) for tokens in expected]
    assert answers.token_accuracy(copied, expected).tolist() == repeats
    assert answers.token_accuracy(expected, expected).tolist() == [1.0] * 50


def test_misaligned_tokens_are_an_error_not_a_score(table, row):
    with pytest.raises(BenchError, match=r"row 1 has 1 predicted tokens for 2 expected"):
        answers.score_rows(table([row(), row(teacher_ids=[1])]), "exact")


@given(st.lists(st.tuples(TOKENS, TOKENS), max_size=8))
def test_same_ids_is_list_equality(pairs):
    ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
    assert answers.same_ids(ours, theirs).tolist() == [a == b for a, b in pairs]


@pytest.mark.parametrize("how", ["exact", "casefold"])
@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=8))
def test_exact_match_equals_the_definition(how, pairs):
    want = [
        a is not None and b is not None and answers.normalise(a, how) == answers.normalise(b, how) for a, b in pairs
    ]
    assert answers.exact_match([a for a, _ in pairs], [b for _, b in pairs], how).tolist() == want


def test_normalise():
    assert answers.normalise(" Lo Ka\n", "exact") == "Lo Ka"
    assert answers.normalise(" STRASSE", "casefold") == answers.normalise("straße ", "casefold")
    assert answers.normalise("Lo", "exact") != answers.normalise("lo", "exact")


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 1)), min_size=1, max_size=20))
def test_edit_means_equals_loops(pairs):
    edits, means = answers.edit_means(np.array([v for _, v in pairs]), np.array([e for e, _ in pairs]))
    assert edits.tolist() == sorted({e for e, _ in pairs})
    for edit, mean in zip(edits, means, strict=True):
        values = [v for e, v in pairs if e == edit]
        assert mean == pytest.approx(sum(values) / len(values))


def test_conform_orders_and_casts(table, rows):
    shuffled = table(rows(0)).astype({"kind": object, "step": "int64"})[sorted(answers.COLUMNS)]
    conformed = answers.conform(shuffled)
    assert {name: str(dtype) for name, dtype in conformed.dtypes.items()} == answers.COLUMNS
    assert list(conformed) == list(answers.COLUMNS)
    with pytest.raises(BenchError, match="lacks thing"):
        answers.conform(shuffled.drop(columns="thing"))


def test_a_table_survives_parquet(table, rows):
    buffer = io.BytesIO()
    before = table(rows(0))
    before.to_parquet(buffer, compression="zstd")
    scored = answers.score_rows(pd.read_parquet(buffer), "exact")
    want = answers.score_rows(before, "exact")
    assert scored["free_running"].equals(want["free_running"])
    assert scored["teacher_forced"].equals(want["teacher_forced"])


def test_no_rows(table):
    assert len(answers.score_rows(table([]), "exact")) == 0
