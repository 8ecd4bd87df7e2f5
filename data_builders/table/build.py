"""Rows become a stream: each one an edit, or a line that says why it is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import NoReturn

from ...benchmark.edits import Edit, Facts, Normalisation, Picture, Probe, Source
from ...errors import BenchError
from ..annotations import Annotations
from ..assembly import Desk, Skip, assemble
from ..card import Card
from ..choices import Choices
from ..manifest import Entry, Manifest
from ..notes import Built
from ..records import text_fact
from ..texts import key_text
from . import embedded
from .questions import Image, Question, Row, read_row
from .roles import GROUPS, Mapped, map_columns
from .rows import Embedded, Table, read_table

VERSION = "1"
"""Of how rows become edits; a change that changes streams raises it."""

CARD = Card(
    name="table",
    title="Your own edits: JSON, JSONL, CSV, Parquet, or a Hugging Face dataset",
    licence="yours",
    citation="yours",
    url="docs/datasets.md",
    files=(),
    notes=(
        "a row is an edit: columns have the roles image, prompt and target, and any of the others",
        "--column role=column, or a TOML file with [columns]; columns called like a role are found by themselves",
        "a cell with a list asks several questions; in CSV a JSON list of texts counts as one",
        "keys are <entity, or the picture>/<prompt> unless a column gives them",
    ),
)


@dataclass(frozen=True, kw_only=True)
class TableChoices:
    """What a user decides about a table beside `Choices`.

    Attributes:
        name: of the dataset in results; None: the file's name without its suffix.
        columns: role -> column; an empty column leaves a role out.
        normalisation: how answers are compared.
    """

    name: str | None = None
    columns: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    normalisation: Normalisation = "exact"


@dataclass(frozen=True)
class _File(Annotations):
    """The table as the assembly of records knows it; its messages speak of rows and columns."""

    def refuse(self, index: int, field: str, problem: str) -> NoReturn:
        """Raise a `BenchError` that names file, row and column."""
        raise BenchError(f"{self.path.name}: row {index}, column {field!r}: {problem}")


def build(annotations: Path, choices: Choices) -> Built:
    """Build the stream of a table whose columns are called like their roles (see `build_table`)."""
    return build_table(annotations, choices)


def build_table(annotations: str | Path, choices: Choices, about: TableChoices | None = None) -> Built:
    """Build the stream of a table.

    Args:
        annotations: A file, a folder of `datasets`, or the name of a Hugging Face dataset.
        choices: As for every annotated source; `split` picks the split of a Hugging Face dataset, too.
        about: What only tables need.

    Raises:
        BenchError: Whatever a user can mend in table, mapping, pictures or options.
    """
    about = about or TableChoices()
    table = read_table(str(annotations), split=choices.split)
    mapped = map_columns(table.columns, about.columns, table.name)
    rows = [read_row(table, mapped, index, choices.texts) for index in range(len(table))[: choices.limit]]
    train = None
    if choices.train is not None:
        other = read_table(str(choices.train))
        their = map_columns(other.columns, about.columns, other.name)
        train = [read_row(other, their, index, choices.texts) for index in range(len(other))]

    file = _File(
        _path(annotations), table.sha256 or "", [dict[str, object]()] * len(table)
    )  # `rows` hold what was read
    inside = _embedded(rows, mapped, file, choices)
    source = Source(
        dataset=about.name or _stem(annotations),
        split=choices.split or table.split or "custom",
        seed=None,
        version=VERSION,
        normalisation=about.normalisation,
        texts=choices.texts,
    )
    write = partial(
        _edit, table=table, mapped=mapped, things=_things(rows), inside=inside, skip=choices.on_missing_image
    )
    built = assemble(file, rows, write, card=CARD, source=source, choices=_with_folder(choices, file), train=train)
    return _finished(built, table, mapped, inside)


def _edit(
    row: Row,
    desk: Desk,
    *,
    table: Table,
    mapped: Mapped,
    things: Mapping[Image, str],
    inside: Mapping[str, Entry],
    skip: str,
) -> Edit:
    desk.changes += row.changes
    desk.unused.update(row.unused)
    if row.reason is not None:
        raise Skip(row.reason)

    def see(image: Image, role: str) -> Picture:
        if isinstance(image, str):
            return desk.picture(mapped.columns[role], image)
        entry = inside.get(image.sha256) or Entry("a picture of the training table", "ok")
        if entry.status != "ok" and skip == "skip-edit":
            raise Skip(f"picture cannot be used: {entry.problem}")
        return embedded.picture(image, entry)

    image, *others = [see(each, "image") for each in row.images]
    prompt, *rephrases = row.prompts
    key = _key_of(row, things)
    thing = key.partition("/")[0]
    probes = [
        Probe("reliability", image, prompt, row.target, key),
        *(Probe("text_generality", image, other, row.target, key) for other in rephrases),
        *(Probe("image_generality", other, prompt, row.target, key) for other in others),
    ]
    asked: dict[str, int] = {}
    for question in row.questions:
        group = GROUPS[question.group]
        asked[question.group] = asked.get(question.group, 0) + 1
        shown = None if not group.pictured else image
        if question.image is not None:
            shown = see(question.image, f"{question.group}_image")
        words = question.prompt or prompt
        own_target = row.old if group.old else row.target
        fact, uses = _fact_of(question, words, key, things, asked[question.group])
        target = question.target or own_target
        if not target:  # the row says nothing about the old answer, which is what this question expects
            desk.unused[mapped.columns[f"{question.group}_image"]] = "no old answer"
            continue
        probes.append(Probe(group.kind, shown, words, target, fact, uses))
    probes.sort(key=lambda probe: _ORDER[probe.kind])
    facts = Facts(key, row.old, row.entity or thing, row.task or "question", f"{table.name} row {row.index}")
    return Edit(image, prompt, row.target, tuple(probes), facts)


_ORDER = {"reliability": -1} | {group.kind: place for place, group in enumerate(GROUPS.values())}


def _fact_of(
    question: Question, words: str, key: str, things: Mapping[Image, str], number: int
) -> tuple[str, tuple[str, ...]]:
    """The key of what a question asks for, and the keys its answer rests on."""
    name, thing = question.group, key.partition("/")[0]
    own = GROUPS[name].kind in ("text_generality", "image_generality")
    uses = (*((key,) if name == "portability" else ()), *question.uses)
    if question.key is not None or own:
        return question.key or key, uses
    if name == "portability":
        return f"{key}.hop" + (f".{number}" if number > 1 else ""), uses
    if name == "text_locality":
        return text_fact(words), uses
    if name == "no_image":
        return f"no picture: {key_text(words).replace('/', '|')}/answer", uses
    pictured = thing if question.image is None else things.get(question.image) or _thing_of(question.image)
    return f"{pictured}/{key_text(words)}", uses


def _key_of(row: Row, things: Mapping[Image, str]) -> str:
    return row.key or f"{_own_thing(row, things)}/{key_text(row.prompts[0])}"


def _own_thing(row: Row, things: Mapping[Image, str]) -> str:
    return row.entity.replace("/", "|") if row.entity else things.get(row.images[0]) or _thing_of(row.images[0])


def _things(rows: Iterable[Row]) -> dict[Image, str]:
    """What edited pictures show, so that a question about one of them elsewhere is known to be about the same thing."""
    things: dict[Image, str] = {}
    for row in rows:
        if row.reason is None:
            thing = row.key.partition("/")[0] if row.key else _own_thing(row, {})
            for image in row.images:
                things.setdefault(image, thing)
    return things


def _thing_of(image: Image) -> str:
    if isinstance(image, Embedded):
        return f"picture {image.sha256[:16]}"
    path = PurePosixPath(image.strip().replace("\\", "/"))
    folders = () if path.is_absolute() else path.parts[:-1]  # the folders of one machine say nothing about the thing
    return ":".join((*folders, path.stem)) or image


def _embedded(rows: Sequence[Row], mapped: Mapped, file: _File, choices: Choices) -> dict[str, Entry]:
    """What became of the pictures in the table, by sha256. Raises `BenchError` for a broken one by default."""
    cells: dict[str, tuple[Embedded, embedded.Place]] = {}
    for row in (each for each in rows if each.reason is None):
        asked = [(question.image, f"{question.group}_image") for question in row.questions]
        for image, role in [*((image, "image") for image in row.images), *asked]:
            if isinstance(image, Embedded):
                cells.setdefault(image.sha256, (image, embedded.Place(row.index, mapped.columns[role])))
    entries = embedded.check(cells, workers=choices.workers)
    for sha, (_, place) in cells.items():
        if entries[sha].status != "ok" and choices.on_missing_image == "fail":
            file.refuse(
                place.row,
                place.column,
                f"{entries[sha].problem}; or go on with --on-missing-image skip-edit (leaves such rows out) or report",
            )
    return entries


def _finished(built: Built, table: Table, mapped: Mapped, inside: Mapping[str, Entry]) -> Built:
    about = {**built.about, "columns": dict(mapped.columns), "unused_columns": list(mapped.unused)}
    about["columns_found"] = mapped.found()
    about["file"] = {"name": table.name, "sha256": table.sha256, "rows": len(table)}
    warnings = built.warnings
    if mapped.unused:
        warnings = (*warnings, f"columns without a role: {', '.join(mapped.unused)}")
    if not inside:
        return replace(built, warnings=warnings, about=about)
    manifest = Manifest((*built.manifest.entries, *inside.values()))
    bad = embedded.broken(inside.values())
    if bad:
        warnings = (*warnings, f"{len(bad):,} pictures in the table cannot be used; pictures.jsonl lists them")
    about["pictures"] = {"total": len(manifest.entries), **manifest.counts}
    return replace(built, manifest=manifest, warnings=warnings, about=about)


def _with_folder(choices: Choices, file: Annotations) -> Choices:
    """Pictures lie beside the table unless the user says where; a dataset of a hub has none."""
    if choices.images is not None:
        return choices
    return replace(choices, images=file.path if file.path.is_dir() else file.path.parent)


def _path(annotations: str | Path) -> Path:
    path = Path(annotations)
    return path if path.exists() else Path(path.name)


def _stem(annotations: str | Path) -> str:
    path = Path(annotations)
    return path.stem if path.is_file() else path.name or str(annotations)
