"""A submission as the ``.eval_results/NAME.yaml`` of a model's repository on the Hugging Face Hub.

The shape is that of ``docs/hub/eval-results.md`` in the repository huggingface/hub-docs (read at commit 064c754, where
it is called work in progress): a list of results, each with the benchmark's dataset, a task of it, and a value. It has
room for one number and a line of notes, so this is the number that tables are ranked by; all others stay in the
submission, to which `source` leads.
"""

from __future__ import annotations

from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ...errors import BenchError
from ..standings import HEADLINES
from ..submission import Submission
from .words import in_words


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Benchmark(_Part):
    """id: of the dataset on the Hub that hosts the leaderboard. task_id: as its ``eval.yaml`` names it."""

    id: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    task_id: str
    revision: str | None = None


class Source(_Part):
    """Where the evidence can be seen."""

    url: Annotated[str, Field(pattern=r"^https?://\S+$")]
    name: str | None = None
    user: str | None = None


class EvalResult(_Part):
    """One entry of the list."""

    dataset: Benchmark
    value: float
    verifyToken: str | None = None
    date: str | None = None
    source: Source | None = None
    evaluation_framework: str | None = None
    notes: str | None = None


EvalResults = TypeAdapter(list[EvalResult])
"""The whole file."""


def eval_results(submission: Submission, *, dataset: str, source: str | None = None) -> str:
    """The text of the file. dataset: of the Hub, as OWNER/NAME. source: address where the submission lies.

    The task is the protocol (``lifelong``, ``paper``) and the value a share in [0, 1]: `score`, or the average of the
    paper protocol, after the last edit. Raises `BenchError` when the submission has no such number, and for what is no
    name of a dataset or no address.
    """
    name, scorer = HEADLINES[submission.protocol]
    number = submission.curve[-1].metrics.get(name, {}).get(scorer)
    if number is None:
        raise BenchError(f"{submission.name} has no {name} to export")
    try:
        entry = EvalResult(
            dataset=Benchmark(id=dataset, task_id=submission.protocol),
            value=number.value,
            source=None if source is None else Source(url=source, name="Submission with all answers"),
            evaluation_framework="liveedit-bench",
            notes=in_words(submission, number),
        )
    except ValueError as error:
        raise BenchError(
            f"--hub-dataset is OWNER/NAME of a dataset on the Hub, --source an http address, not "
            f"{dataset!r} and {source!r}"
        ) from error
    content = [entry.model_dump(exclude_none=True)]
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=False, width=100)
