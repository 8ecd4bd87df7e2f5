"""The answers table as arrays, scored, checked and in one canonical order.

Everything reported is computed from a `Sheet`; that rows are sorted here is why their order in the file changes
nothing, down to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..benchmark.edits import KINDS, Kind, Normalisation
from ..errors import BenchError
from .answers import (
    BoolArray,
    FloatArray,
    IntArray,
    column,
    exact_match,
    is_locality,
    is_uncounted,
    require,
    row_scores,
)
from .estimates import SCORERS
from .intervals import Bootstrapped, Resampler, Rows
from .locality import leak, truth

BESIDE = ("truth", "leak")
SCORES = (*SCORERS, *BESIDE)
_NEEDED = ("step", "when", "position", "probe", "kind", "thing", "task", "seen_target", "seen_prompt", "leak")


@dataclass(frozen=True, eq=False)
class Sheet:
    """One array per column, all with one entry per asked probe.

    kind: index in `KINDS`. thing: code of the cluster, `things` of them. seen_target, seen_prompt: 1, 0 or NaN (not
    known). scores: `SCORES`; NaN where a row has no such score. Expired and superseded rows have none; truth is for
    locality rows; leak for locality and portability rows whose edit is applied and whose right answer is not the edit's
    target anyway (else every right answer would count as a leak). newest, stale: on superseded rows, whether the answer
    is the newest target, or else the edit's own old one.
    """

    step: IntArray
    checkpoint: BoolArray
    position: IntArray
    kind: IntArray
    thing: IntArray
    things: int
    task: NDArray[Any]
    seen_target: FloatArray
    seen_prompt: FloatArray
    expired: BoolArray
    failed: BoolArray
    superseded: BoolArray
    newest: BoolArray
    stale: BoolArray
    scores: Mapping[str, FloatArray]

    @classmethod
    def from_table(cls, table: pd.DataFrame, normalisation: Normalisation) -> Sheet:
        """Score, check and sort. Raises `BenchError` for missing columns, unknown kinds and probes that stand twice."""
        require(table, _NEEDED)
        teacher, free = row_scores(table, normalisation)
        kinds = column(table, "kind").astype(str)
        unknown = sorted(set(kinds.tolist()) - set(KINDS))
        if unknown:
            raise BenchError(
                f"the answers table holds probes of the unknown kind {unknown[0]!r}; known: {', '.join(KINDS)}"
            )
        kind = np.array([KINDS.index(cast("Kind", name)) for name in kinds], dtype=np.intp)
        step, position, probe = (column(table, name).astype(np.intp) for name in ("step", "position", "probe"))
        checkpoint = column(table, "when") == "checkpoint"
        order = np.lexsort((probe, position, kind, step, checkpoint))
        keys = np.stack([checkpoint, step, position, probe])[:, np.lexsort((probe, position, step, checkpoint))]
        if (keys[:, 1:] == keys[:, :-1]).all(axis=0).any():
            raise BenchError("the answers table holds a probe twice at one step; the run folder is damaged: run again")
        things, thing = np.unique(column(table, "thing").astype(str), return_inverse=True)
        superseded = column(table, "status") == "superseded"
        newest, stale = superseded.copy(), superseded.copy()
        if superseded.any():
            answer, expected, own = (column(table, name) for name in ("answer", "expected", "leak"))
            newest &= exact_match(answer, expected, normalisation)
            stale &= exact_match(answer, own, normalisation) & ~newest
        scores = {
            "teacher_forced": teacher,
            "free_running": free,
            "truth": _truth(table, normalisation),
            "leak": _leak(table, normalisation, applied=position < step),
        }
        return cls(
            step=step[order],
            checkpoint=checkpoint[order],
            position=position[order],
            kind=kind[order],
            thing=thing[order],
            things=len(things),
            task=column(table, "task")[order],
            seen_target=_seen(table, "seen_target")[order],
            seen_prompt=_seen(table, "seen_prompt")[order],
            expired=(column(table, "status") == "expired")[order],
            failed=(column(table, "status") == "failed")[order],
            superseded=superseded[order],
            newest=newest[order],
            stale=stale[order],
            scores={name: values[order] for name, values in scores.items()},
        )

    @classmethod
    def of(cls, answers: pd.DataFrame | Sheet, normalisation: Normalisation) -> Sheet:
        """A sheet as it is, a table as `from_table` reads it: who computes several numbers reads a table once."""
        return answers if isinstance(answers, Sheet) else cls.from_table(answers, normalisation)

    @property
    def steps(self) -> list[int]:
        """The checkpoints, ascending."""
        return [int(step) for step in np.unique(self.step[self.checkpoint])]

    def at(self, step: int) -> IntArray:
        """The rows of one checkpoint."""
        return np.flatnonzero(self.checkpoint & (self.step == step))

    def after_edits(self) -> IntArray:
        """The rows asked right after their own edit."""
        return np.flatnonzero(~self.checkpoint)

    def of_kind(self, rows: IntArray, kind: Kind) -> IntArray:
        """Those of the rows that are of one kind."""
        return rows[self.kind[rows] == KINDS.index(kind)]

    def having(self, rows: IntArray, score: str) -> IntArray:
        """Those of the rows that have a score of this name."""
        return rows[np.isfinite(self.scores[score][rows])]

    def means(
        self, rows: IntArray, kinds: Sequence[Kind], scores: Sequence[str], sampler: Resampler
    ) -> dict[str, dict[str, Bootstrapped]]:
        """Means over edits, kind -> score -> mean, each over the rows that have the score; no key where none has."""
        pairs: list[tuple[Kind, str]] = [(kind, score) for kind in kinds for score in scores]
        chosen = [self.having(self.of_kind(rows, kind), score) for kind, score in pairs]
        many = [
            Rows(self.scores[score][some], self.position[some], self.thing[some])
            for (_, score), some in zip(pairs, chosen, strict=True)
        ]
        found: dict[str, dict[str, Bootstrapped]] = {}
        for (kind, score), mean in zip(pairs, sampler.means(many), strict=True):
            if mean is not None:
                found.setdefault(kind, {})[score] = mean
        return found


def _truth(table: pd.DataFrame, how: Normalisation) -> FloatArray:
    asked = is_locality(table) & ~is_uncounted(table)
    return np.where(asked, truth(column(table, "answer"), column(table, "expected"), how), np.nan)


def _leak(table: pd.DataFrame, how: Normalisation, *, applied: BoolArray) -> FloatArray:
    target = column(table, "leak")
    telling = ~exact_match(target, column(table, "expected"), how)
    given = np.fromiter((isinstance(text, str) for text in target), dtype=np.bool_, count=len(target))
    asked = ~is_uncounted(table)
    return np.where(given & telling & asked & applied, leak(column(table, "answer"), target, how), np.nan)


def _seen(table: pd.DataFrame, name: str) -> FloatArray:
    return cast("Any", table[name]).astype("boolean").to_numpy(dtype=np.float64, na_value=np.nan)
