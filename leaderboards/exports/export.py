"""`liveedit-bench leaderboard export`: read a submission, write it in another shape."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ...errors import BenchError
from ..submission_reading import read_submission
from .every_eval_ever import RELATIONSHIPS, Relationship, every_eval_ever
from .hub import eval_results


def export(
    file: Path,
    *,
    to: str,
    out: Path,
    hub_dataset: str | None = None,
    source: str | None = None,
    relationship: str = "first_party",
) -> None:
    """Write `out` (its folder is made). to: ``eval-results`` or ``every-eval-ever``.

    The time of the record is now, or that of the environment's SOURCE_DATE_EPOCH. Raises `BenchError` for what a user
    can mend; nothing is written then.
    """
    submission = read_submission(file)
    if to == "eval-results":
        if hub_dataset is None:
            raise BenchError("eval-results need the benchmark's dataset on the Hub: add --hub-dataset OWNER/NAME")
        text = eval_results(submission, dataset=hub_dataset, source=source)
    else:
        known: dict[str, Relationship] = {name: name for name in RELATIONSHIPS}
        if relationship not in known:
            raise BenchError(f"--relationship {relationship} is none of {', '.join(RELATIONSHIPS)}")
        text = every_eval_ever(submission, relationship=known[relationship], now=_now())
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BenchError(f"cannot write {out}: {error.strerror}") from error


def _now() -> int:
    said = os.environ.get("SOURCE_DATE_EPOCH", "")
    return int(said) if said.isdecimal() else int(time.time())
