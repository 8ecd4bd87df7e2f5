"""Two results against each other, probe by probe.

A result is one run, or the runs of one editor on several streams (seeds). Only answers to the same questions are
compared: the same streams, protocol, scorers, backbone and step. Everything is computed from `probes.parquet`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..benchmark.edits import LOCALITY_KINDS, EditStream, Kind, Normalisation, canonical_json
from ..errors import BenchError
from ..metrics.curves import PAPER_COLUMNS
from ..metrics.effects import McNemar
from ..metrics.estimates import Scorer
from ..metrics.paired import AVERAGE, Difference, Differences, Pair, counts, differences, pair
from ..runners.table import read_table
from .gallery import StreamLoader
from .kinds import main_scorer
from .paired_examples import MANY, Asked, Examples, examples
from .schema import Result, StreamInfo, read_result

RESAMPLES: Final = 1000
_INSTEAD: Final = "--unpaired sets them side by side"
_SHORT: Final = 12


@dataclass(frozen=True)
class Run:
    """A finished run. seed: of the run, where its `run.json` is at hand."""

    folder: Path
    result: Result
    seed: int | None

    @property
    def probes(self) -> Path:
        """Where its answers are, or would be."""
        return self.folder / "probes.parquet"


@dataclass(frozen=True)
class Side:
    """One result: the runs of one editor. name: what tables call it."""

    name: str
    runs: tuple[Run, ...]

    @property
    def result(self) -> Result:
        """Of the first run: editor and backbone stand in it."""
        return self.runs[0].result


@dataclass(frozen=True)
class PairFacts:
    """One stream that both were run on. probes: compared at the step. alone: probes only one was asked, at any step."""

    stream_sha256: str
    stream: str
    first: Path
    second: Path
    probes: int
    alone: tuple[int, int]
    headline: Difference | None


@dataclass(frozen=True)
class Compared:
    """What was found at one step.

    names: of the numbers that are shown, the headline first. differences: name -> scorer -> difference. counts: kind or
    ``all`` -> McNemar. curve: the headline's difference at every checkpoint of all runs.
    """

    first: Side
    second: Side
    step: int
    scorer: Scorer
    names: tuple[str, ...]
    differences: Differences
    counts: Mapping[str, McNemar]
    curve: tuple[tuple[int, Difference], ...]
    pairs: tuple[PairFacts, ...]
    examples: Examples
    notes: tuple[str, ...]

    @property
    def headline(self) -> Difference | None:
        """`score`, or the average under the paper protocol; None when it was not measured."""
        return self.differences.get(headline_of(self.first.result), {}).get(self.scorer)


def headline_of(result: Result) -> str:
    """The name of the number that decides."""
    return AVERAGE if result.protocol.id == "paper" else "score"


def two_sides(paths: Sequence[Path]) -> tuple[Side, Side] | list[str]:
    """The two results among run folders; or, where they are not two, what they are.

    Runs of one editor (name, version, options and code) are one result. Two runs of one editor on one stream are two.
    """
    runs = [_run(path) for path in paths]
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(_identity(run.result), []).append(run)
    grouped = list(groups.values())
    if len(grouped) == 1 and len(runs) == 2 and len({_stream(run) for run in runs}) == 1:
        grouped = [[run] for run in runs]
    if len(grouped) != 2:
        return [f"{group[0].result.editor.name} ({len(group)})" for group in grouped]
    names = [group[0].result.editor.name for group in grouped]
    if names[0] == names[1]:
        names = [f"{name} ({group[0].folder})" for name, group in zip(names, grouped, strict=True)]
    first, second = (Side(name, tuple(group)) for name, group in zip(names, grouped, strict=True))
    return first, second


def lacking(sides: tuple[Side, Side]) -> list[Path]:
    """The answers tables that are not there."""
    return [run.probes for side in sides for run in side.runs if not run.probes.exists()]


def compare_pairs(
    first: Side,
    second: Side,
    *,
    step: int | None = None,
    many: int = MANY,
    resamples: int = RESAMPLES,
    loader: StreamLoader | None = None,
) -> Compared:
    """Everything that can be said of two results.

    Args:
        first: the one that differences are counted from.
        second: the other one.
        step: a checkpoint of all runs (under the paper protocol a block size); by default the last one.
        many: how many probes to show for either side; 0 for none.
        resamples: bootstrap replicates.
        loader: gives the stream that a result names; by default its dataset is asked.

    Raises:
        BenchError: the two were not asked the same questions, a run is void, or its answers are damaged.
    """
    matched = _matched(first, second)
    at, steps = _steps(first, second, step)
    normalisation = first.result.stream.normalisation or "exact"
    tables = [Asked(one.result.stream, _answers(one), _answers(other)) for one, other in matched]
    pairs = [pair(each.first, each.second, normalisation) for each in tables]
    scorer, name = main_scorer(first.result), headline_of(first.result)
    if missing := [each for each in pairs if at not in each.steps]:
        raise BenchError(f"{len(missing)} of {len(pairs)} pairs of runs share no probe at step {at}; run them anew")
    curve = [(each, differences(pairs, each, resamples=resamples)) for each in steps if _asked(pairs, each)]
    found = _reported(dict(curve)[at], first.result)
    shown = examples(tables, at, scorer, normalisation, loader=loader or _rebuild, many=many)
    return Compared(
        first=first,
        second=second,
        step=at,
        scorer=scorer,
        names=tuple(each for each in _names(first.result) if _scorer_of(each, scorer) in found.get(each, {})),
        differences=found,
        counts=counts(pairs, at, scorer),
        curve=tuple((each, of[name][scorer]) for each, of in curve if scorer in of.get(name, {})),
        pairs=tuple(
            PairFacts(
                stream_sha256=one.result.stream.sha256,
                stream=_told(one.result),
                first=one.folder,
                second=other.folder,
                probes=len(each.first.having(each.first.at(at), scorer)),
                alone=each.alone,
                headline=differences([each], at, resamples=resamples).get(name, {}).get(scorer),
            )
            for (one, other), each in zip(matched, pairs, strict=True)
        ),
        examples=shown,
        notes=tuple(_notes(first, second, pairs)),
    )


def _run(path: Path) -> Run:
    folder = path.parent if path.is_file() else path
    result = read_result(path if path.is_file() else path / "result.json")
    try:
        spec: Any = json.loads((folder / "run.json").read_text(encoding="utf-8"))["spec"]["seed"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        spec = None
    return Run(folder, result, spec if isinstance(spec, int) else result.stream.seed)


def _identity(result: Result) -> str:
    editor = result.editor
    return canonical_json([editor.name, editor.version, editor.options, editor.source_sha256])


def _stream(run: Run) -> str:
    return run.result.stream.sha256


def _matched(first: Side, second: Side) -> list[tuple[Run, Run]]:
    """The runs of both, stream by stream. Raises `BenchError` when they were not asked the same."""
    everyone = [(side.name, run.result) for side in (first, second) for run in side.runs]
    for name, result in everyone:
        if result.status == "void":
            raise BenchError(f"{name} has a void run: the editor looked ahead and its numbers do not count; {_INSTEAD}")
    for what, values in (
        ("protocol", [result.protocol.id for _, result in everyone]),
        ("scorers", [_scorers(result) for _, result in everyone]),
        ("backbone", [_backbone(result) for _, result in everyone]),
        ("number of edits", [f"{result.stream.edits:,}" for _, result in everyone]),
    ):
        for (name, _), value in zip(everyone, values, strict=True):
            if value != values[0]:
                raise BenchError(
                    f"different {what}: {everyone[0][0]} has {values[0]}, {name} has {value}; only answers to the same "
                    f"questions can be compared ({_INSTEAD})"
                )
    sides = (first, second)
    by_seed = any(len({_stream(run) for run in side.runs}) < len(side.runs) for side in sides)
    ours, theirs = ({(_stream(run), run.seed if by_seed else None): run for run in side.runs} for side in sides)
    for side, known in zip(sides, (ours, theirs), strict=True):
        if len(known) < len(side.runs):
            raise BenchError(f"{side.name} was run twice on one stream with one seed; give one run for each seed")
    if alone := set(ours) ^ set(theirs):
        lone = next(key for key in (*ours, *theirs) if key in alone)
        run, side = (ours[lone], first) if lone in ours else (theirs[lone], second)
        raise BenchError(
            f"different streams: only {side.name} was run on {_told(run.result)} (sha256 {lone[0][:_SHORT]}…); "
            f"give runs of both on the same streams ({_INSTEAD})"
        )
    return [(run, theirs[key]) for key, run in ours.items()]


def _scorers(result: Result) -> str:
    return f"{' and '.join(sorted(result.protocol.scorers))}, answers compared {result.stream.normalisation or 'exact'}"


def _backbone(result: Result) -> str:
    model = result.backbone
    loaded = "".join(f", {name} {value}" for name, value in sorted((model.loaded_as or {}).items()))
    return f"{model.name} (weights {model.weights_sha256[:_SHORT]}{loaded})"


def _steps(first: Side, second: Side, step: int | None) -> tuple[int, list[int]]:
    """The step that is compared, and all that could be."""
    asked = [(side.name, [point.step for point in run.result.curve]) for side in (first, second) for run in side.runs]
    shared = sorted(step for step in asked[0][1] if all(step in steps for _, steps in asked))
    named = ", ".join(map(str, shared)) or "none"
    if step is None:
        for name, steps in asked:
            if steps[-1] != asked[0][1][-1]:
                raise BenchError(
                    f"different steps: {asked[0][0]} was last asked at {asked[0][1][-1]:,}, {name} at {steps[-1]:,}; "
                    f"choose one with --step (of both: {named})"
                )
        return shared[-1], shared
    if step not in shared:
        raise BenchError(f"--step {step} is no checkpoint of all runs; they share: {named}")
    return step, shared


def _answers(run: Run) -> Any:
    table, info = read_table(run.probes)
    result = run.result
    normalisation: Normalisation = result.stream.normalisation or "exact"
    said = (result.stream.sha256, result.protocol.id, normalisation)
    if (info.stream_sha256, info.protocol, info.normalisation) != said:
        raise BenchError(f"{run.probes} is of another run than the result beside it: one of them was changed")
    return table


def _rebuild(stream: StreamInfo) -> EditStream:
    from .report import rebuild_stream  # what draws figures takes long to import

    return rebuild_stream(stream)


def _asked(pairs: Sequence[Pair], step: int) -> bool:
    return all(step in each.steps for each in pairs)


def _reported(found: Differences, result: Result) -> Differences:
    """What the protocol knows: no scorer that it does not ask with, and no mean that it does not make."""
    known: dict[str, dict[Scorer, Difference]] = {
        name: {scorer: of for scorer, of in found[name].items() if scorer in result.protocol.scorers}
        for name in _names(result)
        if name in found
    }
    return {name: scorers for name, scorers in known.items() if scorers}


def _names(result: Result) -> tuple[str, ...]:
    """In the order of a table."""
    if result.protocol.id == "paper":
        return (AVERAGE, *PAPER_COLUMNS)
    edited = ("score", "reliability", "immediate", "generality", "text_generality", "image_generality")
    return (*edited, "locality", *LOCALITY_KINDS, "portability", AVERAGE)


def _scorer_of(name: str, scorer: Scorer) -> Scorer:
    """The paper's average is teacher-forced under every protocol."""
    return "teacher_forced" if name == AVERAGE else scorer


