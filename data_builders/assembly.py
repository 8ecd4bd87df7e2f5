"""Records become a stream: each one an edit, or a line that says why it is none.

A source gives its card and a function that writes one record as an edit on a `Desk`; everything that sources share
happens here. Nothing is dropped in silence, and nothing is written to disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from ..benchmark.edits import Edit, EditStream, Picture, Source, Texts, missing_picture
from ..errors import BenchError
from .annotations import Annotations
from .card import Card
from .choices import Choices
from .notes import Built, RecordNote
from .texts import Change, Role, clean, key_text, prepare

if TYPE_CHECKING:
    from .manifest import Manifest

_WAYS_OUT = (
    "Give the folder that holds them with --images, or --on-missing-image skip-edit (list such records as skipped) "
    "or report (keep their edits, for an audit)"
)

Find = Callable[[int, str, str], Picture]
"""Record, field and path -> the picture."""

R = TypeVar("R")


class Skip(Exception):
    """A record that cannot become an edit. The reason is a few words, a colon, and what is particular to it."""


class Desk:
    """Where one record is written as an edit: prepares its texts, finds its pictures, and notes both."""

    def __init__(self, index: int, find: Find, card: Card, recipe: Texts) -> None:
        self.index, self._find, self._card = index, find, card
        self._recipe: Texts = recipe
        self.changes: list[Change] = []
        self.unused: dict[str, str] = {}

    def text(self, field: str, raw: str, role: Role, *, may_be_empty: bool = False) -> str:
        """A text by the recipe. Raises `Skip` when nothing but white space is left of it."""
        if not may_be_empty and not clean(raw, role)[0]:
            raise Skip(f"empty text: {field}")
        text, changes = prepare(raw, field=field, role=role, recipe=self._recipe, suffixes=self._card.suffixes)
        self.changes += changes
        return text

    def picture(self, field: str, path: str) -> Picture:
        """The picture that a field names; it is opened only when somebody looks."""
        if not path.strip():
            raise Skip(f"empty text: {field}")
        return self._find(self.index, field, path)


@dataclass(frozen=True)
class _Draft:
    """An edit and what its record was changed by, before the pictures are looked at."""

    index: int
    changes: tuple[Change, ...]
    unused: Mapping[str, str]
    edit: Edit | None
    reason: str | None = None


def assemble(
    file: Annotations,
    records: Sequence[R],
    write: Callable[[R, Desk], Edit],
    *,
    card: Card,
    source: Source,
    choices: Choices,
    warnings: Iterable[str] = (),
    train: Sequence[R] | None = None,
) -> Built:
    """Build the stream of a file.

    Args:
        file: where the records come from.
        records: what is built, in order; record i of the list is record i of the file.
        write: one record -> its edit. May raise `Skip`.
        card: of the source.
        source: of the stream.
        choices: of the user.
        warnings: of whoever read the file.
        train: the records that editors train on.

    Raises:
        BenchError: A picture path leads out of the folder; pictures cannot be used and `choices` say to fail; no
            record became an edit.
    """
    from .images import Resolver  # decoders and bars; `data list` needs neither

    resolver = Resolver(choices.images or file.path.parent, roots=card.image_roots)
    named: dict[str, tuple[int, str]] = {}  # path -> the record and field that name it first

    def find(index: int, field: str, path: str) -> Picture:
        named.setdefault(path, (index, field))
        try:
            return resolver.resolve(path)
        except BenchError as error:
            file.refuse(index, field, str(error))

    drafts = _drafts(records, write, find, card=card, choices=choices)
    manifest = resolver.check(named, workers=choices.workers, progress=choices.progress)
    if manifest.problems and choices.on_missing_image == "fail":
        index, field = named[manifest.problems[0].path]
        file.refuse(index, field, f"{manifest.complaint()}. {_WAYS_OUT}")
    drafts = [_looked_at(draft, manifest, skip=choices.on_missing_image == "skip-edit") for draft in drafts]
    if train is not None:
        drafts = _marked(drafts, _drafts(train, write, _unseen, card=card, choices=choices))
    return _built(drafts, manifest, file=file, card=card, source=source, choices=choices, warnings=warnings)


def _drafts(
    records: Sequence[R],
    write: Callable[[R, Desk], Edit],
    find: Find,
    *,
    card: Card,
    choices: Choices,
) -> list[_Draft]:
    drafts: list[_Draft] = []
    for index, record in enumerate(records):
        desk = Desk(index, find, card, choices.texts)
        edit, reason = None, None
        try:
            edit = write(record, desk)
        except Skip as skip:
            reason = str(skip)
        drafts.append(_Draft(index, tuple(desk.changes), desk.unused, edit, reason))
    return drafts


def _built(
    drafts: Sequence[_Draft],
    manifest: Manifest,
    *,
    file: Annotations,
    card: Card,
    source: Source,
    choices: Choices,
    warnings: Iterable[str],
) -> Built:
    edits = [draft.edit for draft in drafts if draft.edit is not None]
    if not edits:
        reason = next((f" (the first: {draft.reason})" for draft in drafts if draft.reason), "")
        raise BenchError(f"no record of {file.path} became an edit{reason}; mend the file or the folder of pictures")
    positions = iter(range(len(edits)))
    notes = [
        RecordNote(
            draft.index, None if draft.edit is None else next(positions), draft.reason, draft.changes, draft.unused
        )
        for draft in drafts
    ]
    said = [
        *file.warnings,
        *warnings,
        *([f"{manifest.complaint()}; pictures.jsonl lists them"] * any(manifest.problems)),
    ]
    about: dict[str, object] = {
        "card": card.name,
        "split": source.split,
        "file": {
            "name": file.name,
            "sha256": file.sha256,
            "records": len(file.records),
            "known": file.sha256 in {each.sha256 for each in card.files},
        },
        "texts": choices.texts,
        "suffixes": dict(card.suffixes) if choices.texts == "paper" else {},
        "limit": choices.limit,
        "on_missing_image": choices.on_missing_image,
        "pictures": {"total": len(manifest.entries), **manifest.counts},
    }
    return Built(EditStream(edits, source), notes, manifest, tuple(said), about)


def _looked_at(draft: _Draft, manifest: Manifest, *, skip: bool) -> _Draft:
    """The draft with the pictures as they were found; those that cannot be used are missing, or make it no edit."""
    edit = draft.edit
    if edit is None:
        return draft
    for path in _paths(edit) if skip else ():
        entry = manifest.by_path.get(path)
        if entry is not None and entry.status != "ok":
            return replace(draft, edit=None, reason=f"picture cannot be used: {entry.problem}")

    def found(picture: Picture | None) -> Picture | None:
        if picture is None or picture.path is None or picture.path not in manifest.by_path:
            return picture  # no file: its bytes stand in a table
        return manifest.picture(picture.path)

    probes = tuple(replace(probe, image=found(probe.image)) for probe in edit.probes)
    return replace(draft, edit=replace(edit, image=found(edit.image), probes=probes))


def _paths(edit: Edit) -> Iterable[str]:
    pictures = (edit.image, *(probe.image for probe in edit.probes))
    return (picture.path for picture in pictures if picture is not None and picture.path is not None)


def _marked(drafts: Sequence[_Draft], train: Sequence[_Draft]) -> list[_Draft]:
    """Say of each target and question whether it stands in the training file."""
    learnt = [draft.edit for draft in train if draft.edit is not None]
    targets = {key_text(edit.target) for edit in learnt}
    questions = {key_text(probe.prompt) for edit in learnt for probe in edit.probes}

    def mark(edit: Edit) -> Edit:
        probes = tuple(replace(probe, seen=key_text(probe.prompt) in questions) for probe in edit.probes)
        return replace(edit, probes=probes, facts=replace(edit.facts, seen_target=key_text(edit.target) in targets))

    return [draft if draft.edit is None else replace(draft, edit=mark(draft.edit)) for draft in drafts]


def _unseen(index: int, field: str, path: str) -> Picture:
    return missing_picture(path)
