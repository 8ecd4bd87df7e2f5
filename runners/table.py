"""The answers table on disk: Parquet whose bytes depend on its rows alone."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow
import pyarrow.parquet

from ..benchmark.edits import Normalisation
from ..errors import BenchError
from ..metrics.answers import COLUMNS, conform, score_rows
from .bounds import Bounds, open_parquet
from .folder import read_bounded

# pyarrow ships no types.
pa, pq = cast("Any", pyarrow), cast("Any", pyarrow.parquet)
ArrowError: type[Exception] = pa.ArrowException

_KEY = b"liveedit_bench"
_WORD = pa.dictionary(pa.int32(), pa.string())
_TYPES: dict[str, Any] = {
    "int32": pa.int32(),
    "int16": pa.int16(),
    "float32": pa.float32(),
    "boolean": pa.bool_(),
    "category": _WORD,
    "object": pa.list_(pa.int32()),
}
SCHEMA = pa.schema([pa.field(name, _TYPES[kind]) for name, kind in COLUMNS.items()])
BOUNDS = Bounds(size=2**30, rows=50_000_000, values=500_000_000)
"""Of a run's table: a thousand edits make some 26,000 rows in half a MiB."""
ORDER = ["step", "when", "position", "probe"]


@dataclass(frozen=True)
class TableInfo:
    """What stands in the file's metadata beside the rows."""

    stream_sha256: str
    normalisation: Normalisation
    protocol: str = "lifelong"
    schema_version: str = "1"


def scored(rows: Sequence[Mapping[str, Any]], normalisation: Normalisation) -> pd.DataFrame:
    """Rows without scores -> the table with them, sorted."""
    frame = pd.DataFrame(list(rows), columns=pd.Index(list(COLUMNS)))
    return _sorted(conform(score_rows(frame, normalisation)))


def joined(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Several tables as one, sorted by step, moment, edit and probe."""
    words = {name: "object" for name, kind in COLUMNS.items() if kind == "category"}
    plain: list[pd.DataFrame] = [cast("Any", table).astype(words) for table in tables]
    return _sorted(conform(pd.concat(plain, ignore_index=True)))


def to_bytes(table: pd.DataFrame, info: TableInfo) -> bytes:
    """The table as a Parquet file."""
    arrow = pa.Table.from_pandas(table, schema=SCHEMA, preserve_index=False)
    arrow = arrow.replace_schema_metadata({_KEY: json.dumps(vars(info), sort_keys=True)})
    buffer = io.BytesIO()
    pq.write_table(arrow, buffer, compression="zstd", compression_level=9, use_dictionary=True)
    return buffer.getvalue()


def read_table(path: Path) -> tuple[pd.DataFrame, TableInfo]:
    """A table and what its metadata says. Raises `BenchError` when the file is missing or is no answers table."""
    try:
        file = open_parquet(str(path), read_bounded(path, BOUNDS.size), SCHEMA, BOUNDS)
        words: dict[str, Any] = json.loads(file.schema_arrow.metadata[_KEY])
        info, arrow = TableInfo(**words), file.read()
    except FileNotFoundError:
        raise BenchError(f"no {path}; finish the run first: the same command continues it") from None
    except (OSError, ArrowError, ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{path} is no answers table of this version ({type(error).__name__}); run again") from error
    return conform(arrow.to_pandas()), info


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    # after_edit < checkpoint, also as text
    return table.sort_values(ORDER, kind="stable", ignore_index=True)
