"""`liveedit-bench data export`: a stored stream in the form that hubs take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import BenchError
from .console import AsJson, Debug, check_room, print_json


def export(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="The folder of a stored stream.")],
    *,
    out: Annotated[Path, typer.Option(help="A new folder for the shards.")],
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write Parquet shards with the pictures inside and a dataset card; `--dataset FOLDER` replays those too."""
    from ..benchmark.edits import EditStream
    from ..benchmark.plugins import names

    if stream in names("datasets") and not Path(stream).is_dir():
        raise BenchError(f"{stream} is no folder; build it first: liveedit-bench data build {stream} --out {stream}")
    check_room(out, folder=True)
    found = EditStream.load(stream)
    found.export_parquet(out)
    shards = sorted((out / "data").iterdir())
    size = sum(file.stat().st_size for file in shards)
    if as_json:
        about = {"edits": len(found), "sha256": found.sha256, "shards": [str(file) for file in shards], "bytes": size}
        print_json({"out": str(out), **about})
    else:
        what = "1 shard" if len(shards) == 1 else f"{len(shards)} shards"
        print(f"{len(found)} edits are in {out}: {what}, {size / 1e6:,.1f} MB; sha256 {found.sha256}")
