"""From a file that anybody may have written to a `Submission`, or to one line that says why it is none."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn, cast

from pydantic import ValidationError

from ..errors import BenchError
from .submission import VERSION, Submission

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 40
_MAX_DIGITS = 25
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{\]}]', re.DOTALL)


class UnreadableError(BenchError):
    """A file that is no submission of this version, so that nothing in it can be checked."""


def read_submission(path: Path) -> Submission:
    """Read NAME.json. Raises `UnreadableError` with the first thing that is wrong."""
    return read_with_text(path)[0]


def read_with_text(path: Path) -> tuple[Submission, dict[str, Any]]:
    """The same, and the values as they stand in the file: digests cover those."""
    content = _read(path)
    value = _parsed(path, content)
    versions = [value.get("submission_version"), *_result_versions(value)]
    if versions[0] != VERSION:
        _refuse(path, f"is a submission of schema version {shown(versions[0])}; this program reads version {VERSION}")
    if other := [version for version in versions[1:] if version != "1"]:
        _refuse(path, f"holds a result of schema version {shown(other[0])}; this program reads version 1")
    try:
        return Submission.model_validate_json(content), value
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        _refuse(path, f"is no submission: {shown(where, 120)}: {shown(first['msg'], 200)}")


def shown(value: object, length: int = 80) -> str:
    """Text of unknown origin as it may stand in a message: one line, printable ASCII, short."""
    text = " ".join(str(value).split())
    safe = "".join(letter if " " <= letter <= "~" else f"\\u{ord(letter):04x}" for letter in text[: length + 1])
    return safe if len(safe) <= length else safe[: length - 3] + "..."


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableError(f"cannot read {shown(path, 200)}: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        _refuse(path, f"is larger than {MAX_BYTES // 2**20} MiB, which no submission is")
    return content


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    try:
        text = content.decode()
        if _depth(text) > MAX_DEPTH:
            _refuse(path, f"is nested more than {MAX_DEPTH} levels deep")
        value = json.loads(
            text, parse_constant=_no_constant, parse_float=_float, parse_int=_int, object_pairs_hook=_no_twins
        )
        json.dumps(value, ensure_ascii=False).encode()  # half a character makes no text
    except UnicodeError:
        _refuse(path, "is no UTF-8 text")
    except RecursionError:
        _refuse(path, "is nested too deep")
    except ValueError as error:
        _refuse(path, f"is no JSON: {shown(error, 120)}")
    if not isinstance(value, dict):
        _refuse(path, "is no submission: it holds no JSON object")
    return cast("dict[str, Any]", value)


def _depth(text: str) -> int:
    """The most brackets that are open at once; those inside of strings do not count."""
    depth = deepest = 0
    for found in _BRACKETS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        deepest = max(deepest, depth)
    return deepest


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def _int(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits is too large")
    return int(text)


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twin = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {shown(twin, 40)} stands twice in one object")
    return found


def _result_versions(value: dict[str, Any]) -> list[Any]:
    runs = value.get("runs")
    found: list[Any] = []
    for run in cast("list[Any]", runs) if isinstance(runs, list) else []:
        result = cast("dict[str, Any]", run).get("result") if isinstance(run, dict) else None
        if isinstance(result, dict):
            found.append(cast("dict[str, Any]", result).get("schema_version"))
    return found


def _refuse(path: Path, why: str) -> NoReturn:
    raise UnreadableError(f"{shown(path.name)} {why}")
