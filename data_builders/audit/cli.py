"""`liveedit-bench data audit`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import BenchError

if TYPE_CHECKING:
    from ...benchmark.edits import EditStream
    from .finding import Number
    from .opening import Opened

TRAIN_EDITS = 5000
"""Of a generated training stream: what every trainable editor gets."""


def audit(
    name: Annotated[
        str, typer.Argument(metavar="STREAM", help="The folder of a stored stream, or a name.")
    ] = "emblems",
    *,
    train: Annotated[
        str | None, typer.Option(help="What editors are trained on: a folder, or a name for its train split.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Also write one page with examples and their pictures.")] = None,
    edits: Annotated[
        int | None, typer.Option(help="The first so many; all of a stored stream, 1,000 of a generated one.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of a generated stream.")] = 0,
    split: Annotated[str | None, typer.Option(help="Of a generated stream; validation by default.")] = None,
    backbone: Annotated[
        str, typer.Option(help="Whose vision tower looks at emblems: a name, or package.module:load.")
    ] = "emblem-llava",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, every record that is concerned included.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Look a stream through: repeats, leaks from training, locality that is none, wording that gives answers away.

    For emblems also how hard the twins are. The exit code is 0 whatever is found.
    """
    from rich.console import Console

    from .opening import open_stream
    from .report import audit as look_through

    if html is not None and html.is_dir():
        raise BenchError(f"{html} is a folder; give a file with --html, such as {html / 'audit.html'}")
    with Console(stderr=True).status("looking the stream through"):
        opened = open_stream(name, edits=edits, seed=seed, split=split, usual_split="validation")
        trained = None if train is None else _open_train(train)
        report, given = look_through(
            opened.stream,
            train=trained and trained.stream,
            pixels={**(trained.pixels if trained else {}), **opened.pixels},
            notes=opened.notes,
            hardness=_hardness(opened.stream, backbone),
        )
    if html is not None:
        from .page import render

        try:
            html.parent.mkdir(parents=True, exist_ok=True)
            html.write_text(render(report, given), encoding="utf-8")
        except OSError as error:
            raise BenchError(f"cannot write {html}: {error.strerror or error}; mend that and repeat") from error
    if as_json:
        print(json.dumps(report.plain(), indent=2, allow_nan=False, ensure_ascii=False))
        return
    from .table import print_report

    print_report(report, Console())
    if html is not None:
        print(f"\nthe page with examples is {html}")


def _open_train(name: str) -> Opened:
    from ...benchmark.plugins import find_dataset, names
    from .opening import open_stream

    edits = None
    if name in names("datasets"):
        capacity = find_dataset(name).capacity
        edits = TRAIN_EDITS if capacity is None else min(TRAIN_EDITS, capacity("train"))
    return open_stream(name, edits=edits, usual_split="train")


def _hardness(stream: EditStream, backbone: str) -> dict[str, Number | str]:
    """The figures of emblems; nothing for other streams, and no model is loaded for them."""
    from ...benchmark.edits import KINDS

    if stream.source.dataset != "emblems" or not all(
        {probe.kind for probe in edit.probes} >= {kind for kind in KINDS if "twin" in kind} for edit in stream
    ):
        return {}
    from ...benchmark.backbones.huggingface import HuggingFaceBackbone
    from ...benchmark.plugins import load_backbone
    from ..emblems.audit import hardness

    model = load_backbone(backbone, device="cpu")
    if not isinstance(model, HuggingFaceBackbone):
        raise BenchError(f"{backbone} has no vision tower to look through; give a backbone of transformers")
    return {"backbone": model.weights_sha256, **hardness(stream, model).plain()}
