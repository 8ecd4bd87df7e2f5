"""How a report names and draws the kinds of probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from ..benchmark.edits import KINDS, LOCALITY_KINDS, Kind
from .schema import Result, Scorer

Panel = Literal["edits", "rest"]

PANELS: Final[dict[Panel, tuple[Kind, ...]]] = {
    "edits": tuple(kind for kind in KINDS if kind not in LOCALITY_KINDS),
    "rest": LOCALITY_KINDS,
}
PANEL_TITLES: Final[dict[Panel, str]] = {"edits": "Do the edits hold?", "rest": "Does the rest stay as it was?"}


@dataclass(frozen=True)
class Words:
    """A short name for axes and tables, and what the number says in one line."""

    label: str
    meaning: str


WORDS: Final[dict[Kind, Words]] = {
    "reliability": Words("Reliability", "the edited question itself"),
    "text_generality": Words("Text generality", "the question in other words"),
    "image_generality": Words("Image generality", "another picture of the same thing"),
    "portability": Words("Portability", "a question that builds on the new answer"),
    "text_locality": Words("Text locality", "an unrelated question without a picture"),
    "image_locality": Words("Image locality", "another picture, an unrelated fact"),
    "locality_twin_same": Words("Twin, same fact", "a look-alike that shares the asked fact, same question"),
    "locality_twin_other": Words("Twin, other fact", "a look-alike that differs in the asked fact, same question"),
    "locality_other_question": Words("Other question", "the edited picture, asked something else"),
    "locality_no_image": Words("No image", "the edited question without its picture"),
}

SCORER_WORDS: Final[dict[Scorer, str]] = {"free_running": "free-running", "teacher_forced": "teacher-forced"}


def main_scorer(result: Result) -> Scorer:
    """What headlines and tables show: free-running, unless a protocol only scores teacher-forced."""
    return "free_running" if "free_running" in result.protocol.scorers else "teacher_forced"
