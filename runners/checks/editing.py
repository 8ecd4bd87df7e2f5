"""Promises about edits."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from PIL.Image import Image

from ...benchmark.backbone import Query
from ...benchmark.editor import Editor, EditRequest
from ...benchmark.edits import Edit, Picture, missing_picture
from ...errors import EditError
from .check import Check, Fault, one_line
from .questions import Answers, Question, difference
from .subject import EARLY, EDITS, Subject, put_state, same_state, state_of

TAKES = 0.75
"""The share of edits that must be answered with their target right after them."""


def effect(subject: Subject) -> str:
    """Each of the edits of the record is refused, or does something."""
    refused = 0
    for number, step in enumerate(subject.record.steps, start=1):
        if isinstance(step.error, EditError):
            refused += 1
        elif step.error is not None:
            raise Fault(f"edit {number} crashed: {one_line(step.error)}") from step.error
        elif not step.acted:
            raise Fault(f"edit {number} did nothing: state and logits are as before; raise EditError to refuse an edit")
    if refused == EDITS:
        raise Fault(f"every edit is refused: {subject.record.steps[0].error}")
    return f"{EDITS - refused} edits, {refused} refused"


def takes(subject: Subject) -> str:
    """Right after an edit its own question is answered, free-running, with the target."""
    steps = subject.record.steps
    took = sum(step.took for step in steps)
    if took < TAKES * len(steps):
        missed = next(step for step in steps if not step.took)
        said = "refused" if missed.spoken is None else f"answered {missed.spoken.text!r}"
        raise Fault(f"{took} of {len(steps)} edits take; {missed.edit.prompt!r} -> {missed.edit.target!r} is {said}")
    return f"{took} of {len(steps)} edits take"


def requests(subject: Subject) -> None:
    """Edits and questions made of equal pictures and texts, without anything else of the stream, do the same.

    In the record a request is made next to its edit, whose picture it shares, as in a run. Whoever looks at more than
    picture, question and target finds it there, and not here.
    """
    editor = subject.make()
    for position in range(EARLY):
        subject.prepare(position)
        editor.edit(_alone(subject.edits[position]))
    asked = [Question(Query(_copy(each.query.image), each.query.prompt), each.path) for each in subject.questions]
    if told := difference(subject.record.early, subject.ask(editor, asked), subject.tolerance):
        raise Fault(f"it looks at more than picture, question and target: {told}")


def _alone(edit: Edit) -> EditRequest:
    return EditRequest(_copy(edit.image), edit.prompt, edit.target)


def _copy(picture: Picture | None) -> Picture | None:
    """The same pixels under the same digest; the opener leads nowhere."""
    if picture is None:
        return None
    pixels = picture.open()
    return Picture(pixels.copy, picture.sha256)


def text_edit(subject: Subject) -> str:
    """An edit without a picture is applied or refused."""
    editor = subject.make()
    edit = subject.edits[EDITS]
    try:
        editor.edit(EditRequest(None, edit.prompt, edit.target))
    except EditError as error:
        return f"refused: {one_line(error)}"
    path = (*subject.backbone.target_ids(edit.target), subject.backbone.eos_id)
    answered = subject.ask(editor, [Question(Query(None, edit.prompt), path)])
    said = answered.spoken[0].text
    return "takes" if said.casefold() == edit.target.casefold() else f"applied, and answered {said!r}"


def failing(subject: Subject) -> str:
    """A refused edit leaves nothing behind; after a crash `load_state_dict` puts all back, as a run does then."""
    editor = subject.edited()
    subject.spoil()
    seen: list[str] = []
    state, before = state_of(editor), subject.ask(editor)
    for what, edit in _hard_edits(subject):
        subject.prepare(EDITS)
        error = _attempt(subject, editor, edit, second=what == "interrupted")
        refused = isinstance(error, EditError)
        if error is not None and not refused:
            put_state(editor, state)
        after = subject.ask(editor)
        words = f"{what}: {one_line(error)}" if error is not None else ""
        if refused:
            left = difference(before, after) or ("" if same_state(state, state_of(editor)) else "state_dict differs")
            if left:
                raise Fault(f"it refuses an edit ({words}) and keeps some of it: {left}") from error
            seen.append(f"{what} refused")
        elif error is not None:
            if left := difference(before, after, subject.tolerance):
                raise Fault(f"an edit fails ({words}) and load_state_dict does not bring it back: {left}") from error
            seen.append(f"{what} put back")
        state, before = state_of(editor), after
    return ", ".join(seen) or "no edit fails"


def _hard_edits(subject: Subject) -> list[tuple[str, EditRequest]]:
    edit = subject.edits[EDITS]
    plain = EditRequest(edit.image, edit.prompt, edit.target)
    return [
        ("no picture", replace(plain, image=None)),
        ("an unreadable picture", replace(plain, image=missing_picture("gone.png"))),
        ("a broken picture", replace(plain, image=Picture(_broken))),
        ("an empty target", replace(plain, target="")),
        ("interrupted", plain),
    ]


def _broken() -> Image:
    raise OSError("image file is truncated")


def _attempt(subject: Subject, editor: Editor, edit: EditRequest, *, second: bool) -> Exception | None:
    """What an edit raises. second: the model breaks off when it runs for the second time."""
    runs = 0

    def count(*_: object) -> None:
        nonlocal runs
        runs += 1
        if runs == 2:
            _break_off()

    hook = subject.backbone.layers[-1].register_forward_hook(count) if second else None
    try:
        editor.edit(edit)
    except Exception as error:
        return error
    finally:
        if hook is not None:
            hook.remove()
    return None


def _break_off() -> NoReturn:
    raise RuntimeError("interrupted by the check")


def files(subject: Subject) -> None:
    """Made, used and reset in an empty folder, which stays empty."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="liveedit-bench-check-") as folder:
        os.chdir(folder)
        try:
            _use(subject, subject.make())
        finally:
            os.chdir(here)
        left = sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))
    if left:
        raise Fault(f"it writes {left[0]} into the working directory (a run writes into its own folder)")


def _use(subject: Subject, editor: Editor) -> Answers:
    subject.try_edits(editor, 0)
    put_state(editor, state_of(editor))
    answered = subject.ask(editor)
    editor.reset()
    return answered


CHECKS = (
    Check("effect", "an edit is refused by EditError or changes something", effect, ("answers",), exemptible=True),
    Check("takes", "right after an edit its question is answered with the target", takes, exemptible=True),
)
FURTHER_CHECKS = (
    Check("requests", "picture, question and target decide, and nothing else", requests),
    Check("text-edit", "an edit without a picture works or is refused by EditError", text_edit),
    Check("failing-edit", "an edit that fails leaves the state as it was", failing, needs=("effect", "state")),
    Check("files", "nothing is written to the working directory", files, needs=("effect", "state")),
)
