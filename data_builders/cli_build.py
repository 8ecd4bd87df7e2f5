"""The verbs of `liveedit-bench data` that lead to a stream: list, card and build."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..benchmark.edits import Normalisation, Texts
from ..errors import BenchError
from .choices import Choices, OnMissing
from .cli_arrange import Scenarios, told
from .console import AsJson, Debug, check_room, print_json, print_lines, print_warnings

if TYPE_CHECKING:
    from ..benchmark.edits import EditStream
    from .notes import Built

# Generated datasets and annotated ones take different options; what is not given is None, so that a wrong one shows.
Edits = Annotated[int | None, typer.Option(help="How many edits; of generated datasets. [default: 1000]")]
Seed = Annotated[int | None, typer.Option(help="Draws edits and order; of generated datasets. [default: 0]")]
Split = Annotated[
    str | None,
    typer.Option(help="train, validation or test [default: test]; of annotations, that of the known file by default."),
]
File = Annotated[Path | None, typer.Option(help="The annotation file, as it is distributed.")]
Images = Annotated[Path | None, typer.Option(help="The folder of the pictures. [default: that of the annotations]")]
Recipe = Annotated[
    Texts | None, typer.Option(help="clean: texts put in order; paper: as the paper's code. [default: clean]")
]
Missing = Annotated[OnMissing | None, typer.Option(help="Where a picture cannot be used. [default: fail]")]
Limit = Annotated[int | None, typer.Option(help="The first so many records only.")]
Train = Annotated[Path | None, typer.Option(help="The training annotations: marks what stands there too.")]
Column = Annotated[
    list[str] | None,
    typer.Option(metavar="ROLE=COLUMN", help="Of a table: which column has which role; may be repeated."),
]
MappingFile = Annotated[Path | None, typer.Option("--mapping", help="Of a table: a TOML file with [columns].")]
Compared = Annotated[Normalisation | None, typer.Option(help="Of a table: how answers are compared. [default: exact]")]
Called = Annotated[str | None, typer.Option(help="Of a table: the dataset's name in results. [default: the file's]")]


def list_(*, as_json: AsJson = False, debug: Debug = False) -> None:
    """The datasets by name, with the number of edits of each split."""
    from ..benchmark.plugins import ANNOTATED

    generated = {name: _sizes(name) for name in _generated()}
    annotated = {name: _counts(name) for name in sorted(ANNOTATED)}
    if as_json:
        print_json({**generated, **annotated})
        return
    for name, sizes in generated.items():
        print("  ".join([f"{name:<10}", *(f"{split} {size:,}" for split, size in sizes.items())]))
    print("\nbuilt from annotation files of your own (liveedit-bench data card NAME):")
    for name, counts in annotated.items():
        known = [f"{split} {count:,}" if count is not None else split for split, count in counts.items()]
        print("  ".join([f"{name:<10}", *known]))


def card(
    name: Annotated[str, typer.Argument(metavar="DATASET", help="A name that `data list` shows.")],
    *,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """What is known about a dataset that is built from annotations: files, licence, citation, protocol."""
    from .sources import find_source

    found = find_source(name).CARD
    if as_json:
        print_json(found.plain())
    else:
        print(found.text())


def build(
    name: Annotated[str, typer.Argument(metavar="DATASET", help="A name, or package.module:build.")],
    *,
    out: Annotated[Path, typer.Option(help="A new folder for the stream.")],
    edits: Edits = None,
    seed: Seed = None,
    split: Split = None,
    annotations: File = None,
    images: Images = None,
    texts: Recipe = None,
    on_missing_image: Missing = None,
    limit: Limit = None,
    train: Train = None,
    column: Column = None,
    mapping: MappingFile = None,
    normalisation: Compared = None,
    dataset_name: Called = None,
    scenario: Scenarios = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Build a stream and store it with its pictures; `--dataset FOLDER` of `run` and `train` replays it."""
    from ..benchmark.plugins import ANNOTATED, place_of

    of_annotations = {
        "--annotations": annotations,
        "--images": images,
        "--texts": texts,
        "--on-missing-image": on_missing_image,
        "--limit": limit,
        "--train": train,
    }
    of_tables = {
        "--column": column or None,
        "--mapping": mapping,
        "--normalisation": normalisation,
        "--dataset-name": dataset_name,
    }
    if name != "table":
        _refuse(of_tables, "its fields are known; they are for `data build table`")
    if name not in ANNOTATED:
        place_of("datasets", name)  # a mistyped name is the first mistake
        _refuse(of_annotations, f"{name} is generated")
        _generate(
            name,
            out=out,
            edits=1000 if edits is None else edits,
            seed=seed or 0,
            split=split,
            scenarios=scenario or [],
            as_json=as_json,
        )
        return
    unseeded = {"--edits": edits} if scenario else {"--edits": edits, "--seed": seed}
    _refuse(unseeded, f"{name} is built in the order of its file; --limit cuts it, --scenario arranges it")
    if annotations is None:
        raise BenchError(f"{name} is built from a file of your own: give --annotations FILE (and --images DIR)")
    check_room(out, folder=True)  # before the work
    choices = Choices(
        images=images,
        split=split,
        texts=texts or "clean",
        on_missing_image=on_missing_image or "fail",
        limit=limit,
        train=train,
        progress=True,
    )
    if name == "table":
        from .table.build import TableChoices, build_table
        from .table.roles import parse_columns

        built = build_table(
            str(annotations),
            choices,
            TableChoices(
                name=dataset_name,
                columns=parse_columns(column or [], mapping),
                normalisation=normalisation or "exact",
            ),
        )
        if said := built.about.get("columns_found"):
            print(said, file=sys.stderr)
    else:
        built = _built(name, annotations, choices)
    print_warnings(built.warnings)
    summary, stream = built.summary(), built.stream
    if scenario:
        stream = _arrange(built, out, scenario, seed=seed or 0)
    else:
        built.save(out)
    if as_json:
        print_json({"out": str(out), "sha256": stream.sha256, **stream.source.canonical(), **summary})
        return
    print(f"{len(stream):,} edits of {name} ({stream.source.split}, {texts or 'clean'}) are in {out}")
    print(f"sha256 {stream.sha256}")
    for label, counts in (("texts changed", built.steps), ("records skipped", built.skipped)):
        if counts:
            print(f"{label}: {', '.join(f'{what} {count:,}' for what, count in counts.items())} (see records.jsonl)")


