"""The answers table on disk: Parquet whose bytes depend on its rows alone."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..benchmark.edits import Normalisation
from ..errors import BenchError
from ..metrics.answers import COLUMNS, conform, score_rows

_KEY = b"liveedit_bench"
_WORD = pa.dictionary(pa.int32(), pa.string())
_TYPES: dict[str, pa.DataType] = {
    "int32": pa.int32(),
    "int16": pa.int16(),
    "float32": pa.float32(),
    "boolean": pa.bool_(),
    "category": _WORD,
    "object": pa.list_(pa.int32()),
}
SCHEMA = pa.schema([pa.field(name, _TYPES[kind]) for name, kind in COLUMNS.items()])
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
    plain = [table.astype({name: "object" for name, kind in COLUMNS.items() if kind == "category"}) for table in tables]
    return _sorted(conform(pd.concat(plain, ignore_index=True)))


def to_bytes(table: pd.DataFrame, info: TableInfo) -> bytes:
    """The table as a Parquet file."""
    arrow: pa.Table = pa.Table.from_pandas(table, schema=SCHEMA, preserve_index=False)
    arrow = arrow.replace_schema_metadata({_KEY: json.dumps(vars(info), sort_keys=True)})
    buffer = io.BytesIO()
    cast("Any", pq).write_table(arrow, buffer, compression="zstd", compression_level=9, use_dictionary=True)
    return buffer.getvalue()


def read_table(path: Path) -> tuple[pd.DataFrame, TableInfo]:
    """A table and what its metadata says. Raises `BenchError` when the file is missing or is no answers table."""
    try:
        arrow: pa.Table = cast("Any", pq).read_table(io.BytesIO(path.read_bytes()))
        words = json.loads((cast("Any", arrow.schema).metadata or {})[_KEY])
        info = TableInfo(**words)
    except FileNotFoundError:
        raise BenchError(f"no {path}; finish the run first: the same command continues it") from None
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{path} is no answers table of this version ({type(error).__name__}); run again") from error
    return conform(cast("Any", arrow).to_pandas()), info


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    # after_edit < checkpoint, also as text
    return table.sort_values(ORDER, kind="stable", ignore_index=True)
