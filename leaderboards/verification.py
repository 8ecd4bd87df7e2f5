"""Does a submission hold? Everything in it is computed again from its answers, its stream and its code's own rules.

A submission that holds is *self-consistent*: its numbers follow from its answers, and its answers are to the questions
that the protocol asks of that stream. That such answers were ever given is another matter: see `badges`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd

from ..benchmark.edits import EditStream
from ..errors import BenchError
from ..metrics.seeds import RunMeans, over_seeds, plain_points, run_means
from ..metrics.sheet import Sheet
from ..runners.environment import without_credentials
from ..runners.result import answers_of
from .submission import Submission, SubmittedRun, seal
from .submission_official import reasons
from .submission_reading import read_with_text, shown
from .submission_table import unpack
from .verification_backbone import check_words
from .verification_journal import check_journal
from .verification_numbers import ANSWERED, differences, result_digest
from .verification_probes import check_answers, check_cells, check_rows, rows_of
from .verification_stream import StreamUnknownError, rebuild

MOST = 5
"""Failures of one kind that are listed one by one."""

Rebuild = Callable[[SubmittedRun], EditStream]


@dataclass(frozen=True)
class Failure:
    """One thing that does not hold. check: the name of the check that found it."""

    check: str
    message: str


@dataclass(frozen=True)
class Verdict:
    """What became of a submission.

    checks: the names of those that were made. unchecked: what could not be looked at here, with the reason; a
    submission of which something was not looked at does not count as self-consistent.
    """

    path: Path
    submission: Submission
    checks: tuple[str, ...]
    failures: tuple[Failure, ...]
    unchecked: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Nothing failed."""
        return not self.failures

    @property
    def self_consistent(self) -> bool:
        """Everything was looked at, and nothing failed."""
        return self.holds and not self.unchecked