def _built(name: str, annotations: Path, choices: Choices) -> Built:
    from .sources import find_source

    return find_source(name).build(annotations, choices)


def _arrange(built: Built, out: Path, scenarios: list[str], *, seed: int) -> EditStream:
    """Store it arranged, with the notes on its records; `origins` of scenario.json lead from one to the other."""
    from .scenarios import arranged

    found = arranged(built.stream, scenarios, seed=seed)
    found.save(out, beside=built.beside())
    print_lines(told(found.summary))
    return found.stream


def _generate(
    name: str, *, out: Path, edits: int, seed: int, split: str | None, scenarios: list[str], as_json: bool
) -> None:
    from ..benchmark.plugins import find_dataset

    dataset, part = find_dataset(name), split or "test"
    check_room(out, folder=True)  # before the work
    if scenarios:
        from .scenarios.opening import open_arranged

        found = open_arranged(name, scenarios, edits=edits, seed=seed, split=part)
        found.save(out)
        print_lines(told(found.summary))
        stream = found.stream
    else:
        stream = dataset.build(edits, seed=seed, split=part)
        stream.save(out)
    if as_json:
        print_json({"out": str(out), "edits": len(stream), "sha256": stream.sha256, **stream.source.canonical()})
    else:
        print(f"{len(stream)} edits of {name} ({part}, seed {seed}) are in {out}; sha256 {stream.sha256}")


def _refuse(options: Mapping[str, object], because: str) -> None:
    given = [option for option, value in options.items() if value is not None]
    if given:
        raise BenchError(f"{given[0]} does not go with this dataset: {because}")


def _generated() -> list[str]:
    from ..benchmark.plugins import names

    return names("datasets")


def _sizes(name: str) -> dict[str, int]:
    from ..benchmark.plugins import find_dataset

    capacity, sizes = find_dataset(name).capacity, dict[str, int]()
    for split in ("train", "validation", "test"):
        try:
            if capacity is not None:
                sizes[split] = capacity(split)
        except BenchError:  # a dataset without that split
            continue
    return sizes


def _counts(name: str) -> dict[str, int | None]:
    from .sources import find_source

    return {file.split: file.records for file in find_source(name).CARD.files}
