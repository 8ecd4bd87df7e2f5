"""Tables that Arrow holds: Parquet files and Hugging Face datasets. Pictures stay on disk until they are read."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate
from pathlib import Path
from typing import Any, cast

from ...benchmark.plugins import near
from ...errors import BenchError

_ROWS_AT_A_TIME = 64  # of a memory-mapped dataset, which copies nothing


class Chunked:
    """Rows in chunks; two chunks of each column stay in memory.

    Args:
        columns: Their names.
        sizes: Rows of each chunk.
        read: (chunk, column) -> a pyarrow column of the chunk's rows.
    """

    def __init__(self, columns: Sequence[str], sizes: Sequence[int], read: Callable[[int, str], Any]) -> None:
        self.columns = tuple(columns)
        self._ends = list(accumulate(sizes))
        self._read = lru_cache(maxsize=2 * len(self.columns) or 1)(read)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def cell(self, row: int, column: str) -> object:
        """A plain value, with nothing decoded."""
        chunk = bisect_right(self._ends, row)
        begin = self._ends[chunk - 1] if chunk else 0
        return self._read(chunk, column)[row - begin].as_py()


@dataclass(frozen=True)
class Found:
    """A Hugging Face dataset: what messages call it, its rows, and which split they are."""

    name: str
    rows: Chunked
    split: str | None


def parquet(path: Path) -> Chunked:
    """The rows of a Parquet file, a row group at a time. Raises `BenchError` when it is none."""
    import pyarrow.parquet as pq

    try:
        file: Any = cast(Any, pq).ParquetFile(path)
    except (OSError, ValueError) as error:  # pyarrow's own are kinds of these
        raise BenchError(f"{path.name} is no Parquet file: {str(error).splitlines()[0]}") from error

    def read(group: int, column: str) -> Any:
        try:
            return file.read_row_group(group, columns=[column]).column(0)
        except (OSError, ValueError) as error:
            problem = str(error).splitlines()[0]
            raise BenchError(f"{path.name} cannot be read: {problem}; copy it again") from error

    groups = range(file.metadata.num_row_groups)
    return Chunked(file.schema_arrow.names, [file.metadata.row_group(at).num_rows for at in groups], read)


def dataset(source: str, folder: Path | None, split: str | None) -> Found:
    """A dataset of a folder, or of the cache of `datasets` on this machine.

    Args:
        source: What the user gave.
        folder: The same as a path, where there is such a folder.
        split: Which split; it may be left out where there is one.

    Raises:
        BenchError: There is no such dataset or split, or the folder holds a stream.
    """
    import datasets

    known = cast(Any, datasets)
    name = source if folder is None else folder.name
    if folder is not None and (folder / "stream.json").is_file():
        raise BenchError(f"{folder} is a stream already; replay it with liveedit-bench run --dataset {folder}")
    try:
        if folder is not None and any((folder / each).is_file() for each in ("state.json", "dataset_dict.json")):
            read = known.load_from_disk(str(folder))
        else:
            with _offline(known.config):
                read = known.load_dataset(source if folder is None else str(folder))
    except Exception as error:  # `datasets` raises whatever its readers and the hub's client raise
        raise BenchError(
            f"{source} is no file and no Hugging Face dataset that can be read here "
            f"({type(error).__name__}: {(str(error).splitlines() or [''])[0]}); give a folder written by save_to_disk, "
            "a dataset that load_dataset has cached on this machine, or a file such as edits.csv or edits.parquet"
        ) from error
    if not isinstance(read, known.DatasetDict):
        return Found(name, _mapped(read), split)
    splits = cast("dict[str, Any]", read)
    chosen = split if split in splits else next(iter(splits)) if len(splits) == 1 and split is None else None
    if chosen is None:
        raise BenchError(
            f"{name} has the splits {', '.join(splits)}{near(split or '', splits)}; choose one with --split"
        )
    return Found(f"{name} ({chosen})", _mapped(splits[chosen]), chosen)


def _mapped(read: Any) -> Chunked:
    parts = {name: read.select_columns([name]).with_format("arrow") for name in read.column_names}
    whole, rest = divmod(len(read), _ROWS_AT_A_TIME)
    sizes = [_ROWS_AT_A_TIME] * whole + ([rest] if rest else [])
    return Chunked(list(parts), sizes, partial(_rows_of, parts))


def _rows_of(parts: dict[str, Any], chunk: int, column: str) -> Any:
    begin = chunk * _ROWS_AT_A_TIME
    return parts[column][begin : begin + _ROWS_AT_A_TIME].column(0)


@contextmanager
def _offline(config: Any) -> Generator[None]:
    """A table is read from this machine only: fetching one is its owner's decision, made beforehand."""
    before = config.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = before
