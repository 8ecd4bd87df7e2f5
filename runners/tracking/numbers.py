"""What trackers are told: the numbers of a point of the curve, of costs so far, and of a finished result."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

import pandas as pd

from ...benchmark.editor import Editor
from ...benchmark.edits import Normalisation
from ...metrics.curves import curve
from ...metrics.estimates import Estimate
from ...metrics.paper import SCORER as PAPER_SCORER
from ...metrics.paper import paper_points
from ..journal import Journal


def point_numbers(table: pd.DataFrame, protocol: str, normalisation: Normalisation) -> dict[str, float]:
    """``<kind or composite>/<scorer>`` of the rows of one checkpoint, or of the blocks of one size."""
    if protocol == "paper":
        (point,) = paper_points(table, normalisation=normalisation, resamples=0)
        found = {f"{kind}/{PAPER_SCORER}": estimate.value for kind, estimate in point.columns.items()}
        return found if point.average is None else {**found, f"average/{PAPER_SCORER}": point.average.value}
    (last,) = curve(table, normalisation=normalisation, resamples=0)
    composites: dict[str, Mapping[str, Estimate]] = {
        "score": last.score,
        "generality": last.generality,
        "locality": last.locality,
    }
    return {
        f"{name}/{scorer}": estimate.value
        for name, scorers in {**last.metrics, **composites}.items()
        for scorer, estimate in scorers.items()
    }


def cost_numbers(journal: Journal, editor: Editor) -> dict[str, float]:
    """Mean seconds per edit since the last point, bytes of the editor's state, peak memory so far."""
    found = {"cost/state_bytes": float(editor.state_bytes)}
    if seconds := _seconds(journal):
        found["cost/edit_seconds"] = fmean(seconds)
    for event in reversed(journal.events):
        if "peak_memory_bytes" in event:
            return {**found, "cost/peak_memory_bytes": float(event["peak_memory_bytes"])}
    return found


def summary_numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """The headlines of a `result.json`; a void one has none."""
    last: Mapping[str, Any] = result["curve"][-1]
    headlines = {**{name: result.get(name) for name in ("score", "paper_average")}, "average": last.get("average")}
    return {name: float(estimate["value"]) for name, estimate in headlines.items() if estimate}


def _seconds(journal: Journal) -> list[float]:
    """Of the edits since the last checkpoint but one, or of the last block."""
    blocks = journal.of("block")
    if blocks:
        return [float(outcome["seconds"]) for outcome in blocks[-1]["outcomes"]]
    checkpoints = journal.of("checkpoint")
    since = int(checkpoints[-2]["step"]) if len(checkpoints) > 1 else 0
    return [float(event["seconds"]) for event in journal.of("edit") if int(event["position"]) >= since and event["ok"]]