class _Checks:
    """Collects failures; one check that cannot be carried out does not keep the others from being made."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.failures: list[Failure] = []
        self.unchecked: list[str] = []

    def make(self, name: str, check: Callable[[], list[str]]) -> bool:
        """Carry out a check that returns what it found. True when it found nothing."""
        if name not in self.made:
            self.made.append(name)
        try:
            found = check()
        except StreamUnknownError as error:
            self.unchecked.append(shown(error, 400))
            return False
        except BenchError as error:
            found = [str(error)]
        self.failures += [Failure(name, shown(message, 400)) for message in found[:MOST]]
        if len(found) > MOST:
            self.failures.append(Failure(name, f"and {len(found) - MOST:,} more of this kind"))
        return not found


def verify(path: Path, *, rebuilt: Rebuild = rebuild) -> Verdict:
    """Check a submission. `rebuilt` gives the stream of a run (by default it is built anew from its dataset).

    Raises `UnreadableError` when the file is no submission of this version.
    """
    submission, plain = read_with_text(path)
    checks = _Checks()
    checks.make("seal", lambda: _seal(plain))
    checks.make("credentials", lambda: _credentials(submission))
    checks.make("official", lambda: _official(submission))
    tables: dict[int, pd.DataFrame] = {}
    if checks.make("file", lambda: _file_name(path, submission)) and checks.make(
        "probes", lambda: _open(path, submission, tables)
    ):
        means = _check_runs(submission, plain, tables, checks, rebuilt)
        if len(means) == len(submission.runs):
            checks.make("curve", lambda: _curve(plain, means))
    return Verdict(path, submission, tuple(checks.made), tuple(checks.failures), tuple(checks.unchecked))


def _check_runs(
    submission: Submission,
    plain: Mapping[str, Any],
    tables: Mapping[int, pd.DataFrame],
    checks: _Checks,
    rebuilt: Rebuild,
) -> list[RunMeans]:
    """All checks of the single runs. Returns the means of those whose answers can be looked at."""
    usable: list[RunMeans] = []
    for number, run in enumerate(submission.runs):
        said = plain["runs"][number]["result"]
        told = _Told(f"seed {run.asked.seed}: ")
        checks.make("digest", told.by(_digest, said))
        if not checks.make("cells", told.by(check_cells, run, tables[number])):
            continue
        rows = list(rows_of(tables[number]))
        if not checks.make("answers", told.by(check_answers, run, rows)):
            continue
        checks.make("journal", told.by(check_journal, run, tables[number]))
        checks.make("backbone", told.by(check_words, run, rows))
        checks.make("numbers", told.by(_numbers, run, said, tables[number], usable))
        streams: list[EditStream] = []
        if checks.make("stream", told.by(_stream, run, rebuilt, streams)):
            checks.make("questions", told.by(check_rows, run, rows, streams[0]))
    return usable


@dataclass(frozen=True)
class _Told:
    """Puts the run in front of every message."""

    prefix: str

    def by(self, check: Callable[..., list[str]], *given: Any) -> Callable[[], list[str]]:
        def told() -> list[str]:
            try:
                return [self.prefix + message for message in check(*given)]
            except StreamUnknownError:
                raise
            except BenchError as error:
                return [f"{self.prefix}{error}"]

        return told


def _seal(plain: dict[str, Any]) -> list[str]:
    found = seal(plain)
    if found == plain["sha256"]:
        return []
    return [f"the file was changed after it was made: its own sha256 would be {found[:16]}, not {plain['sha256'][:16]}"]


def _file_name(path: Path, submission: Submission) -> list[str]:
    wanted = path.with_suffix(".parquet").name
    if submission.probes.file == wanted:
        return []
    return [f"its answers are said to lie in {submission.probes.file}; they must lie beside it in {wanted}"]


def _open(path: Path, submission: Submission, into: dict[int, pd.DataFrame]) -> list[str]:
    about = submission.probes
    tables = unpack(path.parent / path.with_suffix(".parquet").name, sha256=about.sha256, rows=about.rows)
    if list(tables) != list(range(len(submission.runs))):
        return [f"the answers are those of {len(tables)} runs, {len(submission.runs)} are told of"]
    for number, run in enumerate(submission.runs):
        if len(tables[number]) != run.rows:
            return [f"seed {run.asked.seed}: {len(tables[number]):,} answers, where the JSON says {run.rows:,}"]
    into.update(tables)
    return []


def _credentials(submission: Submission) -> list[str]:
    found: list[str] = []
    for run in submission.runs:
        git = run.result.environment.get("git")
        remote = cast("dict[str, Any]", git).get("remote") if isinstance(git, dict) else None
        if isinstance(remote, str) and without_credentials(remote) != remote:
            found.append(f"seed {run.asked.seed}: the remote of the repository holds a user or a password")
    return found


def _official(submission: Submission) -> list[str]:
    found = reasons(submission.runs)
    if (submission.official, submission.reasons) == (not found, found):
        return []
    said = "official" if submission.official else f"not official ({'; '.join(submission.reasons)})"
    ought = f"not official ({'; '.join(found)})" if found else "official"
    return [f"it says that it is {said}; it is {ought}"]


def _digest(said: dict[str, Any]) -> list[str]:
    found = result_digest(said)
    if said.get("digest") == found:
        return []
    return [f"the digest of its result is {found[:16]}, not {str(said.get('digest'))[:16]}: a number was changed"]


def _numbers(run: SubmittedRun, said: dict[str, Any], table: pd.DataFrame, into: list[RunMeans]) -> list[str]:
    how, protocol = run.result.stream.normalisation or "exact", run.result.protocol.id
    sheet = Sheet.from_table(table, how)
    into.append(run_means(sheet, normalisation=how, protocol=protocol))
    found = answers_of(sheet, protocol, how)
    return differences({name: value for name, value in said.items() if name in ANSWERED}, found)


def _curve(plain: Mapping[str, Any], means: Sequence[RunMeans]) -> list[str]:
    return differences({"curve": plain["curve"]}, {"curve": plain_points(over_seeds(means))}, where="over all seeds: ")


def _stream(run: SubmittedRun, rebuilt: Rebuild, into: list[EditStream]) -> list[str]:
    about, stream = run.result.stream, rebuilt(run)
    source = stream.source
    named = {
        "dataset": (about.dataset, source.dataset),
        "split": (about.split, source.split),
        "edits": (about.edits, len(stream)),
        "version": (about.version, source.version),
        "normalisation": (about.normalisation, source.normalisation),
        "texts": (about.texts, source.texts),
        "scenario": (about.scenario, source.scenario),
    }
    found = [
        f"the stream has the {name} {right!r}, not {said!r}" for name, (said, right) in named.items() if said != right
    ]
    if stream.sha256 != about.sha256:
        found.append(f"the stream of that seed has the sha256 {stream.sha256[:16]}, not {about.sha256[:16]}")
    if not found:
        into.append(stream)
    return found
