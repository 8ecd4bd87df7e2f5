"""What an editor says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, cast

from ...benchmark.editor import Editor
from ...benchmark.edits import KINDS
from ...benchmark.options import parse_options
from ...errors import BenchError
from ..identity import plain_options
from .check import Check, Fault
from .subject import Subject


def made(subject: Subject) -> None:
    """The class can be made; nothing else can be checked before."""
    subject.make()


def options(subject: Subject) -> str:
    """A frozen dataclass, written as JSON in every result, and given as texts on the command line."""
    kind = subject.kind
    frozen: Any = getattr(kind.Options, "__dataclass_params__", None)
    if not is_dataclass(kind.Options) or not frozen.frozen:
        raise Fault(f"Options is {kind.Options.__name__}, which is no frozen dataclass")
    try:
        plain_options(subject.make())
    except BenchError as error:
        raise Fault(str(error)) from error
    defaults: Any = kind.Options()
    for field in fields(kind.Options):
        default = getattr(defaults, field.name)
        parts = cast("tuple[object, ...]", default) if isinstance(default, tuple) else (default,)
        try:
            again = getattr(parse_options(kind, {field.name: ",".join(map(str, parts))}), field.name)
        except BenchError as error:
            raise Fault(str(error)) from error
        if again != default:
            raise Fault(f"option {field.name} is {default!r}, and {again!r} once it was written and read as a text")
    return f"{len(fields(kind.Options))} options"


def declarations(subject: Subject) -> None:
    """What results and tables take from the class is of the right kind."""
    kind, editor = subject.kind, subject.make()
    if not (isinstance(cast(object, editor.version), str) and editor.version):
        raise Fault(f"version is {editor.version!r}; it must be a text")
    _reasons("fixed_scores", kind.fixed_scores, KINDS)
    _reasons("exempt", kind.exempt, EXEMPTIBLE)
    first, depth = editor.first_layer_touched, len(subject.backbone.layers)
    if first is not None and not 0 <= first < depth:
        raise Fault(f"first_layer_touched is {first}; {subject.backbone.name} has blocks 0 to {depth - 1}, or say None")
    if kind.trainable != (kind.fit is not Editor.fit):
        raise Fault("trainable is set, and fit is not overridden" if kind.trainable else "fit, and not trainable")
    try:
        json.dumps([editor.trained_on(), editor.weights_sha256, editor.train_seconds], allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Fault(f"trained_on, weights_sha256 or train_seconds is no JSON: {error}") from error


EXEMPTIBLE = ("effect", "takes")


def _reasons(name: str, given: Mapping[str, str], known: tuple[str, ...]) -> None:
    for key, reason in given.items():
        if key not in known:
            raise Fault(f"{name} names {key!r}; it may name {', '.join(known)}")
        if not (isinstance(cast(object, reason), str) and reason.strip()):
            raise Fault(f"{name} gives no reason for {key!r}")


CHECKS = (
    Check("made", "the class can be made over the backbone", made, needs=()),
    Check("options", "options are a frozen dataclass of JSON values that texts can give", options, needs=("made",)),
    Check("declarations", "what the class says of itself can be used", declarations, needs=("made",)),
)
