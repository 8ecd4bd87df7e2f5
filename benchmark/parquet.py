"""A stream as Parquet shards with the pictures inside and a dataset card: what a hub takes as it is.

`datasets.load_dataset(folder)`, `pandas.read_parquet` and `EditStream.load` open it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from .edits import KINDS, EditStream, canonical_json
from .storage import STREAM_FILE, RowBatch, batches, columns, new_folder, stream_card

SHARD_ROWS = 1000
SHARD_BYTES = 500 * 2**20  # of pictures, before compression
_GROUP_ROWS, _GROUP_BYTES = 100, 2**25  # a row group is what a reader holds in memory


def export_parquet(stream: EditStream, path: Path, *, rows: int = SHARD_ROWS, size: int = SHARD_BYTES) -> None:
    """Write `stream` to the new or empty folder `path`; nothing is left there when it fails.

    The folder holds ``data/<split>-00000-of-0000N.parquet``, ``README.md`` and ``stream.json``. A shard takes at most
    `rows` rows, and `size` bytes of pictures unless a single batch has more.

    Raises:
        BenchError: The stream is empty; `path` holds something already, or cannot be written; a picture cannot be read.
    """
    split = re.sub(r"\W+", "_", stream.source.split).strip("_") or "stream"
    with new_folder(stream, path) as folder:
        (folder / "data").mkdir(parents=True)
        shards = _write_shards(stream, folder / "data", split, rows=rows, size=size)
        (folder / STREAM_FILE).write_text(canonical_json(stream_card(stream)) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(_readme(stream, split, shards), encoding="utf-8")


@dataclass(frozen=True)
class _Shards:
    """What the card says of the files: how many, their bytes on disk and in memory."""

    files: int
    stored: int
    unpacked: int


def _write_shards(stream: EditStream, folder: Path, split: str, *, rows: int, size: int) -> _Shards:
    import pyarrow
    from pyarrow import parquet

    pa, writer_of = cast(Any, pyarrow), cast(Any, parquet).ParquetWriter
    schema = columns().arrow_schema
    files: list[Path] = []
    unpacked = 0
    for groups in _shards(stream, rows=rows, size=size):
        files.append(folder / f"{len(files)}.parquet")
        # zstd reaches back over a whole page, so a picture that stands in several probes of an edit is stored once.
        with writer_of(str(files[-1]), schema, compression="zstd", use_dictionary=False) as writer:
            for group in groups:
                table = pa.Table.from_pylist(group.rows, schema=schema)
                unpacked += table.nbytes
                writer.write_table(table)
    for number, file in enumerate(files):
        file.rename(folder / f"{split}-{number:05}-of-{len(files):05}.parquet")
    return _Shards(len(files), sum(file.stat().st_size for file in folder.iterdir()), unpacked)


def _shards(stream: EditStream, *, rows: int, size: int) -> Iterator[Iterator[RowBatch]]:
    """Batches of rows, cut into shards; the batches of one shard are to be taken before the next shard."""
    groups = batches(stream, rows=min(_GROUP_ROWS, rows), size=min(_GROUP_BYTES, size))
    following = next(groups, None)

    def shard() -> Iterator[RowBatch]:
        nonlocal following
        count = weight = 0
        while following is not None and (
            not count or (count + len(following.rows) <= rows and weight + following.size <= size)
        ):
            count, weight = count + len(following.rows), weight + following.size
            yield following
            following = next(groups, None)

    while following is not None:
        yield shard()


def _readme(stream: EditStream, split: str, shards: _Shards) -> str:
    import datasets
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    source = stream.source
    files = [{"split": split, "path": f"data/{split}-*.parquet"}]
    header = DatasetCardData(
        license="other",
        pretty_name=f"{source.dataset} {source.split}, as a stream of edits",
        task_categories=["visual-question-answering", "image-text-to-text"],
        tags=["knowledge-editing", "model-editing", "lifelong-learning", "vision-language-models"],
        size_categories=[_size(len(stream))],
        configs=[{"config_name": "default", "data_files": files}],
    )
    info = datasets.DatasetInfo(
        features=columns(),
        splits=cast(Any, {split: {"name": split, "num_bytes": shards.unpacked, "num_examples": len(stream)}}),
        download_size=shards.stored,
        dataset_size=shards.unpacked,
    )
    cast(Any, DatasetInfosDict({"default": info})).to_dataset_card_data(header)
    return f"---\n{cast(Any, header).to_yaml()}\n---\n\n{_text(stream, split)}"


def _text(stream: EditStream, split: str) -> str:
    source = stream.source
    kinds = Counter(probe.kind for edit in stream for probe in edit.probes)
    missing = len(stream.missing_pictures())
    facts: Mapping[str, object | None] = {
        "source": f"{source.dataset}, split {source.split}, version {source.version}",
        "edits": f"{len(stream):,}",
        "probes": f"{kinds.total():,} ({', '.join(f'{kind} {kinds[kind]:,}' for kind in KINDS if kinds[kind])})",
        "order": source.scenario
        or (None if source.seed is None else f"drawn with seed {source.seed}")
        or "of the source",
        "texts": source.texts,
        "answers are compared": source.normalisation,
        "missing pictures": f"{missing:,} (their rows have a path and no image)" if missing else None,
        "sha256 of the stream": f"`{stream.sha256}`",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in facts.items() if value is not None)
    return f"""# {source.dataset} {source.split}: a stream of edits

| | |
|---|---|
{table}

A row is one edit of a vision-language model: for this `image` and this `prompt` the answer is now `target`. Rows stand
in the order in which they are applied. `probes` are the questions asked afterwards, the edit's own first: each with its
`kind`, `image`, `prompt`, the right answer (`target`), the fact it is about (`fact`) and further facts that it rests on
(`facts_used`). `facts` is what is known beside: the fact that is overridden (`key`), its answer before (`old`), what it
is about (`entity`), the kind of question (`task`) and where the record stood (`provenance`). An editor under test sees
`image`, `prompt` and `target`, and never a probe.

`image_sha256` is the sha256 of the picture file's bytes (of mode, size and pixels where the picture was generated), and
`image_path` its path in the annotations. The sha256 of the stream covers texts, these digests and the order.

```python
import datasets
rows = datasets.load_dataset("path/to/this/folder", split="{split}")

import liveedit_bench
stream = liveedit_bench.EditStream.load("path/to/this/folder")
```

## Licence
The annotations and the pictures belong to whoever made them, and their terms go on to hold for this copy. Look them up,
and name them here, before you share it.
"""


def _size(rows: int) -> str:
    """The category of a hub, such as ``1K<n<10K``."""
    steps = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M")
    return steps[min(max(len(str(rows)) - 3, 0), len(steps) - 1)]
