"""The verbs of `liveedit-bench data`: list, build, look at, audit and arrange datasets.

A verb imports what it needs when it is called; a `BenchError` is printed as one line by `liveedit_bench.cli`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import BenchError
from . import cli_build
from .audit.cli import audit
from .cli_arrange import arrange
from .cli_export import export
from .console import AsJson, Debug, Seed, check_room, print_json

app = typer.Typer(help="Build, look at, audit and arrange datasets.", no_args_is_help=True, rich_markup_mode=None)
app.command("list")(cli_build.list_)
app.command()(cli_build.card)
app.command()(cli_build.build)
app.command()(audit)
app.command()(arrange)
app.command()(export)

Split = Annotated[str, typer.Option(help="train, validation or test.")]


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

    check_room(out, folder=False)
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
        print_json({"out": str(out), "width": image.width, "height": image.height})
    else:
        print(out)