def _told(result: Result) -> str:
    stream = result.stream
    seed = "" if stream.seed is None else f", seed {stream.seed}"
    return f"{stream.dataset}/{stream.split}, {stream.edits:,} edits{stream.prepared}{seed}"


def _notes(first: Side, second: Side, pairs: Sequence[Pair]) -> list[str]:
    """What a reader must know."""
    if len(pairs) == 1:
        notes = ["Intervals: 95 %, paired, within this one stream; other orders and seeds may say otherwise."]
    else:
        notes = [f"Intervals: 95 %, paired two-level bootstrap over {len(pairs)} streams and the things in each."]
    if first.result.protocol.id == "lifelong":
        notes.append("The score decides; of many other rows one in twenty leaves out 0 by chance.")
    for side in (first, second):
        if side.result.editor.bound:
            notes.append(f"{side.name} is a bound, no method: it uses what none can know.")
    marked: set[Kind] = {kind for side in (first, second) for kind in side.result.editor.fixed_scores or ()}
    if marked:
        notes.append("†: of one of them fixed by how the method is built, or a mean over such a number.")
    if lone := [sum(each.alone) for each in pairs if any(each.alone)]:
        notes.append(f"Only probes that both were asked are compared; {sum(lone):,} answers of one alone are left out.")
    return notes


def is_fixed(name: str, sides: Sequence[Side]) -> bool:
    """Does a number of one of them follow from how its editor is built, in part or in whole?"""
    marked: set[str] = {kind for side in sides for kind in side.result.editor.fixed_scores or ()}
    return bool(marked & set(_PARTS.get(name, (name,))))


_GENERALITY: Final = ("text_generality", "image_generality")
_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "generality": _GENERALITY,
    "locality": LOCALITY_KINDS,
    "score": ("reliability", *_GENERALITY, *LOCALITY_KINDS),
    "immediate": ("reliability",),
    AVERAGE: PAPER_COLUMNS,
}
