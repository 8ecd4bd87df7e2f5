"""Parquet of unknown origin: nothing is decompressed or believed before its size and columns are known."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, cast

import pyarrow
import pyarrow.parquet

from ..errors import BenchError

# pyarrow ships no types.
pa, pq = cast("Any", pyarrow), cast("Any", pyarrow.parquet)

_UNPACKED = 16
"""So many times its own size a file may unpack to at most, when it is as large as it may be."""


@dataclass(frozen=True)
class Bounds:
    """The most that a file may have: bytes on disk, rows, and values in a column (tokens, where it holds lists)."""

    size: int
    rows: int
    values: int


def open_parquet(name: str, content: bytes, columns: Any, bounds: Bounds) -> Any:
    """The Parquet file, not decompressed yet. columns: the schema it must have.

    Raises `BenchError` for one that claims too much or has other columns, and what pyarrow raises for no Parquet.
    """
    file = pq.ParquetFile(io.BytesIO(content))
    _check_claims(name, file.metadata, bounds)
    _check_columns(name, file.schema_arrow, columns)
    return file


def _check_claims(name: str, about: Any, bounds: Bounds) -> None:
    if about.num_rows > bounds.rows:
        raise BenchError(f"{name} claims {about.num_rows:,} rows; more than {bounds.rows:,} are not read")
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
    if any(chunk.num_values > bounds.values for chunk in chunks):
        raise BenchError(f"{name} claims more than {bounds.values:,} tokens; they are not read")
    unpacked = sum(max(chunk.total_uncompressed_size, 0) for chunk in chunks)
    if unpacked > _UNPACKED * bounds.size:
        raise BenchError(f"{name} would unpack to {unpacked // 2**20:,} MiB; it is not read")


def _check_columns(name: str, schema: Any, wanted: Any) -> None:
    names, ours = list(schema.names), list(wanted.names)
    if names != ours:
        odd = [each for each in names if each not in ours] or [each for each in ours if each not in names]
        about = ascii(odd[0])[:60] if odd else "their order"
        raise BenchError(f"{name} has other columns than answers have: {about}")
    for field in wanted:
        found = schema.field(field.name).type
        plain = found.value_type if pa.types.is_dictionary(found) else found
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        lists = pa.types.is_list(plain) and pa.types.is_list(kind)  # whose items may be called otherwise
        if plain != kind and not (lists and plain.value_type == kind.value_type):
            raise BenchError(f"the column {field.name} of {name} is {plain}, not {kind}")
