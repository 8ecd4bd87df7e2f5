"""What the unedited model answers, asked once and kept: to the locality panel, and to a sample for the floors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..benchmark.backbone import Answer, Backbone, Query
from ..benchmark.edits import LOCALITY_KINDS, Edit, canonical_json, sha256_text
from ..errors import BenchError
from .folder import RunFolder
from .journal import Journal
from .probing import Ask, Prober
from .schedule import Place, draw

TIMED = 256
"""Questions on which the answering overhead is measured."""


@dataclass(frozen=True)
class Unedited:
    """Answers by probe, and how long the forced passes over `timed(answers)` took."""

    answers: Mapping[Place, Answer]
    seconds: float


def ask_unedited(
    edits: Sequence[Edit],
    places: Sequence[Place],
    backbone: Backbone,
    *,
    batch_size: int,
    max_new_tokens: int,
    done: Callable[[int], None] | None = None,
) -> Unedited:
    """Ask the plain backbone, greedily, without an answer in sight."""
    prober = Prober(
        backbone, backbone, name="the unedited backbone", batch_size=batch_size, max_new_tokens=max_new_tokens
    )
    answers = prober.answer([_ask(edits, place, ()) for place in places], done=done)
    known = dict(zip(places, answers, strict=True))
    return Unedited(known, prober.seconds_to_force(timed(edits, known)))


def timed(edits: Sequence[Edit], answers: Mapping[Place, Answer]) -> list[Ask]:
    """The panel questions on which f_0 and the edited model are timed."""
    places = [place for place in answers if edits[place.position].probes[place.probe].kind in LOCALITY_KINDS]
    return [_ask(edits, places[index], answers[places[index]].ids) for index in draw(len(places), TIMED, "timed")]


def save_unedited(folder: RunFolder, journal: Journal, unedited: Unedited) -> None:
    """Keep the answers, and say so in the journal."""
    rows = [
        {
            "position": place.position,
            "probe": place.probe,
            "ids": answer.ids,
            "text": answer.text,
            "margin": answer.margin,
        }
        for place, answer in unedited.answers.items()
    ]
    text = canonical_json({"seconds": unedited.seconds, "answers": rows})
    folder.write(folder.f0, text.encode())
    journal.append({"event": "f0", "rows": len(rows), "sha256": sha256_text(text)})


def load_unedited(folder: RunFolder, journal: Journal) -> Unedited | None:
    """What was kept, None when nothing was. Raises `BenchError` when the file is not what the journal says."""
    event = journal.last("f0")
    if event is None:
        return None
    try:
        text = folder.f0.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    if sha256_text(text) != event["sha256"]:
        raise BenchError(f"{folder.f0} is missing or damaged; start over with --fresh")
    kept = json.loads(text)
    answers = {
        Place(row["position"], row["probe"]): Answer(tuple(row["ids"]), row["text"], row["margin"])
        for row in kept["answers"]
    }
    return Unedited(answers, kept["seconds"])


def _ask(edits: Sequence[Edit], place: Place, path: tuple[int, ...]) -> Ask:
    edit = edits[place.position]
    probe = edit.probes[place.probe]
    label = f"edit {edit.id}, probe {place.probe}, {probe.kind}"
    return Ask(Query(probe.image, probe.prompt), path, len(path), label)
