"""All checks in their order, run one after another: from Python, for pytest, and for the command line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

from ...benchmark.backbone import Backbone, BackboneChoice
from ...benchmark.editor import Editor
from ...benchmark.edits import Edit
from ...benchmark.options import parse_options
from ...benchmark.plugins import find_editor, load_backbone, load_stream
from ...errors import BenchError
from . import answering, describing, editing, keeping
from .check import Check, Fault, Outcome, one_line
from .subject import EDITS, SPARE, Subject

CHECKS: tuple[Check, ...] = (
    *describing.CHECKS,
    *answering.CHECKS,
    *editing.CHECKS,
    *answering.EDITED_CHECKS,
    *keeping.CHECKS,
    *editing.FURTHER_CHECKS,
)


class CheckFailure(BenchError):
    """An editor does not keep the contract: the first promise that it breaks."""


class Examination:
    """Runs checks of one editor, each at most once, and those that it needs before it.

    After the last one the backbone is as it was.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.outcomes: dict[str, Outcome] = {}

    def outcome(self, name: str) -> Outcome:
        """How a check ended."""
        if name not in self.outcomes:
            self.outcomes[name] = self._run(next(check for check in CHECKS if check.name == name))
            if len(self.outcomes) == len(CHECKS):
                self.subject.close()
        return self.outcomes[name]

    def __iter__(self) -> Iterator[Outcome]:
        return (self.outcome(check.name) for check in CHECKS)

    def _run(self, check: Check) -> Outcome:
        for name in check.needs:
            needed = self.outcome(name)
            if needed.verdict in ("failed", "not reached"):
                first = name if needed.verdict == "failed" else needed.why.removeprefix("needs ")
                return Outcome(check.name, check.promise, "not reached", f"needs {first}", 0.0)
        if check.exemptible and (reason := self.subject.kind.exempt.get(check.name)):
            return Outcome(check.name, check.promise, "exempt", reason, 0.0)
        began = time.perf_counter()
        try:
            seen = check.test(self.subject)
        except Exception as error:
            why = str(error) if isinstance(error, Fault) else one_line(error)
            return Outcome(check.name, check.promise, "failed", why, time.perf_counter() - began, error)
        return Outcome(check.name, check.promise, "passed", seen or "", time.perf_counter() - began)


@dataclass(frozen=True)
class BoundCheck:
    """One check of one editor, to be called; its text is its name."""

    name: str
    promise: str
    examination: Callable[[], Examination]

    def __call__(self) -> None:
        """Run it. Raises `CheckFailure` when the editor breaks the promise, or could not be asked to keep it."""
        examination = self.examination()
        outcome = examination.outcome(self.name)
        if outcome.verdict in ("failed", "not reached"):
            what = "fails" if outcome.verdict == "failed" else "does not come to"
            raise CheckFailure(
                f"{examination.subject.kind.name} {what} {self.name!r} ({self.promise}): {outcome.why}"
            ) from outcome.error

    def __str__(self) -> str:
        return self.name


def examine(
    editor: str | type[Editor],
    *,
    backbone: str | BackboneChoice | Backbone = "emblem-llava",
    options: Mapping[str, str] | object | None = None,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "float32",
) -> Examination:
    """The checks of an editor; each is run when its outcome is asked for. Raises `BenchError` for unknown names."""
    kind = find_editor(editor)
    given = (
        parse_options(kind, _absolute(cast("Mapping[str, str]", options))) if isinstance(options, Mapping) else options
    )
    return Examination(
        Subject(
            kind, lambda: load_backbone(backbone, device=device, dtype=dtype), edits=_edits, options=given, seed=seed
        )
    )


def editor_checks(
    editor: str | type[Editor],
    *,
    backbone: str | BackboneChoice | Backbone = "emblem-llava",
    options: Mapping[str, str] | object | None = None,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "float32",
) -> list[BoundCheck]:
    """Every check of an editor, to be called one by one; nothing is loaded before the first call.

    ``@pytest.mark.parametrize("check", editor_checks(MyEditor), ids=str)`` makes each of them a test.
    """
    made: list[Examination] = []

    def examination() -> Examination:
        if not made:
            made.append(examine(editor, backbone=backbone, options=options, seed=seed, device=device, dtype=dtype))
        return made[0]

    return [BoundCheck(check.name, check.promise, examination) for check in CHECKS]


def check_editor(
    editor: str | type[Editor],
    *,
    backbone: str | BackboneChoice | Backbone = "emblem-llava",
    options: Mapping[str, str] | object | None = None,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "float32",
) -> None:
    """Check that an editor keeps the contract.

    Args:
        editor: its class, a name, ``path/to/file.py:Class`` or ``package.module:Class``.
        backbone: a name, or a loaded backbone, which is restored; a name can be loaded again when an editor breaks it.
        options: texts (``{"steps": "20"}``) or an `Options` object.
        seed: of the editor.
        device: cpu, cuda, ...; auto takes an accelerator when there is one.
        dtype: of the backbone's weights.

    Raises `CheckFailure` at the first promise that it breaks.
    """
    for check in editor_checks(editor, backbone=backbone, options=options, seed=seed, device=device, dtype=dtype):
        check()


@lru_cache(maxsize=1)
def _edits() -> Sequence[Edit]:
    return list(load_stream("emblems", edits=EDITS + SPARE, seed=0, split="validation"))


def _absolute(options: Mapping[str, str]) -> dict[str, str]:
    """Files by their full path: one of the checks takes place in another folder."""
    return {name: str(Path(text).resolve()) if Path(text).is_file() else text for name, text in options.items()}
