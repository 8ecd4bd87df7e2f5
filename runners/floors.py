"""What guessing gets on the same stream: numbers that stand beside every result.

``none`` changes nothing: it agrees with f_0 everywhere, and is right where f_0 happens to be. ``majority`` answers with
the commonest target for the kind of question. Both follow from the stream and f_0's answers; no editor is run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, harmonic_mean
from typing import Any, cast

import pandas as pd

from ..benchmark.backbone import Answer, Backbone, Query
from ..benchmark.editor import EditRequest
from ..benchmark.editors.majority import Majority
from ..benchmark.edits import GENERALITY_KINDS, LOCALITY_KINDS, Edit, Kind, Normalisation
from ..metrics.answers import normalise
from .ledger import Ledger
from .schedule import Place, draw

FLOOR_SAMPLE = 100
"""Questions of each kind that f_0 is asked for the floor of `none`."""


def floor_sample(edits: Sequence[Edit], ledger: Ledger, *, seed: int, size: int = FLOOR_SAMPLE) -> list[Place]:
    """Up to `size` probes of every kind but locality, drawn by `seed`, that still count at the end."""
    places: dict[str, list[Place]] = {}
    for position, edit in enumerate(edits):
        for index, probe in enumerate(edit.probes):
            if probe.kind in LOCALITY_KINDS or ledger.superseded(position, probe, len(edits)):
                continue
            if ledger.expected(position, probe, len(edits)) is not None:
                places.setdefault(probe.kind, []).append(Place(position, index))
    return [found[index] for kind, found in places.items() for index in draw(len(found), size, f"floor {seed} {kind}")]


def floors(
    table: pd.DataFrame,
    edits: Sequence[Edit],
    answers: Mapping[Place, Answer],
    backbone: Backbone,
    *,
    how: Normalisation,
) -> dict[str, Any]:
    """The floors at the last step, free-running. `answers` are f_0's, to the locality panel and to `floor_sample`."""
    last = cast(Any, table).query(
        "step == @steps and when == 'checkpoint' and status not in ['expired', 'superseded']",
        local_dict={"steps": len(edits)},
    )
    guess = Majority(backbone)
    for edit in edits:
        guess.edit(EditRequest(edit.image, edit.prompt, edit.target))
    right: dict[str, dict[Kind, list[bool]]] = {"none": {}, "majority": {}}
    columns = (last[name].tolist() for name in ("position", "probe", "expected"))
    for position, index, expected in zip(*columns, strict=True):
        place = Place(int(position), int(index))
        probe = edits[place.position].probes[place.probe]
        guessed = guess.answer(Query(probe.image, probe.prompt))
        if probe.kind in LOCALITY_KINDS:
            same = guessed is None or guessed == answers[place].text
            found = {"none": True, "majority": same}
        else:
            wanted = normalise(str(expected), how)
            found = {"majority": guessed is not None and normalise(guessed, how) == wanted}
            if place in answers:
                found["none"] = normalise(answers[place].text, how) == wanted
        for name, hit in found.items():
            right[name].setdefault(probe.kind, []).append(hit)
    return {name: _floor({kind: fmean(hits) for kind, hits in kinds.items()}) for name, kinds in right.items() if kinds}


def _floor(metrics: Mapping[Kind, float]) -> dict[str, Any]:
    """Shares by kind, and the score where all of its parts are there."""
    locality = [share for kind, share in metrics.items() if kind in LOCALITY_KINDS]
    if locality and {"reliability", *GENERALITY_KINDS} <= metrics.keys():
        parts = (metrics["reliability"], fmean(metrics[kind] for kind in GENERALITY_KINDS), fmean(locality))
        return {"score": harmonic_mean(parts), "metrics": dict(metrics)}
    return {"metrics": dict(metrics)}
