"""`--option name=value` -> the frozen dataclass of an editor's options, and back to plain values."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from ..errors import BenchError
from .plugins import near

if TYPE_CHECKING:
    from .editor import Editor

LATER: Mapping[str, bool] = types.MappingProxyType({"later": True})
"""``metadata`` of an option that was added after results had been published; see `plain`."""

_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def split_pairs(pairs: Sequence[str]) -> dict[str, str]:
    """``["lr=0.1"]`` -> ``{"lr": "0.1"}``. Raises `BenchError` for what is no pair or given twice."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise BenchError(f"--option {pair} is no name=value")
        if name in found:
            raise BenchError(f"--option {name} is given twice")
        found[name] = value
    return found


def plain(options: Any) -> dict[str, Any]:
    """Options as plain values.

    One marked `LATER` is left out while it has its default: results older than the option keep their digest.
    """
    quiet = {each.name for each in fields(options) if "later" in each.metadata}
    defaults = {each.name: each.default for each in fields(options)}
    return {name: value for name, value in asdict(options).items() if name not in quiet or value != defaults[name]}


def parse_options(editor: type[Editor], given: Mapping[str, str]) -> Any:
    """Options of `editor` from texts. Raises `BenchError` for an unknown name or a value of another type."""
    kind = editor.Options
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind) if field.init]
    values: dict[str, object] = {}
    for name, text in given.items():
        if name not in known:
            has = f"its options: {', '.join(known)}" if known else "it has none"
            raise BenchError(f"editor {editor.name!r} has no option {name!r}{near(name, known)}; {has}")
        try:
            values[name] = _parse(text, hints[name])
        except ValueError as error:
            raise BenchError(f"--option {name}={text} of editor {editor.name!r}: {error}") from None
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise BenchError(f"the options of editor {editor.name!r} do not fit: {error}") from error


def _parse(text: str, hint: Any) -> object:
    origin = get_origin(hint)
    if origin is Literal:
        for choice in get_args(hint):
            if str(choice) == text:
                return choice
        raise ValueError(f"choose from {', '.join(map(str, get_args(hint)))}")
    if origin is tuple:
        inner = get_args(hint)[0]
        return tuple(_parse(part.strip(), inner) for part in text.split(",") if part.strip())
    if origin in (Union, types.UnionType):
        return _parse_union(text, get_args(hint))
    if hint is bool:
        if text.lower() not in _TRUTHS:
            raise ValueError("write true or false")
        return _TRUTHS[text.lower()]
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError:
            raise ValueError(f"{text!r} is no {'whole number' if hint is int else 'number'}") from None
    if hint is Path:
        return Path(text)
    if hint is str:
        return text
    raise ValueError(f"options of type {hint} cannot be given as text")


def _parse_union(text: str, choices: tuple[Any, ...]) -> object:
    if type(None) in choices and text.lower() in ("none", ""):
        return None
    reason = ValueError(f"{text!r} does not fit")
    for choice in choices:
        if choice is type(None):
            continue
        try:
            return _parse(text, choice)
        except ValueError as error:
            reason = error
    raise reason
