"""The answers table and what one answer is worth.

One row per asked probe. Averages go tokens -> probe -> edit -> stream: a row's score is a mean over its tokens
(`token_accuracy`) or one bit (`exact_match`, `same_ids`), `edit_means` averages the rows of one edit and kind, and a
reported number is the plain mean of those.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, compress
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..benchmark.edits import LOCALITY_KINDS, Normalisation
from ..errors import BenchError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

COLUMNS: dict[str, str] = {
    "step": "int32",  # edits applied when it was asked
    "when": "category",  # after_edit | checkpoint
    "position": "int32",  # of its edit in the stream, from 0; the key of an edit (the same id may occur twice)
    "edit": "category",
    "probe": "int16",  # index in Edit.probes
    "kind": "category",
    "thing": "category",  # cluster of the bootstrap
    "task": "category",
    "seen_target": "boolean",
    "seen_prompt": "boolean",
    "status": "category",  # asked | expired | failed | superseded
    "expected": "category",
    "leak": "category",  # target of its edit on locality, portability and superseded rows, else null
    "expected_ids": "object",  # list<int32>
    "teacher_ids": "object",
    "teacher_margin": "float32",
    "ids": "object",
    "answer": "category",
    "margin": "float32",
    "teacher_forced": "float32",
    "free_running": "float32",
}
"""Columns of the answers table, in order, with their pandas dtypes; list columns hold lists or arrays of int."""


def conform(table: pd.DataFrame) -> pd.DataFrame:
    """The table with exactly `COLUMNS`, in order and in their dtypes. Raises `BenchError` when a column is missing."""
    require(table, COLUMNS)
    return cast("pd.DataFrame", cast("Any", table)[list(COLUMNS)].astype(COLUMNS))


def require(table: pd.DataFrame, names: Iterable[str]) -> None:
    """Raise `BenchError` when the table lacks one of the columns."""
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise BenchError(f"the answers table lacks {', '.join(missing)}; it was not written by this version: run again")


def column(table: pd.DataFrame, name: str) -> NDArray[Any]:
    """One column as a plain array (categories become objects)."""
    return np.asarray(cast("Any", table[name]))


def normalise(text: str, how: Normalisation) -> str:
    """What is compared: ``exact`` strips outer white space, ``casefold`` also folds case."""
    stripped = text.strip()
    return stripped.casefold() if how == "casefold" else stripped


def token_accuracy(predicted: Sequence[Sequence[int]], expected: Sequence[Sequence[int]]) -> FloatArray:
    """Per row the share of positions with the expected token: mean_i [predicted_i = expected_i].

    NaN (null in the table) marks a row without positions. Raises `BenchError` when the lengths of a row differ: a score
    over shifted positions would be silently wrong.
    """
    ours, lengths = _flatten(predicted)
    theirs, wanted = _flatten(expected)
    if (lengths != wanted).any():
        row = int(np.flatnonzero(lengths != wanted)[0])
        raise BenchError(
            f"row {row} has {lengths[row]} predicted tokens for {wanted[row]} expected ones; "
            "the table is damaged or its prober misaligns answers"
        )
    hits = np.bincount(_owners(lengths), weights=ours == theirs, minlength=len(lengths))
    return np.divide(hits, lengths, out=np.full(len(lengths), np.nan), where=lengths > 0)


def same_ids(ids: Sequence[Sequence[int]], expected: Sequence[Sequence[int]]) -> BoolArray:
    """Per row whether the two token sequences are identical, length included."""
    same = np.fromiter((len(a) == len(b) for a, b in zip(ids, expected, strict=True)), dtype=np.bool_)
    ours, lengths = _flatten(list(compress(ids, same)))
    theirs, _ = _flatten(list(compress(expected, same)))
    same[same] = np.bincount(_owners(lengths), weights=ours != theirs, minlength=len(lengths)) == 0
    return same


def exact_match(answers: Iterable[object], expected: Iterable[object], how: Normalisation) -> BoolArray:
    """Per row whether normalise(answer) = normalise(expected); a null on either side never matches."""
    known: dict[object, object] = {}

    def prepared(text: object) -> object:
        if text not in known:
            known[text] = normalise(text, how) if isinstance(text, str) else None
        return known[text]

    pairs = zip(map(prepared, answers), map(prepared, expected), strict=True)
    return np.fromiter((ours is not None and ours == theirs for ours, theirs in pairs), dtype=np.bool_)


def score_rows(table: pd.DataFrame, normalisation: Normalisation) -> pd.DataFrame:
    """A copy of the table with `teacher_forced` and `free_running` filled from its other columns.

    =============  ======================================  ==============================================
    row            teacher_forced                          free_running
    =============  ======================================  ==============================================
    locality       share of teacher_ids = expected_ids     ids = expected_ids, EOS included
    other          share of teacher_ids = expected_ids     normalise(answer) = normalise(expected)
    failed, other  0                                       0
    expired        null                                    null
    superseded     null                                    null
    =============  ======================================  ==============================================

    For locality `expected_ids` is f_0's own greedy answer. Raises `BenchError` as `row_scores` does.
    """
    teacher, free = row_scores(table, normalisation)
    scored = {"teacher_forced": teacher.astype(np.float32), "free_running": free.astype(np.float32)}
    return cast("Any", table).assign(**scored)


def row_scores(table: pd.DataFrame, normalisation: Normalisation) -> tuple[FloatArray, FloatArray]:
    """The two columns of `score_rows` in full precision, NaN for null.

    Raises `BenchError` when columns are missing or the tokens of an asked row are misaligned.
    """
    require(table, ("kind", "status", "expected", "answer", "expected_ids", "teacher_ids", "ids"))
    status = column(table, "status")
    locality = is_locality(table)
    uncounted, failed = is_uncounted(table), (status == "failed") & ~locality
    settled = uncounted | failed
    expected_ids = _lists(table, "expected_ids", settled)
    teacher = token_accuracy(_lists(table, "teacher_ids", settled), expected_ids)
    matched = exact_match(column(table, "answer"), column(table, "expected"), normalisation)
    free = np.where(locality, same_ids(_lists(table, "ids", settled), expected_ids), matched).astype(np.float64)
    for scores in (teacher, free):
        scores[failed], scores[uncounted] = 0.0, np.nan
    return teacher, free


def is_locality(table: pd.DataFrame) -> BoolArray:
    """Per row whether its kind is one of the locality kinds."""
    return np.isin(column(table, "kind").astype(str), LOCALITY_KINDS)


def is_uncounted(table: pd.DataFrame) -> BoolArray:
    """Per row whether it stands outside every mean: expired, or asked about an edit that is superseded."""
    return np.isin(column(table, "status").astype(str), ("expired", "superseded"))


def edit_means(values: FloatArray, edits: IntArray) -> tuple[IntArray, FloatArray]:
    """The distinct edits, ascending, and the mean of the values of each."""
    distinct, owner, counts = np.unique(edits, return_inverse=True, return_counts=True)
    return distinct, np.bincount(owner, weights=values) / counts


def _lists(table: pd.DataFrame, name: str, blank: BoolArray) -> list[Sequence[int]]:
    """A list column; rows whose score is settled without looking at tokens are emptied."""
    values = cast("list[Sequence[int] | None]", cast("Any", table[name]).tolist())
    return [() if empty or ids is None else ids for ids, empty in zip(values, blank, strict=True)]


def _flatten(lists: Sequence[Sequence[int]]) -> tuple[IntArray, IntArray]:
    lengths = np.fromiter(map(len, lists), dtype=np.intp, count=len(lists))
    return np.fromiter(chain.from_iterable(lists), dtype=np.intp, count=int(lengths.sum())), lengths


def _owners(lengths: IntArray) -> IntArray:
    return np.repeat(np.arange(len(lengths)), lengths)
