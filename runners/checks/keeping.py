"""Promises about what an editor keeps: its state, the way back to the unedited model, and other editors."""

from __future__ import annotations

from safetensors.torch import load

from .check import Check, Fault
from .questions import difference
from .subject import EARLY, EDITS, Subject, put_state, state_of

SLACK_BYTES, SLACK = 1024, 0.1
"""By how much `state_bytes` may differ from the tensors of `state_dict`: the larger of the two."""


def state(subject: Subject) -> str:
    """Through a safetensors file into a fresh editor: equal answers at once, and after one more edit."""
    record = subject.record
    if record.state is None or record.earlier_state is None:
        state_of(subject.edited())  # says why
        raise Fault("state_dict could not be written after some of the edits")
    editor = subject.make()
    put_state(editor, record.state)
    if told := difference(record.answers, subject.ask(editor), subject.tolerance):
        raise Fault(f"loaded after {EDITS} edits: {told}")
    editor = subject.make()
    put_state(editor, record.earlier_state)
    subject.try_edits(editor, EARLY - 1)
    if told := difference(record.early, subject.ask(editor), subject.tolerance):
        raise Fault(f"loaded after {EARLY - 1} edits, and edited once more: {told}")
    return f"{len(record.state) / 1024:.1f} KiB"


def state_bytes(subject: Subject) -> str:
    """`state_bytes` is the size of the tensors that stand for the edits."""
    editor = subject.edited()
    told = editor.state_bytes
    true = sum(tensor.nbytes for tensor in load(state_of(editor)).values())
    if abs(told - true) > max(SLACK_BYTES, SLACK * true):
        raise Fault(f"state_bytes is {told:,}; the tensors of state_dict have {true:,} bytes")
    return f"{told:,} bytes after {EDITS} edits"


def reset(subject: Subject) -> None:
    """After `reset` the unedited model is back: weights, and answers bit for bit."""
    editor = subject.make()
    subject.try_edits(editor, *range(EARLY))
    editor.reset()
    if left := subject.left_behind():
        raise Fault(f"after reset the backbone is not as it was loaded: {left}")
    if told := difference(subject.unedited, subject.ask(editor)):
        raise Fault(f"after reset it is not the unedited model: {told}")


def fresh(subject: Subject) -> None:
    """Nothing of earlier edits outlives `reset`: the same edits have the same effect as on a fresh editor."""
    editor = subject.make()
    subject.try_edits(editor, EDITS)
    editor.reset()
    subject.try_edits(editor, *range(EARLY))
    if told := difference(subject.record.early, subject.ask(editor), subject.tolerance):
        raise Fault(f"on a fresh editor and after reset: {told}")


def neighbours(subject: Subject) -> None:
    """Of two editors over one backbone the one that is reset does not disturb the other."""
    one = subject.make()
    other = subject.beside()
    subject.try_edits(one, EDITS + 1)
    one.reset()
    for name, editor in (("second", other), ("first", one)):
        subject.try_edits(editor, *range(EARLY))
        if told := difference(subject.record.early, subject.ask(editor), subject.tolerance):
            raise Fault(f"alone, and as the {name} of two: {told}")
        editor.reset()


CHECKS = (
    Check("state", "state_dict, through a file into a fresh editor, gives equal answers", state),
    Check("state-bytes", "state_bytes is the size of the state", state_bytes, needs=("effect", "state")),
    Check("reset", "reset brings the unedited model back, bit for bit", reset),
    Check("fresh", "edits after reset are as on a fresh editor", fresh, needs=("effect", "reset")),
    Check("two-editors", "two editors on one backbone do not disturb each other after reset", neighbours, ("fresh",)),
)
