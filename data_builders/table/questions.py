"""One row of a table as the parts of an edit and of the questions about it; nothing is built or opened yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from ...benchmark.edits import Texts
from ...errors import BenchError
from ..annotations import kind
from ..texts import Change, Role, clean, prepare
from .roles import GROUPS, Group, Mapped, Part
from .rows import Embedded, Table

Image = str | Embedded
T = TypeVar("T")

# How a role's texts are prepared; a role that is not here holds a name or a key, which is only stripped.
_TEXT_ROLES: Mapping[str, Role] = {
    "prompt": "prompt",
    "target": "target",
    "old": "old",
    "text_generality_prompt": "rephrase",
    "text_generality_target": "target",
    "image_generality_prompt": "prompt",
    "image_generality_target": "target",
    "portability_prompt": "portability",
    "portability_target": "portability_answer",
    "text_locality_prompt": "text_locality",
    "text_locality_target": "text_locality_answer",
    "image_locality_prompt": "image_locality",
    "image_locality_target": "image_locality_answer",
    "twin_same_prompt": "prompt",
    "twin_same_target": "old",
    "twin_other_prompt": "prompt",
    "twin_other_target": "old",
    "other_question_prompt": "image_locality",
    "other_question_target": "image_locality_answer",
    "no_image_prompt": "prompt",
    "no_image_target": "old",
}


@dataclass(frozen=True)
class Question:
    """What one probe asks; None stands for a part that is the edit's own."""

    group: str
    image: Image | None
    prompt: str | None
    target: str | None
    key: str | None
    uses: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """A row, read and prepared.

    Attributes:
        index: From 0.
        reason: Why it cannot become an edit; None when it can.
        images: The edited picture, then further ones of the same thing.
        prompts: The edit's prompt, then further ones.
        unused: Texts that no probe asks, by column.
    """

    index: int
    reason: str | None
    images: tuple[Image, ...]
    prompts: tuple[str, ...]
    target: str
    old: str
    entity: str | None
    task: str | None
    key: str | None
    questions: tuple[Question, ...]
    changes: tuple[Change, ...]
    unused: Mapping[str, str]


@dataclass
class _Reading:
    """The cells of one row by role, and what was done to them."""

    table: Table
    mapped: Mapped
    index: int
    recipe: Texts
    changes: list[Change] = field(default_factory=list[Change])
    unused: dict[str, str] = field(default_factory=dict[str, str])

    def refuse(self, role: str, problem: str) -> BenchError:
        return BenchError(f"{self.table.name}, row {self.index}, column {self.mapped.columns[role]!r}: {problem}")

    def cell(self, role: str) -> object:
        column = self.mapped.columns.get(role)
        return None if column is None else self.table.cell(self.index, column)

    def texts(self, role: str) -> list[str | None]:
        """Prepared texts; None for a place that is empty."""
        cell = self.cell(role)
        items = cast("list[object]", cell) if isinstance(cell, list) else [] if cell is None else [cell]
        several = isinstance(cell, list)
        return [self._text(role, item, at if several else None) for at, item in enumerate(items)]

    def text(self, role: str) -> str | None:
        """One text; further ones of a list are noted as unused."""
        found = self.texts(role)
        for at, text in enumerate(found[1:], start=1):
            if text is not None:
                self.unused[f"{self.mapped.columns[role]}[{at}]"] = text
        return found[0] if found else None

    def images(self, role: str) -> list[Image | None]:
        cell = self.cell(role)
        items = cast("list[object]", cell) if isinstance(cell, list) else [] if cell is None else [cell]
        for item in items:
            if item is not None and not isinstance(item, str | Embedded):
                raise self.refuse(role, f"a picture must be a path or the bytes of a file, is {_kind(item)}")
        images = cast("list[Image | None]", items)
        return [None if isinstance(image, str) and not image.strip() else image for image in images]

    def _text(self, role: str, item: object, at: int | None) -> str | None:
        if item is None:
            return None
        if not isinstance(item, str):
            raise self.refuse(role, f"must be a text or a list of texts, is {_kind(item)}; write it as text")
        if any("\ud800" <= letter <= "\udfff" for letter in item):
            raise self.refuse(role, "holds half of a surrogate pair, which is no character; mend the table")
        use = _TEXT_ROLES.get(role)
        if use is None:
            return item.strip() or None
        column = self.mapped.columns[role]
        named = column if at is None else f"{column}[{at}]"
        text, changes = prepare(item, field=named, role=use, recipe=self.recipe, suffixes={})
        self.changes.extend(changes)
        return text if clean(item, use)[0] else None  # by every recipe, the same cells are empty


