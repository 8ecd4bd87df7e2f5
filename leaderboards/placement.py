"""Where published results lie, so that a change that adds one is two files and nothing else.

A submission lies in the folder of its dataset: ``<dataset>/<method>.json`` under the lifelong protocol and
``<dataset>/<method>.paper.json`` under the paper one, with the answers of either in a Parquet file of the same name
beside it. Sweep files (``.toml``) and notes (``.md``) may lie there too. Other people's runs of the same are no entries
of a table; they lie in a folder ``evidence`` (`challenge.evidence_of`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import BenchError
from .standings import standings
from .submission import Submission
from .submission_reading import shown

EVIDENCE = "evidence"
_NAME = re.compile(r"[\w+-]+(\.[\w+-]+)*", re.ASCII)
_ENDINGS = {"lifelong": "", "paper": ".paper"}
_NOTES = (".md", ".toml")


def published_files(results: Path) -> list[Path]:
    """Every submission under a folder, evidence included, in the order of their names.

    Raises `BenchError` when there is no such folder.
    """
    if not results.is_dir():
        raise BenchError(f"no folder {results}; give the one that holds the published results")
    return [path for path in sorted(results.rglob("*.json")) if path.is_file() or path.is_symlink()]


def strays(results: Path) -> list[str]:
    """A line for each thing under the folder that is neither a submission, its answers nor a note beside them."""
    found: list[str] = []
    for path in sorted(results.rglob("*")):
        told = shown(path.relative_to(results))
        if path.is_symlink():
            found.append(f"{told} is a link; put the file itself there")
        elif path.is_dir():
            if not _NAME.fullmatch(path.name):
                found.append(f"{told}: a folder's name is made of letters, digits, '.', '_', '+' and '-'")
        elif not _NAME.fullmatch(path.name):
            found.append(f"{told}: a file's name is made of letters, digits, '.', '_', '+' and '-'")
        elif path.suffix == ".json" and not path.with_suffix(".parquet").is_file():
            found.append(f"{told} has no answers beside it: {path.with_suffix('.parquet').name} is missing")
        elif path.suffix == ".parquet" and not path.with_suffix(".json").is_file():
            found.append(f"{told} belongs to no submission: {path.with_suffix('.json').name} is missing")
        elif path.suffix not in (".json", ".parquet", *_NOTES):
            found.append(f"{told} is neither a submission nor its answers")
    return found


def misplaced(results: Path, submissions: Sequence[tuple[Path, Submission]]) -> list[str]:
    """A line for each submission that lies elsewhere than it ought to, and for two of one name in one table."""
    found: list[str] = []
    entered: list[tuple[Path, Submission]] = []
    for path, submission in submissions:
        parts = path.relative_to(results).parts
        told = shown(path.relative_to(results))
        if EVIDENCE in parts[:-1]:
            continue
        entered.append((path, submission))
        dataset = submission.result.stream.dataset
        if parts[:-1] != (dataset,):
            found.append(f"{told}: results on {shown(dataset, 40)} lie in the folder {shown(dataset, 40)}")
        ending = _ENDINGS[submission.protocol]
        if path.stem.endswith(".paper") != bool(ending):
            right = path.stem.removesuffix(".paper") + ending + ".json"
            found.append(f"{told} is of the {submission.protocol} protocol; its name ought to be {shown(right)}")
    try:
        standings(entered)
    except BenchError as error:
        found.append(str(error))
    return found
