"""An edit as a sentence that stands before a question."""

from __future__ import annotations

from string import Formatter

from ...errors import BenchError
from ..backbone import Backbone
from ..editor import EditRequest

PLAIN = "The answer to '{prompt}' is {target}."
LEARNT = {"emblem-llava": "Fact: {prompt} {target}."}
"""Backbones that were taught a form of their own."""


def form_for(backbone: Backbone, asked: str | None = None) -> str:
    """The form of a backbone's statements, or the one asked for, with the fields ``{prompt}`` and ``{target}``.

    Raises `BenchError` for a form with other fields or without the target.
    """
    form = LEARNT.get(backbone.name, PLAIN) if asked is None else asked
    try:
        fields = {name for _, name, _, _ in Formatter().parse(form) if name is not None}
    except ValueError as error:
        raise BenchError(f"the statement {form!r} cannot be read: {error}") from error
    if "target" not in fields or fields - {"prompt", "target"}:
        raise BenchError(f"the statement {form!r} must have the field {{target}} and may have {{prompt}}, no others")
    return form


def stated(form: str, request: EditRequest) -> str:
    """An edit in that form."""
    return form.format(prompt=request.prompt, target=request.target)