def read_row(table: Table, mapped: Mapped, index: int, recipe: Texts) -> Row:
    """One row. Raises `BenchError` that names row and column for a cell of the wrong type."""
    reading = _Reading(table, mapped, index, recipe)
    images = [image for image in reading.images("image") if image is not None]
    prompts = [prompt for prompt in reading.texts("prompt") if prompt is not None]
    target = reading.text("target")
    given = {"image": bool(images), "prompt": bool(prompts), "target": target is not None}
    reason = next((f"no {role}: {mapped.columns[role]!r} is empty" for role, there in given.items() if not there), None)
    key = reading.text("key")
    if key is not None:
        _check_key(reading, "key", key)
    questions = [question for name, group in GROUPS.items() for question in _questions(reading, name, group)]
    return Row(
        index=index,
        reason=reason,
        images=tuple(images),
        prompts=tuple(prompts),
        target=target or "",
        old=reading.text("old") or "",
        entity=reading.text("entity"),
        task=reading.text("task"),
        key=key,
        questions=tuple(questions),
        changes=tuple(reading.changes),
        unused=reading.unused,
    )


def _questions(reading: _Reading, name: str, group: Group) -> list[Question]:
    roles: dict[Part, str] = {part: f"{name}_{part}" for part in group.parts()}
    given: dict[Part, str] = {part: role for part, role in roles.items() if role in reading.mapped.columns}
    if not given:
        return []
    images = reading.images(given["image"]) if "image" in given else []
    worded: tuple[Part, ...] = ("prompt", "target", "key")
    texts: dict[Part, list[str | None]] = {part: reading.texts(given[part]) for part in worded if part in given}
    asked: list[list[object]] = [
        list[object](images) if part == "image" else list[object](texts[part]) for part in group.asks
    ]
    count = max(map(len, asked))
    sizes: dict[Part, int] = {
        part: len(images) if part == "image" else len(texts[part]) for part in given if part != "uses"
    }
    for part, size in sizes.items():
        if size > 1 and size != count:
            longest = next(reading.mapped.columns[given[each]] for each in group.asks if sizes[each] == count)
            raise reading.refuse(given[part], f"has {size} entries where {longest!r} has {count}")
    uses = _uses(reading, given["uses"], count) if "uses" in given else [()] * count
    found: list[Question] = []
    for at in range(count):
        one: dict[Part, str | None] = {part: _at(values, at) for part, values in texts.items()}
        image = _at(images, at)
        there: dict[Part, Image | None] = {part: image if part == "image" else one[part] for part in group.asks}
        if any(value is None for value in there.values()):
            _note_lonely(reading, given, {**there, **one}, at if count > 1 else None)
            continue
        key = one.get("key")
        if key is not None:
            _check_key(reading, given["key"], key)
        found.append(Question(name, image, one.get("prompt"), one.get("target"), key, uses[at]))
    return found


def _note_lonely(
    reading: _Reading, given: Mapping[Part, str], parts: Mapping[Part, Image | None], at: int | None
) -> None:
    """A question without its answer, or the other way round, is asked by no probe and not forgotten."""
    for part, value in parts.items():
        if value is not None and part in given:
            column = reading.mapped.columns[given[part]]
            shown = value if isinstance(value, str) else "a picture"
            reading.unused[column if at is None else f"{column}[{at}]"] = shown


def _at(values: Sequence[T | None], at: int) -> T | None:
    """The entry for question `at`; a single one serves all of them."""
    return None if not values else values[at] if len(values) > 1 else values[0]


def _uses(reading: _Reading, role: str, count: int) -> list[tuple[str, ...]]:
    """Keys that answers rest on: a list is one question's, or has an entry (a key or a list) for each of several."""
    cell = reading.cell(role)
    entries = cast("list[object]", cell) if isinstance(cell, list) else [] if cell is None else [cell]
    nested = count > 1 or any(isinstance(entry, list) for entry in entries)
    if nested and entries and len(entries) != count:
        raise reading.refuse(role, f"has {len(entries)} entries for {count} questions")
    groups = entries if nested else [entries]
    found: list[tuple[str, ...]] = []
    for group in groups or [[]] * count:
        keys = cast("list[object]", group) if isinstance(group, list) else [] if group is None else [group]
        for key in keys:
            if not isinstance(key, str):
                raise reading.refuse(role, f"must hold keys, holds {_kind(key)}")
            _check_key(reading, role, key)
        found.append(tuple(cast("list[str]", keys)))
    return found


def _check_key(reading: _Reading, role: str, key: str) -> None:
    thing, _, attribute = key.partition("/")
    if not thing.strip() or not attribute.strip():
        raise reading.refuse(role, f"a key is written thing/attribute, such as 'Fido/breed', and this is {key!r}")


def _kind(value: object) -> str:
    if isinstance(value, Embedded):
        return "a picture"
    return f"a {type(value).__name__}" if type(value).__module__ != "builtins" else kind(value)
