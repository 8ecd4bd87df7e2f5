"""Reads a table, whatever it is stored as: its columns, and its rows one at a time."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from ...errors import BenchError
from ..annotations import kind, read_annotations
from .arrow import dataset, parquet

SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")


@dataclass(frozen=True)
class Embedded:
    """A picture whose bytes stand in the table itself; `read` fetches them again.

    path: The name it had, when the table says so.
    """

    sha256: str
    path: str | None = field(compare=False)
    read: Callable[[], bytes] = field(compare=False, repr=False)


class Rows(Protocol):
    """One way to store rows."""

    @property
    def columns(self) -> tuple[str, ...]:
        """In the file's order."""
        ...

    def __len__(self) -> int: ...

    def cell(self, row: int, column: str) -> object:
        """A plain value: text, number, list, mapping, bytes or None."""
        ...


@dataclass(frozen=True)
class Table:
    """Rows under named columns.

    name: What messages and provenance call it.
    sha256: Of the file's bytes; None for a Hugging Face dataset.
    split: Of the Hugging Face dataset that it is.
    """

    name: str
    sha256: str | None
    rows: Rows
    split: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns in the file's order."""
        return self.rows.columns

    def __len__(self) -> int:
        return len(self.rows)

    def cell(self, row: int, column: str) -> object:
        """A value, with pictures as `Embedded` and nothing (an empty cell, a null) as None."""
        return self._value(self.rows.cell(row, column), lambda: self.rows.cell(row, column))

    def _value(self, value: object, again: Callable[[], object]) -> object:
        if isinstance(value, list):
            items = cast("list[object]", value)
            return [self._value(item, lambda at=at: cast("list[object]", again())[at]) for at, item in enumerate(items)]
        if isinstance(value, bytes):
            return Embedded(hashlib.sha256(value).hexdigest(), None, lambda: cast("bytes", again()))
        if isinstance(value, Mapping):
            fields = cast("Mapping[str, object]", value)
            data, path = fields.get("bytes"), fields.get("path")
            named = path if isinstance(path, str) else None
            if isinstance(data, bytes):
                digest = hashlib.sha256(data).hexdigest()
                return Embedded(digest, named, lambda: cast("bytes", cast("Mapping[str, object]", again())["bytes"]))
            if named is not None and set(fields) <= {"bytes", "path"}:
                return named
        return None if value == "" else cast("object", value)


def read_table(source: str, *, split: str | None = None) -> Table:
    """The table behind a file, a folder of `datasets`, or the name of a Hugging Face dataset.

    Args:
        source: A file that ends in one of `SUFFIXES`, a folder, or ``owner/name``.
        split: Which split of a Hugging Face dataset; it may be left out where there is one.

    Raises:
        BenchError: There is no such table, it cannot be read, or it has no row.
    """
    path = Path(source)
    if path.is_dir() or not (path.is_file() or path.suffix.lower() in SUFFIXES):
        found = dataset(source, path if path.is_dir() else None, split)
        table = Table(found.name, None, found.rows, found.split)
    else:
        table = _file(path)
    if not len(table):
        raise BenchError(f"{table.name} has no row, so there is nothing to build")
    return table


def _file(path: Path) -> Table:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise BenchError(f"{path.name} is no table that can be read; its name must end in one of {', '.join(SUFFIXES)}")
    if suffix == ".json":
        read = read_annotations(path)
        return Table(path.name, read.sha256, _objects(read.records, path.name))
    try:
        if suffix == ".parquet":
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return Table(path.name, digest, parquet(path))
        data = path.read_bytes()
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror or error}; give a file with --annotations") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BenchError(f"{path.name} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    if suffix in (".csv", ".tsv"):
        rows = _csv(text, path.name, "," if suffix == ".csv" else "\t")
    else:
        rows = _objects(_json_lines(text, path.name), path.name)
    return Table(path.name, hashlib.sha256(data).hexdigest(), rows)


@dataclass(frozen=True)
class _Plain:
    """Rows in memory: JSON, JSONL and CSV."""

    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, object]]

    def __len__(self) -> int:
        return len(self.rows)

    def cell(self, row: int, column: str) -> object:
        return self.rows[row].get(column)


def _json_lines(text: str, name: str) -> list[object]:
    rows: list[object] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise BenchError(f"{name}, line {number} is no JSON: {error}; is the file complete?") from error
    return rows


def _objects(values: Iterable[object], name: str) -> _Plain:
    rows: list[Mapping[str, object]] = []
    columns: dict[str, None] = {}
    for index, value in enumerate(values):
        if not isinstance(value, dict):
            raise BenchError(f"{name}, row {index} must be an object with columns, is {kind(value)}")
        row = cast("dict[str, object]", value)
        columns.update(dict.fromkeys(row))
        rows.append(row)
    return _Plain(tuple(columns), rows)


def _csv(text: str, name: str, delimiter: str) -> _Plain:
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Mapping[str, object]] = []
    try:
        header = next(reader, list[str]())
        for cells in reader:
            if not cells:  # a blank line
                continue
            if len(cells) != len(header):
                raise BenchError(
                    f"{name}, row {len(rows)} (line {reader.line_num}) has {len(cells)} cells, the header has "
                    f"{len(header)}; put texts with a {'comma' if delimiter == ',' else 'tab'} into double quotes"
                )
            rows.append({column: _csv_cell(cell) for column, cell in zip(header, cells, strict=True)})
    except csv.Error as error:
        raise BenchError(f"{name}, row {len(rows)} (line {reader.line_num}) is no CSV: {error}") from error
    twice = next((column for column in header if header.count(column) > 1), None)
    if twice is not None:
        raise BenchError(f"{name} has two columns called {twice!r}; rename one")
    return _Plain(tuple(header), rows)


def _csv_cell(cell: str) -> object:
    """A cell, or its texts when it holds a JSON list of texts: CSV knows no other way to write several."""
    if cell.startswith("["):
        try:
            read = json.loads(cell)
        except (ValueError, RecursionError):
            return cell
        if isinstance(read, list) and all(isinstance(item, str | None) for item in cast("list[object]", read)):
            return cast("list[str | None]", read)
    return cell
