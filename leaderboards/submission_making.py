"""From run folders to a submission: ``liveedit-bench submit``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd
from pydantic import ValidationError

from ..errors import BenchError
from ..metrics.seeds import RunMeans, over_seeds, plain_points, run_means
from ..runners.environment import without_credentials
from ..runners.folder import RunFolder, read_bounded, readable_disk_errors
from ..runners.identity import read_run
from ..runners.result import rescore
from ..runners.table import read_table
from .schema import Result, read_result
from .submission import VERSION, Submission, SubmittedRun, seal, to_json
from .submission_official import reasons
from .submission_table import pack

_ASKED = ("seed", "panel_size", "sample_bound", "batch_size", "device", "dtype", "code_sha256", "torch", "transformers")


@dataclass(frozen=True)
class Packed:
    """A submission as the two files it consists of."""

    submission: Submission
    json: str
    parquet: bytes


def submit(folders: Sequence[Path], *, name: str, out: Path, by: str | None = None) -> Packed:
    """Pack finished runs of one method into `out` (FILE.json) and FILE.parquet beside it.

    Raises `BenchError` for runs that are not finished, void, damaged or of different things, and for names that cannot
    be shown.
    """
    if out.suffix != ".json" or out.name.startswith("."):
        raise BenchError(f"--out {out} must be called NAME.json; the answers go to NAME.parquet beside it")
    packed = pack_runs(folders, name=name, file=out.with_suffix(".parquet").name, by=by)
    with readable_disk_errors(out.parent):
        folder = RunFolder(out.parent)
        folder.write(out.with_suffix(".parquet"), packed.parquet)
        folder.write(out, packed.json.encode())
    return packed


def pack_runs(folders: Sequence[Path], *, name: str, file: str, by: str | None = None) -> Packed:
    """The two files as texts and bytes; `file` is the name of the Parquet file."""
    opened = sorted((_open(folder) for folder in folders), key=lambda run: run.seed)
    parquet = pack({number: run.table for number, run in enumerate(opened)})
    runs = [run.plain for run in opened]
    first = opened[0].result
    content: dict[str, Any] = {
        "submission_version": VERSION,
        "name": name,
        **({} if by is None else {"by": by}),
        "official": False,
        "reasons": reasons([run.checked for run in opened]),
        "protocol": first.protocol.id,
        "dataset": first.stream.dataset,
        "split": first.stream.split,
        "edits": first.stream.edits,
        "editor": first.editor.name,
        "backbone": first.backbone.name,
        "seeds": [run.seed for run in opened],
        "probes": {
            "file": file,
            "sha256": hashlib.sha256(parquet).hexdigest(),
            "rows": sum(len(run.table) for run in opened),
        },
        "curve": plain_points(over_seeds([run.means for run in opened])),
        "runs": runs,
    }
    content["official"] = not content["reasons"]
    content = json.loads(json.dumps(content, allow_nan=False))
    content["sha256"] = seal(content)
    text = to_json(content)
    try:
        return Packed(Submission.model_validate_json(text), text, parquet)
    except ValidationError as error:
        raise BenchError(f"these runs make no submission: {_first(error)}") from error


@dataclass(frozen=True)
class _Opened:
    """A finished run. plain: its part of the submission."""

    seed: int
    result: Result
    table: pd.DataFrame
    means: RunMeans
    plain: dict[str, Any]
    checked: SubmittedRun


def _open(path: Path) -> _Opened:
    folder = RunFolder(path)
    try:
        about, result = read_run(folder), read_result(folder.result)
    except RecursionError as error:
        raise BenchError(f"{folder.run} is nested too deep; submit the run folder as the run left it") from error
    if about["status"] != "complete" or result.status != "complete":
        state = "void" if "void" in (about["status"], result.status) else "not finished"
        raise BenchError(f"{path} is {state}; submit finished runs that have a score")
    if rescore(path)[1] is not True:
        raise BenchError(f"{folder.result} says otherwise than {folder.probes}: one of them was changed; run again")
    table, info = read_table(folder.probes)
    spec = cast("dict[str, Any]", about["spec"])
    values = _shareable(folder)
    plain = {
        "rows": len(table),
        "asked": {name: spec[name] for name in _ASKED if name in spec},
        "journal": _journal_facts(folder, result.protocol.id),
        "result": values,
    }
    try:
        checked = SubmittedRun.model_validate_json(json.dumps(plain, allow_nan=False))
    except ValidationError as error:
        raise BenchError(f"{path} cannot be submitted: {_first(error)}; run again with this version") from error
    means = run_means(table, normalisation=info.normalisation, protocol=info.protocol)
    return _Opened(checked.asked.seed, result, table, means, plain, checked)


def _shareable(folder: RunFolder) -> dict[str, Any]:
    """The result to the letter (its digest covers the letters), without anything that signs in somewhere."""
    values: dict[str, Any] = json.loads(folder.result.read_text(encoding="utf-8"))
    git: dict[str, Any] = values["environment"].get("git") or {}
    if isinstance(git.get("remote"), str):
        git["remote"] = without_credentials(git["remote"])
    return values


def _journal_facts(folder: RunFolder, protocol: str) -> dict[str, Any]:
    try:
        content = read_bounded(folder.journal, 2**30)
        events = [cast("dict[str, Any]", json.loads(line)) for line in content.splitlines()]
        told = _of_blocks(events) if protocol == "paper" else _of_edits(events)
    except FileNotFoundError:
        raise BenchError(f"no {folder.journal}; submit the run folder as the run left it") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BenchError(f"{folder.journal} is damaged ({type(error).__name__}); run again") from error
    return {"sha256": hashlib.sha256(content).hexdigest(), "events": len(events), **told}


def _of_edits(events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    edits = [event for event in events if event["event"] == "edit"]
    failed: dict[str, list[int]] = {}
    for event in edits:
        if not event["ok"]:
            failed.setdefault(event["kind"], []).append(event["position"])
    rows = {"0": len(edits), **{str(each["step"]): each["rows"] for each in events if each["event"] == "checkpoint"}}
    return {
        "edit_seconds": _digits([event["seconds"] for event in edits if event["ok"]]),
        "failed": failed,
        "rows": rows,
    }


def _of_blocks(events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    blocks = sorted(
        (each for each in events if each["event"] == "block"), key=lambda each: (each["size"], each["block"])
    )
    kinds: dict[int, str] = {}
    rows: dict[str, int] = {}
    seconds: list[float] = []
    for block in blocks:
        rows[str(block["size"])] = rows.get(str(block["size"]), 0) + len(block["replies"])
        for number, outcome in enumerate(block["outcomes"]):
            if "kind" in outcome:
                kinds.setdefault(block["size"] * block["block"] + number, outcome["kind"])
            else:
                seconds.append(outcome["seconds"])
    failed: dict[str, list[int]] = {}
    for position, kind in sorted(kinds.items()):
        failed.setdefault(kind, []).append(position)
    return {"edit_seconds": _digits(seconds), "failed": failed, "rows": rows}


def _digits(seconds: Sequence[float]) -> str:
    return " ".join(f"{value:.4g}" for value in seconds)


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in found["loc"])
    return f"{where}: {found['msg']}" if where else str(found["msg"]).removeprefix("Value error, ")
