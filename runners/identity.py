"""What a run is a run of: a folder may only be continued by the same code, options, weights and stream."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from ..benchmark.editor import Editor
from ..errors import BenchError
from .folder import RunFolder, read_bounded

ROOT = Path(__file__).resolve().parent.parent
EDITORS = ROOT / "benchmark" / "editors"
MEASURING = ("benchmark", "data_builders", "metrics", "runners")
"""The folders whose code decides what is answered and how it is scored."""


def code_sha256(editor: Editor | None = None) -> str:
    """Digest of the code that measures, and of the editor's own file when it comes from elsewhere."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in MEASURING for path in (ROOT / folder).rglob("*.py")):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    if editor is not None:
        digest.update(_source(type(editor)))
    return digest.hexdigest()


def source_sha256(editor: Editor) -> str | None:
    """Digest of the code that an editor consists of; None for one that was made in an interactive session.

    That is the file of its class and those of the editors it derives from; of a bundled editor that has a folder of its
    own, all of the folder.
    """
    digest, kinds = hashlib.sha256(), type(editor).__mro__
    try:
        own = Path(inspect.getfile(kinds[0])).resolve()
    except (OSError, TypeError):
        return None
    files = {own}
    for kind in kinds[: kinds.index(Editor)]:
        with suppress(OSError, TypeError):  # built into Python
            path = Path(inspect.getfile(kind)).resolve()
            if path.is_relative_to(EDITORS) and path.parent != EDITORS:
                files.update(path.parent.glob("*.py"))
            elif path.is_relative_to(EDITORS) or path.parent == own.parent:
                files.add(path)
    for path in sorted(files):
        name = path.relative_to(EDITORS).as_posix() if path.is_relative_to(EDITORS) else path.name
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def plain_options(editor: Editor) -> dict[str, Any]:
    """The options as JSON values (paths become text). Raises `BenchError` when they are none."""
    try:
        text = json.dumps(editor.describe_options(), allow_nan=False, default=_text_of_path)
    except (TypeError, ValueError) as error:
        raise BenchError(f"the options of editor {editor.name!r} cannot be written as JSON: {error}") from error
    return json.loads(text)


def begin_or_check(folder: RunFolder, spec: Mapping[str, Any], environment: Mapping[str, Any]) -> dict[str, Any]:
    """Write `run.json`, or compare with the one that is there. Returns its content.

    Raises `BenchError` when it is damaged or belongs to a run of something else.
    """
    if not folder.run.exists():
        content = {"schema_version": "1", "status": "running", "spec": dict(spec), "environment": dict(environment)}
        _write(folder, content)
        return content
    content = read_run(folder)
    begun = content["spec"]
    wanted: dict[str, Any] = json.loads(json.dumps(dict(spec), allow_nan=False))
    for name in sorted({*begun, *wanted}):
        old, new = begun.get(name), wanted.get(name)
        if old != new:
            raise BenchError(
                f"{folder.path} was begun with {_words(name, old)}, not {_words(name, new)}; "
                "give another --out, or --fresh to start over"
            )
    return content


def finish(folder: RunFolder, content: Mapping[str, Any], status: str) -> None:
    """Say in `run.json` how the run ended."""
    _write(folder, {**content, "status": status})


def read_run(folder: RunFolder) -> dict[str, Any]:
    """`run.json`. Raises `BenchError` when it is missing or damaged."""
    try:
        value = json.loads(read_bounded(folder.run, 16 * 2**20))
    except FileNotFoundError:
        raise BenchError(f"{folder.path} is no run folder: it has no run.json") from None
    except (OSError, ValueError) as error:
        raise BenchError(f"{folder.run} is damaged ({type(error).__name__}); start over with --fresh") from error
    content = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if not isinstance(content.get("spec"), dict) or content.get("status") not in ("running", "complete", "void"):
        raise BenchError(f"{folder.run} is damaged (no spec or status); start over with --fresh")
    return content


def _write(folder: RunFolder, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    folder.write(folder.run, text.encode())


def _words(name: str, value: object) -> str:
    text = json.dumps(value)
    if name.endswith("sha256"):
        text = text.strip('"')[:12]
    return f"{name} {text if len(text) <= 80 else text[:79] + '…'}"


def _text_of_path(value: object) -> str:
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _source(kind: type[Editor]) -> bytes:
    try:
        path = Path(inspect.getfile(kind))
    except (OSError, TypeError):  # made in an interactive session
        return kind.__qualname__.encode()
    known = any(path.is_relative_to(ROOT / folder) for folder in MEASURING)
    return b"" if known else path.read_bytes()
