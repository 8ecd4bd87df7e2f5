"""The verbs of `liveedit-bench data`: list, build, look at and audit datasets.

A verb imports what it needs when it is called; a `BenchError` is printed as one line by `liveedit_bench.cli`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import BenchError
from .audit.cli import audit

app = typer.Typer(help="Build, look at and audit datasets.", no_args_is_help=True, rich_markup_mode=None)
app.command()(audit)

Split = Annotated[str, typer.Option(help="train, validation or test.")]
Seed = Annotated[int, typer.Option(help="Draws the edits and their order.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@app.command("list")
def list_(*, as_json: AsJson = False, debug: Debug = False) -> None:
    """The datasets by name, with the largest number of edits each split holds."""
    from ..benchmark.plugins import find_dataset, names

    known: dict[str, dict[str, int]] = {}
    for name in names("datasets"):
        capacity = find_dataset(name).capacity
        known[name] = {}
        for split in ("train", "validation", "test"):
            try:
                if capacity is not None:
                    known[name][split] = capacity(split)
            except BenchError:  # a dataset without that split
                continue
    if as_json:
        _print_json(known)
        return
    for name, sizes in known.items():
        print("  ".join([name, *(f"{split} {size:,}" for split, size in sizes.items())]))


@app.command()
def build(
    name: Annotated[str, typer.Argument(metavar="DATASET", help="A name, or package.module:build.")],
    *,
    out: Annotated[Path, typer.Option(help="A new folder for the stream.")],
    edits: Annotated[int, typer.Option(help="How many edits.")] = 1000,
    seed: Seed = 0,
    split: Split = "test",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Build a stream and store it with its pictures; `--dataset FOLDER` of `run` and `train` replays it."""
    from ..benchmark.plugins import find_dataset

    dataset = find_dataset(name)
    _check_room(out, folder=True)  # before the work
    stream = dataset.build(edits, seed=seed, split=split)
    stream.save(out)
    if as_json:
        _print_json({"out": str(out), "edits": len(stream), "sha256": stream.sha256, **stream.source.canonical()})
    else:
        print(f"{len(stream)} edits of {name} ({split}, seed {seed}) are in {out}; sha256 {stream.sha256}")


@app.command()
def sheet(
    *,
    out: Annotated[Path, typer.Option(help="Where the picture goes (PNG).")],
    edits: Annotated[int, typer.Option(min=0, help="Edits to show below the values.")] = 6,
    zoom: Annotated[int, typer.Option(min=1, max=8, help="Pixels on the sheet for one of a picture.")] = 3,
    seed: Seed = 0,
    split: Split = "validation",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Draw the contact sheet of emblems: every value of every attribute, then edits with their questions."""
    from PIL import Image

    from .emblems import build as build_emblems
    from .emblems.sheet import sheet as draw_sheet

    _check_room(out, folder=False)
    image = draw_sheet(build_emblems(max(edits, 1), seed=seed, split=split), edits=edits, zoom=zoom)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # 256 colours tell a reader the same and take a quarter of the bytes.
        image.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
            out, format="PNG", optimize=True
        )
    except OSError as error:
        raise BenchError(f"cannot write {out}: {error.strerror or error}; mend that and repeat") from error
    if as_json:
        _print_json({"out": str(out), "width": image.width, "height": image.height})
    else:
        print(out)


def _check_room(out: Path, *, folder: bool) -> None:
    if folder and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BenchError(f"{out} exists and is not empty; give a new folder with --out")
    if not folder and out.is_dir():
        raise BenchError(f"{out} is a folder; give a file with --out, such as {out / 'sheet.png'}")


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False))
