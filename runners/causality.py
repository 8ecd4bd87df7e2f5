"""Was the teacher-forced pass honest? A sample is asked again, token by token, with prefixes only.

In a forced pass an editor holds the whole answer. If its logits before a token depend on that token or on later ones,
both scores are worthless. Here the same positions are read with nothing behind them; one difference voids the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pandas as pd

from ..benchmark.backbone import Backbone
from .asking import Questions
from .probing import Ask, Prober
from .schedule import Place, draw

SAMPLE = 32
MARGIN = 1e-4
"""Below this gap between the best and the second logit, kernels may decide either way."""


@dataclass(frozen=True)
class Causality:
    """Probes asked again, and how many of them answered otherwise."""

    checked: int
    mismatches: int


@dataclass(frozen=True)
class Claim:
    """A question, and the argmax that a forced pass gave before each token of its answer."""

    ask: Ask
    tokens: Sequence[int]


def check_causality(
    table: pd.DataFrame, questions: Questions, prober: Prober, backbone: Backbone, *, step: int, seed: int
) -> Causality:
    """Ask a seeded sample of the rows of the last checkpoint again. `table` is the whole answers table."""
    rows = [row for row in _rows(table, step) if row["status"] != "expired"]
    sample = [rows[index] for index in draw(len(rows), SAMPLE, f"causality {seed}")]
    claims: list[Claim] = []
    for row in sample:
        ask = questions.of(Place(row["position"], row["probe"]), step).ask
        if ask is not None:
            claims.append(Claim(ask, _claimed(ask, row["teacher_ids"], row["ids"], backbone)))
    return check_claims(claims, prober)


def check_claims(claims: Sequence[Claim], prober: Prober) -> Causality:
    """Ask again, token by token, with prefixes only."""
    prefixes = [claim.ask.before(length) for claim in claims for length in range(len(claim.tokens))]
    tokens = [(number, int(token)) for number, claim in enumerate(claims) for token in claim.tokens]
    found = prober.next_tokens(prefixes)
    wrong = {
        number
        for (number, token), seen in zip(tokens, found, strict=True)
        if seen.ids[0] != token and seen.gaps[0] > MARGIN
    }
    return Causality(checked=len(claims), mismatches=len(wrong))


def _rows(table: pd.DataFrame, step: int) -> Iterator[dict[str, Any]]:
    """The rows of one checkpoint."""
    names = ("step", "when", "position", "probe", "status", "teacher_ids", "ids")
    values = (cast("list[Any]", cast("Any", table[name]).tolist()) for name in names)
    for found in zip(*values, strict=True):
        row: dict[str, Any] = dict(zip(names, found, strict=True))
        if row["step"] == step and row["when"] == "checkpoint":
            yield row


def _claimed(ask: Ask, teacher: Sequence[int], ids: Sequence[int], backbone: Backbone) -> list[int]:
    """The argmax that the row claims before each token; at the end of the answer too, where the row shows it."""
    claimed = list(teacher)
    if tuple(ids) == ask.path and len(claimed) < len(ask.path):
        claimed.append(backbone.eos_id)
    return claimed
