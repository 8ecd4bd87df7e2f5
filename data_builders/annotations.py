"""Annotation files: a JSON list of objects, checked record by record before anything is built of them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import BenchError


class Record(BaseModel):
    """One record of an annotation file. Types are strict: a number is no text."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Annotations:
    """A file that was read: a list of objects, whatever their fields.

    `warnings` say what about the file is unusual and harmless.
    """

    path: Path
    sha256: str
    records: Sequence[Mapping[str, Any]]
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the file, without its folder: what messages and provenance call it."""
        return self.path.name

    def refuse(self, index: int, field: str, problem: str) -> NoReturn:
        """Raise a `BenchError` that names file, record and field."""
        raise BenchError(f"{self.path}: record {index}, field {field!r}: {problem}")

    def validated(self, model: type[R], *, limit: int | None = None) -> list[R]:
        """The records (the first `limit` of them) as `model`. Raises `BenchError` for the first that is none."""
        return [self._valid(index, raw, model) for index, raw in enumerate(self.records[:limit])]

    def unused(self, model: type[Record]) -> dict[str, int]:
        """Fields that `model` does not know, and how many records have them."""
        known = {info.alias or name for name, info in model.model_fields.items()}
        return dict(Counter(name for raw in self.records for name in raw if name not in known))

    def _valid(self, index: int, raw: Mapping[str, Any], model: type[R]) -> R:
        try:
            return model.model_validate(raw)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            at = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
            if first["type"] == "missing":
                self.refuse(index, at, "is missing")
            wanted = _WANTED.get(first["type"], first["msg"])  # a validator of a source words its own
            if first["type"] == "literal_error":
                wanted = f"one of {first.get('ctx', {})['expected']}"
            self.refuse(index, at, f"must be {wanted}, is {kind(first['input'])}")


class _Twice:
    """Stands where an object of the file names one field twice."""


def read_annotations(path: Path) -> Annotations:
    """Read a JSON list of objects.

    Raises:
        BenchError: The file cannot be read, is no UTF-8, no complete JSON, no list, an empty one, or holds something
            else than objects. The message names the place.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror or error}; give the annotation file") from error
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BenchError(
            f"{path} is no UTF-8 text (byte {error.start:,}); give the JSON file itself, unpacked and as distributed"
        ) from error
    marked = text.startswith("\ufeff")
    try:
        content = json.loads(text[marked:], object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise BenchError(
            f"{path} is no complete JSON (line {error.lineno}, column {error.colno}, after {_whole_records(text):,} "
            f"whole records: {error.msg}); it may be cut short: copy it again"
        ) from error
    except (RecursionError, ValueError) as error:  # nested without end; a number of thousands of digits
        raise BenchError(f"{path} cannot be read as JSON: {error}; give an annotation file") from error
    if not isinstance(content, list):
        raise BenchError(f"{path} must hold a JSON list of records, it holds {kind(content)}")
    records = cast("list[Any]", content)
    if not records:
        raise BenchError(f"{path} holds an empty list; there is nothing to build")
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            raise BenchError(f"{path}: record {index} must be an object, is {kind(record)}")
    warnings = (f"{path.name} begins with a byte-order mark, which is not text and was skipped",) if marked else ()
    read = Annotations(path, hashlib.sha256(data).hexdigest(), records, warnings)
    _check_surrogates(read)
    return read


def kind(value: object) -> str:
    """What a value of a JSON file is, in words."""
    if isinstance(value, _Twice):
        return "given twice"
    if isinstance(value, str):
        return f"the text {value[:30]!r}" if value else "an empty text"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {str(value)[:30]}"
    return "a list" if isinstance(value, list) else "an object"


_WANTED = {
    "string_type": "a text",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "int_type": "a whole number",
    "texts_type": "a text or a list of texts",
    "paths_type": "a path, a list of paths or an object of paths",
}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                made[name] = _Twice()
            seen.add(name)
    return made


def _check_surrogates(read: Annotations) -> None:
    """Half of a surrogate pair is no character and has no place in any file we write."""
    for index, record in enumerate(read.records):
        for field, text in _texts(record):
            try:
                text.encode()
            except UnicodeEncodeError:
                read.refuse(index, field, "holds half of a surrogate pair, which is no character; mend the file")


def _texts(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every text of a record with its place, keys included. Without recursion: files may nest as deep as they like."""
    todo: list[tuple[str, Any]] = [("", record)]
    while todo:
        at, value = todo.pop()
        if isinstance(value, str):
            yield at, value
        elif isinstance(value, dict):
            for name, each in cast("dict[str, Any]", value).items():
                yield at or name, name
                todo.append((f"{at}.{name}" if at else name, each))
        elif isinstance(value, list):
            todo += [(f"{at}[{place}]", each) for place, each in enumerate(cast("list[Any]", value))]


def _whole_records(text: str) -> int:
    """How many objects of a list can be read before it breaks off."""
    decoder, at, count = json.JSONDecoder(), text.find("[") + 1, 0
    while at > 0:
        at += len(text[at : at + 1000]) - len(text[at : at + 1000].lstrip(" \t\r\n,"))
        try:
            _, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        count += 1
    return count
