"""The answers of all runs of a submission in one small Parquet file.

Rows are sorted by edit and probe, so that what a probe was asked at ten checkpoints lies together and compresses; the
scores are left out (they are computed anew), and margins are rounded down to a power of two, which is all that a near
tie needs.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet

from ..benchmark.edits import Normalisation
from ..errors import BenchError
from ..metrics.answers import conform, score_rows
from ..runners.bounds import Bounds, open_parquet
from ..runners.folder import read_bounded
from ..runners.table import SCHEMA

# pyarrow ships no types.
pa, pq = cast("Any", pyarrow), cast("Any", pyarrow.parquet)
ArrowError: type[Exception] = pa.ArrowException

MAX_ROWS = 5_000_000
BOUNDS = Bounds(size=64 * 2**20, rows=MAX_ROWS, values=50_000_000)
_KEY, _FORMAT = b"liveedit_bench", "submission 1"
_SCORES = ("teacher_forced", "free_running")
_MARGINS = ("teacher_margin", "margin")
_ORDER = ["run", "position", "probe", "when", "step"]
_FIELDS = [pa.field("run", pa.int16()), *(field for field in SCHEMA if field.name not in _SCORES)]
PACKED = pa.schema(_FIELDS)


def pack(tables: Mapping[int, pd.DataFrame]) -> bytes:
    """Answers tables by the index of their run -> the bytes of the file. Those follow from the rows alone."""
    parts = [_plain(table).assign(run=np.int16(run)) for run, table in tables.items()]
    whole = pd.concat(parts, ignore_index=True).sort_values(_ORDER, kind="stable", ignore_index=True)
    arrow = pa.Table.from_pandas(whole, schema=PACKED, preserve_index=False)
    arrow = arrow.replace_schema_metadata({_KEY: json.dumps({"format": _FORMAT}).encode()})
    buffer = io.BytesIO()
    pq.write_table(
        arrow,
        buffer,
        compression="zstd",
        compression_level=19,
        use_dictionary=True,
        write_statistics=False,
        store_schema=False,
        row_group_size=MAX_ROWS,
    )
    return buffer.getvalue()


def unpack(path: Path, *, sha256: str, rows: int) -> dict[int, pd.DataFrame]:
    """The answers by run, without scores: `metrics` computes those.

    Raises `BenchError` when the file is not the one that is meant, or holds anything but answers; nothing is
    decompressed before its size is known.
    """
    content = _read(path)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise BenchError(f"{path.name} is another file: its sha256 is {found[:16]}…, the JSON says {sha256[:16]}…")
    try:
        arrow = open_parquet(path.name, content, PACKED, BOUNDS).read(use_threads=False)
        arrow.validate(full=True)
    except (ArrowError, OSError, ValueError, KeyError) as error:
        raise BenchError(f"{path.name} is no Parquet file that can be read ({type(error).__name__})") from error
    if arrow.num_rows != rows:
        raise BenchError(f"{path.name} holds {arrow.num_rows:,} rows, the JSON says {rows:,}")
    table: Any = arrow.cast(PACKED).to_pandas()
    return {int(run): cast("pd.DataFrame", part.drop(columns="run")) for run, part in table.groupby("run", sort=True)}


def rescored(table: pd.DataFrame, normalisation: Normalisation) -> pd.DataFrame:
    """The table as a run writes it, its scores computed anew. Raises `BenchError` for misaligned tokens."""
    blank = cast("Any", table).assign(**dict.fromkeys(_SCORES, np.nan))
    return conform(score_rows(conform(blank), normalisation))


def _plain(table: Any) -> Any:
    """Without scores and categories; margins rounded."""
    words = {name: "object" for name, kind in table.dtypes.items() if str(kind) == "category"}
    plain = table.drop(columns=list(_SCORES)).astype(words)
    return plain.assign(**{name: rounded(plain[name].to_numpy(dtype=np.float32)) for name in _MARGINS})


def rounded(margins: Any) -> Any:
    """Down to a power of two; zero, infinite and missing ones as they are."""
    usual = np.isfinite(margins) & (margins > 0)
    power = np.floor(np.log2(margins, where=usual, out=np.zeros_like(margins)))
    return cast("Any", np.where(usual, np.exp2(power), margins)).astype(np.float32)


def _read(path: Path) -> bytes:
    try:
        return read_bounded(path, BOUNDS.size)
    except FileNotFoundError:
        raise BenchError(f"no {path}; the answers travel beside the JSON") from None
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}") from error
