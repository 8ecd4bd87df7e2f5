"""`liveedit-bench data arrange`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from .console import AsJson, Debug, check_room, print_json

Scenarios = Annotated[
    list[str] | None,
    typer.Option(
        "--scenario",
        help="Arranges the edits; may be repeated, in the order of use: file-order, shuffled, by-entity, "
        "spread-twins, interleaved, superseding, clean.",
    ),
]
Seed = Annotated[int, typer.Option(help="Draws everything that a scenario draws.")]
Share = Annotated[float, typer.Option(help="superseding: how many of the edits are edited again.")]


def arrange(
    streams: Annotated[list[str], typer.Argument(metavar="STREAM...", help="Folders of streams, or datasets.")],
    *,
    out: Annotated[Path, typer.Option(help="A new folder for the arranged stream.")],
    scenario: Scenarios = None,
    seed: Seed = 0,
    train: Annotated[Path | None, typer.Option(help="clean: the stream that editors are trained on.")] = None,
    pool: Annotated[Path | None, typer.Option(help="clean: the stream that other probes are taken from.")] = None,
    share: Share = 0.2,
    edits: Annotated[int, typer.Option(help="How many edits of a dataset that is named and not stored.")] = 1000,
    split: Annotated[str | None, typer.Option(help="Of such a dataset; test by default.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Arrange streams by scenarios and store the result with `scenario.json`, which says what was done."""
    from ..benchmark.edits import EditStream
    from .scenarios.arranging import arranged, check
    from .scenarios.opening import open_streams

    check_room(out, folder=True)  # before the work
    check(scenario or [], share=share, cleans=train is not None or pool is not None)
    found = arranged(
        open_streams(streams, edits=edits, seed=seed, split=split),
        scenario or [],
        seed=seed,
        train=None if train is None else EditStream.load(train),
        pool=None if pool is None else EditStream.load(pool),
        share=share,
    )
    found.save(out)
    if as_json:
        print_json({"out": str(out), "sha256": found.stream.sha256, **found.summary})
        return
    source = found.stream.source
    print(f"{len(found.stream):,} edits of {source.dataset} ({source.scenario}, seed {seed}) are in {out}")
    print(f"sha256 {found.stream.sha256}")
    for line in told(found.summary):
        print(line)


def told(summary: Mapping[str, Any]) -> list[str]:
    """What the scenarios did, one line per count."""
    lines: list[str] = []
    for step in summary["done"]:
        for name, value in step.items():
            if name == "scenario":
                continue
            if isinstance(value, dict):
                counts = cast("dict[str, object]", value)
                lines += [f"{step['scenario']}: {name}, {what}: {_plain(count)}" for what, count in counts.items()]
            else:
                lines.append(f"{step['scenario']}: {name}: {_plain(value)}")
    if "cut_from" in summary:
        lines.append(f"cut to {summary['edits']:,} of {summary['cut_from']:,} edits")
    if "normalisation" in summary:
        lines.append(f"answers are compared {summary['normalisation']}")
    if "texts" in summary:
        lines.append(f"texts: {summary['texts']}")
    return lines


def _plain(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
