"""From the answers table and the facts of a run to the text of `result.json`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import pandas as pd

from ..benchmark.edits import KINDS, Normalisation
from ..errors import BenchError
from ..metrics.cost import durations
from ..metrics.curves import CurvePoint
from ..metrics.estimates import SCORERS, Estimate, Metrics, plain
from ..metrics.paper import SCORER as PAPER_SCORER
from ..metrics.paper import PaperPoint, paper_points
from ..metrics.sheet import Sheet
from ..metrics.summary import Summary, summarise
from .causality import Causality
from .digest import digest
from .folder import read_bounded
from .table import read_table

RESAMPLES = 1000
Protocol = Literal["lifelong", "paper"]


@dataclass(frozen=True)
class RunFacts:
    """What a result says beside the answers.

    stream, editor, backbone: their parts of `result.json` as plain values. edit_seconds: of every edit, in order.
    failures: kind of each failed edit. blocks: of the paper protocol, what was asked at each block size.
    """

    checkpoints: Sequence[int]
    stream: Mapping[str, Any]
    editor: Mapping[str, Any]
    backbone: Mapping[str, Any]
    environment: Mapping[str, Any]
    edit_seconds: Sequence[float]
    failures: Sequence[str]
    answering_overhead: float | None
    state_bytes: int
    peak_memory_bytes: int | None
    wall_seconds: float
    causality: Causality
    floors: Mapping[str, Any] = field(default_factory=dict[str, Any])
    protocol: Protocol = "lifelong"
    blocks: Sequence[Mapping[str, Any]] = ()


def make_result(table: pd.DataFrame, facts: RunFacts) -> dict[str, Any]:
    """The whole of `result.json` as plain values, its digest included."""
    normalisation = cast("Normalisation", facts.stream["normalisation"])
    status: Literal["complete", "void"] = "void" if facts.causality.mismatches else "complete"
    scorers = (PAPER_SCORER,) if facts.protocol == "paper" else SCORERS
    seconds = durations(facts.edit_seconds)
    cost = {
        "edit_seconds": None if seconds is None else {"median": seconds.median, "p95": seconds.p95},
        "answering_overhead": facts.answering_overhead,
        "state_bytes": facts.state_bytes,
        "peak_memory_bytes": facts.peak_memory_bytes,
        "wall_seconds": facts.wall_seconds,
    }
    result: dict[str, Any] = {
        "schema_version": "1",
        "status": status,
        "protocol": {"id": facts.protocol, "checkpoints": list(facts.checkpoints), "scorers": list(scorers)},
        "stream": dict(facts.stream),
        "editor": dict(facts.editor),
        "backbone": dict(facts.backbone),
        **answers_of(table, facts.protocol, normalisation, void=status == "void"),
        **({"floors": dict(facts.floors)} if facts.floors else {}),
        **({"blocks": [dict(block) for block in facts.blocks]} if facts.blocks else {}),
        "cost": {name: value for name, value in cost.items() if value is not None},
        "failures": {"edits": len(facts.failures), "kinds": dict(sorted(Counter(facts.failures).items()))},
        "causality": plain(facts.causality),
        "environment": dict(facts.environment),
    }
    # Through JSON and back: the digest covers what a reader of the file gets.
    result = json.loads(to_json(result))
    return {**result, "digest": digest(result)}


def answers_of(
    table: pd.DataFrame | Sheet, protocol: str, normalisation: Normalisation, *, void: bool = False
) -> dict[str, Any]:
    """The keys of a result that follow from the answers table alone, under the protocol of the table."""
    if protocol == "paper":
        return paper_part(paper_points(table, normalisation=normalisation, resamples=RESAMPLES), void=void)
    return answers_part(summarise(table, normalisation=normalisation, resamples=RESAMPLES), void=void)


def paper_part(points: Sequence[PaperPoint], *, void: bool = False) -> dict[str, Any]:
    """The curve over block sizes. A void run has no average."""
    curve: list[dict[str, Any]] = []
    for point in points:
        metrics = {kind: {PAPER_SCORER: plain(found)} for kind, found in point.columns.items()}
        average = {} if void or point.average is None else {"average": plain(point.average)}
        curve.append(
            {"step": point.size, "metrics": metrics, **average, **{"records": point.records, "failed": point.failed}}
        )
    return {"curve": curve, "forgetting": []}


def answers_part(summary: Summary, *, void: bool = False) -> dict[str, Any]:
    """The keys of a result that follow from the answers table alone. A void run has no headline."""
    last = summary.last
    headlines = {
        "score": None if void else summary.score,
        "paper_average": None if void else summary.paper_average,
        "generality": (last.generality or None) if last else None,
        "locality": (last.locality or None) if last else None,
    }
    area = {
        kind: {scorer: found.value for scorer, found in scores.items()}
        for kind, scores in summary.area.items()
        if kind in KINDS
    }
    held: Mapping[str, Estimate] = summary.portability.given_edit_holds if summary.portability else {}
    others = {
        "immediate": plain(summary.immediate) or None,
        "portability_given_edit_holds": plain(held) or None,
        "area": area or None,
        "seen": _split(summary.seen),
        "unseen": _split(summary.unseen),
        "superseded": None if summary.superseded is None else plain(summary.superseded),
        "by_task": plain({task: _kinds(metrics) for task, metrics in summary.by_task.items()}) or None,
    }
    return {
        **{name: plain(value) for name, value in headlines.items() if value is not None},
        "curve": [_point(each) for each in summary.curve],
        "forgetting": plain(summary.forgetting),
        **{name: value for name, value in others.items() if value is not None},
        "expired": sum(summary.expired.values()),
    }


def to_json(result: Mapping[str, Any]) -> str:
    """The text of `result.json`: no NaN, one trailing newline."""
    return json.dumps(result, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def rescore(folder: Path) -> tuple[dict[str, Any], bool | None]:
    """The answers' part of a result from `probes.parquet` alone, and whether `result.json` says the same.

    None stands for a folder without `result.json`.

    Raises `BenchError` when there is no answers table.
    """
    table, info = read_table(folder / "probes.parquet")
    file = folder / "result.json"
    try:
        said: dict[str, Any] | None = json.loads(read_bounded(file, 64 * 2**20)) if file.exists() else None
    except ValueError as error:
        raise BenchError(f"{file} is damaged ({error}); --fresh starts the run over") from error
    void = said is not None and said.get("status") == "void"
    answers = answers_of(table, info.protocol, info.normalisation, void=void)
    part: dict[str, Any] = json.loads(json.dumps(answers, allow_nan=False))
    return part, None if said is None else all(said.get(name) == value for name, value in part.items())


def _point(found: CurvePoint) -> dict[str, Any]:
    metrics = {
        kind: {
            **plain(scores),
            **{name: plain(by[kind]) for name, by in (("truth", found.truth), ("leak", found.leak)) if kind in by},
        }
        for kind, scores in found.metrics.items()
    }
    told = {} if found.superseded is None else {"superseded": found.superseded.probes}
    return {"step": found.step, "metrics": metrics, "expired": sum(found.expired.values()), **told}


def _split(by: Mapping[str, Metrics]) -> dict[str, Any] | None:
    names = {"target": "targets", "prompt": "prompts"}
    return {names[name]: plain(_kinds(metrics)) for name, metrics in by.items()} or None


def _kinds(metrics: Metrics) -> Metrics:
    return {kind: scores for kind, scores in metrics.items() if kind in KINDS}
