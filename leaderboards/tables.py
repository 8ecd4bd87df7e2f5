"""What the tables and lists of a report hold, as plain rows for the template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from ..benchmark.edits import GENERALITY_KINDS, KINDS, LOCALITY_KINDS, Kind
from .kinds import PANELS, SCORER_WORDS, WORDS, main_scorer
from .schema import Estimate, Result, Scorer, Scores, Split
from .words import percent, share

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Number:
    """A labelled share with its interval and a line of explanation."""

    label: str
    value: float
    ci95: tuple[float, float] | None = None
    note: str = ""
    fixed: bool = False


@dataclass(frozen=True)
class Row:
    """One kind of probe at the last step."""

    kind: Kind
    label: str
    meaning: str
    scores: Scores
    n: int
    floors: list[float | None]
    fixed: bool


@dataclass(frozen=True)
class Cells:
    """A row of estimates, None where nothing was measured."""

    label: str
    cells: list[Estimate | None]
    meaning: str = ""
    fixed: bool = False


@dataclass(frozen=True)
class Fixed:
    """A kind whose score follows from how the editor is built."""

    label: str
    reason: str


def parts(result: Result) -> list[Number]:
    """The three parts of `score`: reliability, generality, locality, as far as they exist."""
    last, main, fixed = result.curve[-1].metrics, main_scorer(result), _marked(result)
    numbers: list[Number] = []
    if reliability := _score(last, "reliability", main):
        numbers.append(Number("Reliability", reliability.value, reliability.ci95, fixed="reliability" in fixed))
    for label, given, kinds in (
        ("Generality", result.generality, GENERALITY_KINDS),
        ("Locality", result.locality, LOCALITY_KINDS),
    ):
        found = [estimate.value for kind in kinds if (estimate := _score(last, kind, main))]
        headline = getattr(given, main) if given else None
        if headline:
            numbers.append(Number(label, headline.value, headline.ci95, fixed=bool(fixed & set(kinds))))
        elif found:
            numbers.append(Number(label, fmean(found), fixed=bool(fixed & set(kinds))))
    return numbers


def beside(result: Result) -> list[Number]:
    """What stands beside `score` and outside it: portability, right after the edit, the paper's average, the floors."""
    main = main_scorer(result)
    words = SCORER_WORDS[main]
    numbers: list[Number] = []
    if portability := _score(result.curve[-1].metrics, "portability", main):
        note = f"{words}, n {portability.n:,}"
        if held := _of(result.portability_given_edit_holds, main):
            note += f"; {share(held.value)} where the edit holds, n {held.n:,}"
        numbers.append(Number("Portability", portability.value, portability.ci95, note))
    if immediate := _of(result.immediate, main):
        note = f"{words}, n {immediate.n:,}"
        numbers.append(Number("Reliability right after the edit", immediate.value, immediate.ci95, note))
    if average := result.paper_average:
        numbers.append(
            Number("Paper average", average.value, average.ci95, "teacher-forced mean of the paper's columns")
        )
    return numbers + [
        Number(f"Floor: {name}", floor.score)
        for name, floor in (result.floors or {}).items()
        if floor.score is not None
    ]


def sentence(result: Result) -> str:
    """The headline in plain words; empty when its numbers are missing or were not answered freely."""
    last = result.curve[-1]
    if main_scorer(result) != "free_running":
        return ""
    said: list[str] = []
    words: dict[Kind, str] = {
        "reliability": "the edited questions",
        "text_generality": "their rephrasings",
        "image_generality": "other pictures of the same things",
    }
    for kind, what in words.items():
        if found := _score(last.metrics, kind, "free_running"):
            said.append(f"{percent(found.value)} of {what}")
    stays = [part.value for part in parts(result) if part.label == "Locality"]
    if not said:
        return ""
    joined = said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
    text = f"After {last.step:,} edits the model gives the new answer to {joined}."
    if stays:
        text += f" Of the answers that no edit was about, {percent(stays[0])} are still exactly what they were."
    return text


def fixed(result: Result) -> list[Fixed]:
    """The marks for scores that are fixed by construction, in the order of the kinds."""
    given = result.editor.fixed_scores or {}
    return [Fixed(WORDS[kind].label, given[kind]) for kind in KINDS if kind in given]


def groups(result: Result) -> list[list[Row]]:
    """Rows of the main table: first the kinds that ask for edits, then those that ask for the rest."""
    last, marked = result.curve[-1], _marked(result)
    floors = list((result.floors or {}).values())
    made = [
        [
            Row(
                kind=kind,
                label=WORDS[kind].label,
                meaning=WORDS[kind].meaning,
                scores=scores,
                n=max((one.n for one in (scores.free_running, scores.teacher_forced) if one), default=0),
                floors=[floor.metrics.get(kind) for floor in floors],
                fixed=kind in marked,
            )
            for kind in kinds
            if (scores := last.metrics.get(kind))
        ]
        for kinds in PANELS.values()
    ]
    return [rows for rows in made if rows]


def splits(result: Result) -> tuple[list[str], list[Cells]]:
    """Seen against unseen targets and questions: column heads and rows."""
    none = Split()
    seen, unseen = result.seen or none, result.unseen or none
    columns: list[tuple[str, Mapping[Kind, Scores] | None]] = [
        ("Seen answers", seen.targets),
        ("Unseen answers", unseen.targets),
        ("Seen wordings", seen.prompts),
        ("Unseen wordings", unseen.prompts),
    ]
    return _columns(columns, result)


def tasks(result: Result) -> tuple[list[str], list[Cells]]:
    """Scores by the kind of fact: column heads and rows."""
    by_task, main = result.by_task or {}, main_scorer(result)
    kinds: list[Kind] = [kind for kind in KINDS if any(_score(scores, kind, main) for scores in by_task.values())]
    heads = [WORDS[kind].label for kind in kinds]
    return heads, [
        Cells(task, [_score(scores, kind, main) for kind in kinds]) for task, scores in by_task.items() if kinds
    ]


def _columns(columns: list[tuple[str, Mapping[Kind, Scores] | None]], result: Result) -> tuple[list[str], list[Cells]]:
    filled = [(head, scores) for head, scores in columns if scores]
    marked, main = _marked(result), main_scorer(result)
    rows: list[Cells] = []
    for kind in KINDS:
        cells = [_score(scores, kind, main) for _, scores in filled]
        if any(cells):
            rows.append(Cells(WORDS[kind].label, cells, fixed=kind in marked))
    return [head for head, _ in filled], rows


def _score(metrics: Mapping[Kind, Scores], kind: Kind, scorer: Scorer) -> Estimate | None:
    return _of(metrics.get(kind), scorer)


def _of(scores: Scores | None, scorer: Scorer) -> Estimate | None:
    return getattr(scores, scorer) if scores else None


def _marked(result: Result) -> frozenset[Kind]:
    return frozenset(result.editor.fixed_scores or ())
