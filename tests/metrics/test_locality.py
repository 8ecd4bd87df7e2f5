from __future__ import annotations

from liveedit_bench.metrics import locality


def test_agreement_includes_the_end_of_sequence():
    base = [[5, 6, 0], [5, 6, 0], [5], []]
    assert locality.agreement([[5, 6, 0], [5, 6], [6], []], base).tolist() == [True, False, False, True]


def test_a_model_that_changed_nothing_agrees_even_where_it_is_wrong():
    ids, texts = [[4, 0], [7, 8, 0]], ["wrong", "right"]
    assert locality.agreement(ids, ids).all()
    assert locality.truth(texts, ["right", "right"], "exact").tolist() == [False, True]


def test_leak_is_the_target_in_the_mouth_of_another_question():
    said = ["New ", "new", "old", None]
    targets = ["New", "New", "New", "New"]
    assert locality.leak(said, targets, "exact").tolist() == [True, False, False, False]
    assert locality.leak(said, targets, "casefold").tolist() == [True, True, False, False]
    assert locality.leak(["x"], [None], "exact").tolist() == [False]
