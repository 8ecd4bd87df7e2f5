"""What a column can be: the roles of a table, and how columns are given to them.

An edit has a picture, a prompt and a target. Each further kind of question is a group of roles,
``<group>_image``, ``<group>_prompt``, ``<group>_target``, ``<group>_key`` and ``<group>_uses``; the parts that a
group leaves out are those of the edit itself.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from ...benchmark.edits import Kind
from ...benchmark.plugins import near
from ...errors import BenchError

Part = Literal["image", "prompt", "target", "key", "uses"]


@dataclass(frozen=True)
class Group:
    """The roles of one kind of question.

    asks: The parts without which there is no such question; the others are the edit's.
    pictured: Whether the question comes with a picture; a table cannot give one where it does not.
    old: Whether a missing target is the old answer rather than the edit's target.
    """

    kind: Kind
    asks: tuple[Part, ...]
    pictured: bool = True
    old: bool = False

    def parts(self) -> tuple[Part, ...]:
        """The parts that a table may give."""
        own: tuple[Part, ...] = ("image", "prompt", "target") if self.pictured else ("prompt", "target")
        return (*own, "key", "uses")


GROUPS: Mapping[str, Group] = {
    "text_generality": Group("text_generality", ("prompt",)),
    "image_generality": Group("image_generality", ("image",)),
    "portability": Group("portability", ("prompt", "target")),
    "text_locality": Group("text_locality", ("prompt", "target"), pictured=False),
    "image_locality": Group("image_locality", ("image", "prompt", "target")),
    "twin_same": Group("locality_twin_same", ("image",), old=True),
    "twin_other": Group("locality_twin_other", ("image", "target")),
    "other_question": Group("locality_other_question", ("prompt", "target")),
    "no_image": Group("locality_no_image", ("target",), pictured=False),
}

REQUIRED = ("image", "prompt", "target")
EDIT_ROLES = (*REQUIRED, "old", "entity", "task", "key")
ROLES: tuple[str, ...] = (
    *EDIT_ROLES,
    *(f"{name}_{part}" for name, group in GROUPS.items() for part in group.parts()),
)

ALIASES: Mapping[str, str] = {
    "rephrase": "text_generality_prompt",
    "image_rephrase": "image_generality_image",
    "src": "prompt",
    "alt": "target",
    "pred": "old",
    "loc": "text_locality_prompt",
    "loc_ans": "text_locality_target",
    "m_loc": "image_locality_image",
    "m_loc_q": "image_locality_prompt",
    "m_loc_a": "image_locality_target",
}
"""Short names, and the names of the field; either side of ``--column`` and a column's own name may use them."""


@dataclass(frozen=True)
class Mapped:
    """Which column has which role, and how that came about.

    columns: Role -> column.
    by_name: The roles whose column was found by its name.
    unused: Columns without a role, in the file's order.
    """

    columns: Mapping[str, str]
    by_name: tuple[str, ...]
    unused: tuple[str, ...]

    def found(self) -> str:
        """One line about the columns that were found by their names; empty when there are none."""
        pairs = [role if self.columns[role] == role else f"{role}={self.columns[role]}" for role in self.by_name]
        return f"columns found by their names: {', '.join(pairs)}" if pairs else ""


def parse_columns(pairs: Sequence[str], mapping: Path | None) -> dict[str, str]:
    """``--column role=column`` and the file of ``--mapping``; the command line wins. An empty column leaves a role out.

    Raises `BenchError` for an unknown or repeated role, and for a file that is no such TOML.
    """
    given: dict[str, str] = {}
    for pair in pairs:
        name, equals, column = pair.partition("=")
        if not equals:
            raise BenchError(f"--column {pair!r} has no '='; write --column role=column, such as prompt=question")
        role = _role(name.strip(), "--column")
        if role in given:
            raise BenchError(f"--column gives {role} twice ({given[role]!r} and {column.strip()!r}); give it once")
        given[role] = column.strip()
    return given if mapping is None else _read_mapping(mapping) | given


def map_columns(columns: Sequence[str], given: Mapping[str, str], where: str) -> Mapped:
    """A column for each role: the given ones, then those that are called like a role.

    Raises `BenchError` when a given column is not there, a required role has none, or a group lacks a part.
    """
    given = {_role(name, where): column for name, column in given.items()}
    for role, column in given.items():
        if column and column not in columns:
            raise BenchError(f"{where} has no column {column!r} for {role}{near(column, columns)}; {_has(columns)}")
    mapped = {role: column for role, column in given.items() if column}
    by_name: list[str] = []
    for column in columns:
        name = column.strip().casefold()
        role = ALIASES.get(name, name)
        if role in ROLES and role not in given and role not in mapped and column not in given.values():
            mapped[role] = column
            by_name.append(role)
    for role in REQUIRED:
        if role not in mapped:
            names = [role, *(alias for alias, known in ALIASES.items() if known == role)]
            close = near(role, columns) or next((found for name in names if (found := near(name, columns))), "")
            raise BenchError(
                f"{where} has no column for the {role} of an edit{close}; name it with --column {role}=COLUMN; "
                f"{_has(columns)}"
            )
    _check_groups(mapped, where)
    return Mapped(mapped, tuple(by_name), tuple(column for column in columns if column not in mapped.values()))


def _check_groups(mapped: Mapping[str, str], where: str) -> None:
    for name, group in GROUPS.items():
        parts = [part for part in group.parts() if f"{name}_{part}" in mapped]
        lacking = [f"{name}_{part}" for part in group.asks if part not in parts]
        if parts and lacking:
            raise BenchError(
                f"{where}: {name}_{parts[0]} (column {mapped[f'{name}_{parts[0]}']!r}) asks nothing without "
                f"{' and '.join(lacking)}; name a column with --column {lacking[0]}=COLUMN, "
                f"or leave it out with --column {name}_{parts[0]}="
            )
    if "twin_same_image" in mapped and "twin_same_target" not in mapped and "old" not in mapped:
        raise BenchError(
            f"{where}: the right answer to twin_same_image is the old one, and no column has the role old; "
            "name it with --column old=COLUMN, or give --column twin_same_target=COLUMN"
        )


def _read_mapping(path: Path) -> dict[str, str]:
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror or error}; give a TOML file with --mapping") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BenchError(f"{path} is no TOML file: {error}; mend it there") from error
    columns = read.get("columns")
    if set(read) != {"columns"} or not isinstance(columns, dict):
        raise BenchError(f'{path} must hold one table, [columns], with lines such as prompt = "question"')
    given: dict[str, str] = {}
    for name, column in cast("dict[str, object]", columns).items():
        role = _role(name, f"{path}: [columns]")
        if not isinstance(column, str):
            raise BenchError(f'{path}: {name} must be the name of a column in quotes, such as {name} = "question"')
        if role in given:
            raise BenchError(f"{path}: {role} is given twice; give it once")
        given[role] = column
    return given


def _role(name: str, where: str) -> str:
    role = ALIASES.get(name, name)
    if role not in ROLES:
        known = [*ROLES, *ALIASES]
        raise BenchError(f"{where}: no role is called {name!r}{near(name, known)}; known: {', '.join(known)}")
    return role


def _has(columns: Iterable[str]) -> str:
    return f"its columns are {', '.join(map(repr, columns))}"
