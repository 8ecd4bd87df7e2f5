"""Submissions that may be compared, side by side and ranked.

Two submissions stand in one table when protocol, data, backbone and the last step are the same. Ranks follow the
intervals over seeds (`metrics.intervals.shared_ranks`): who cannot be told apart shares a rank. Bounds and whatever
else is not official stand below, without a rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..benchmark.edits import canonical_json
from ..errors import BenchError
from ..metrics import estimates
from ..metrics.intervals import shared_ranks
from ..metrics.seeds import AVERAGE
from .schema import Estimate, Scorer
from .submission import Submission
from .submission_reading import read_submission, shown

HEADLINES: dict[str, tuple[str, Scorer]] = {
    "lifelong": ("score", "free_running"),
    "paper": (AVERAGE, "teacher_forced"),
}
"""By protocol: what tables are ranked by."""


@dataclass(frozen=True)
class Entry:
    """One submission in its table. rank: None where it is not ranked; tied: others share the rank."""

    path: Path
    submission: Submission
    rank: int | None
    tied: bool

    def number(self, name: str, scorer: Scorer) -> Estimate | None:
        """A number over all seeds at the last step: of a kind, or of a composite (`metrics.seeds`)."""
        return self.submission.curve[-1].metrics.get(name, {}).get(scorer)

    @property
    def headline(self) -> Estimate | None:
        """What the table is ranked by."""
        return self.number(*HEADLINES[self.submission.protocol])


@dataclass(frozen=True)
class Standing:
    """A table: ranked entries, the best first, then the others by their headline."""

    protocol: str
    dataset: str
    split: str
    edits: int
    backbone: str
    prepared: str
    entries: tuple[Entry, ...]

    @property
    def title(self) -> str:
        """What all entries share, in words."""
        return f"{self.dataset}/{self.split}{self.prepared}, {self.edits:,} edits, {self.backbone}"


def read_folder(folder: Path) -> list[tuple[Path, Submission]]:
    """Every ``*.json`` of a folder and its sub-folders, in the order of their names.

    Raises `BenchError` when there is no such folder, when it holds none, and for the first that is no submission.
    """
    if not folder.is_dir():
        raise BenchError(f"no folder {folder}; give one that holds submissions")
    paths = sorted(
        path
        for path in folder.rglob("*.json")
        if path.is_file() and "evidence" not in path.relative_to(folder).parts  # other people's runs of the same
    )
    if not paths:
        raise BenchError(f"{folder} holds no submission; `liveedit-bench submit` makes one of finished runs")
    return [(path, read_submission(path)) for path in paths]


def standings(submissions: Sequence[tuple[Path, Submission]]) -> list[Standing]:
    """A table for each group of comparable submissions, lifelong before paper, the largest first.

    Raises `BenchError` when two submissions of one table have the same name.
    """
    groups: dict[str, list[tuple[Path, Submission]]] = {}
    for path, submission in submissions:
        groups.setdefault(canonical_json(_shared(submission)), []).append((path, submission))
    found = [_standing(group) for group in groups.values()]
    return sorted(found, key=lambda table: (table.protocol, -len(table.entries), table.title))


def _shared(submission: Submission) -> dict[str, Any]:
    """What must be equal for numbers to be compared."""
    result, asked = submission.result, submission.runs[0].asked
    stream = result.stream
    return {
        "protocol": submission.protocol,
        "step": submission.curve[-1].step,
        "dataset": [stream.dataset, stream.version, stream.split, stream.edits],
        "prepared": [stream.texts, stream.scenario, stream.normalisation],
        "backbone": [result.backbone.weights_sha256, result.backbone.loaded_as],
        "panel": [asked.panel_size, asked.sample_bound],
    }


def _standing(group: Sequence[tuple[Path, Submission]]) -> Standing:
    names: dict[str, Path] = {}
    for path, submission in group:
        known = names.setdefault(submission.name.casefold(), path)
        if known != path:
            raise BenchError(
                f"{shown(known, 200)} and {shown(path, 200)} are both called {submission.name}; give one another --name"
            )
    bare = [Entry(path, submission, None, False) for path, submission in group]
    ranked = [entry for entry in bare if entry.submission.official and entry.headline]
    ranks = shared_ranks([estimates.Estimate(e.value, e.n, e.ci95) for entry in ranked if (e := entry.headline)])
    placed = [
        Entry(entry.path, entry.submission, rank, ranks.count(rank) > 1)
        for entry, rank in zip(ranked, ranks, strict=True)
    ]
    placed.sort(key=lambda entry: (entry.rank, -_value(entry), entry.submission.name))
    others = [entry for entry in bare if not (entry.submission.official and entry.headline)]
    others.sort(key=lambda entry: (-_value(entry), entry.submission.name))
    first = group[0][1]
    return Standing(
        protocol=first.protocol,
        dataset=first.dataset,
        split=first.split,
        edits=first.edits,
        backbone=first.backbone,
        prepared=first.result.stream.prepared,
        entries=(*placed, *others),
    )


def _value(entry: Entry) -> float:
    return entry.headline.value if entry.headline else -1.0
