"""Lifelong editing of vision-language models, measured.

A stream of edits is applied to a model one after another; after each checkpoint every edit so far
is asked again. The names below are all that most uses need:

>>> import liveedit_bench as bench
>>> stream = bench.load_stream("emblems", edits=100)  # doctest: +SKIP
>>> bench.run(editor="liveedit", steps=100)  # doctest: +SKIP

Importing the package loads none of its parts; each name is fetched when it is first used, so that
`liveedit-bench --help` does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .benchmark.backbone import Answer, Backbone, Batch, Query
    from .benchmark.editor import Editor, EditRequest
    from .benchmark.edits import Edit, EditStream, Facts, Picture, Probe, Source
    from .benchmark.plugins import load_backbone, load_editor, load_stream
    from .errors import BenchError, EditError
    from .runners.checks.suite import check_editor, editor_checks
    from .runners.lifelong import run

__version__ = "0.1.0"

_HOMES = {
    "Answer": "benchmark.backbone",
    "Backbone": "benchmark.backbone",
    "Batch": "benchmark.backbone",
    "BenchError": "errors",
    "Edit": "benchmark.edits",
    "EditError": "errors",
    "EditRequest": "benchmark.editor",
    "EditStream": "benchmark.edits",
    "Editor": "benchmark.editor",
    "Facts": "benchmark.edits",
    "Picture": "benchmark.edits",
    "Probe": "benchmark.edits",
    "Query": "benchmark.backbone",
    "Source": "benchmark.edits",
    "check_editor": "runners.checks.suite",
    "editor_checks": "runners.checks.suite",
    "load_backbone": "benchmark.plugins",
    "load_editor": "benchmark.plugins",
    "load_stream": "benchmark.plugins",
    "run": "runners.lifelong",
}

__all__ = [
    "Answer",
    "Backbone",
    "Batch",
    "BenchError",
    "Edit",
    "EditError",
    "EditRequest",
    "EditStream",
    "Editor",
    "Facts",
    "Picture",
    "Probe",
    "Query",
    "Source",
    "check_editor",
    "editor_checks",
    "load_backbone",
    "load_editor",
    "load_stream",
    "run",
]


def __getattr__(name: str) -> object:
    """Fetch a public name from the module it lives in."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
