"""Promises about answers and logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from ...benchmark.backbone import Batch
from ...benchmark.editor import Editor
from .check import Check, Fault
from .questions import Answers, Question, block_outputs, difference, forced
from .subject import Subject, same_state, state_of


def answers(subject: Subject) -> str:
    """Before its first edit an editor is asked for logits and answers like any other."""
    answered = subject.ask(subject.make())
    backbone = subject.backbone
    for question, answer in zip(answered.questions, answered.spoken, strict=True):
        if not answer.ids or answer.text != backbone.decode(answer.ids):
            raise Fault(f"{question.words} is answered {answer.text!r}, but its ids {answer.ids} are another text")
    if told := difference(subject.unedited, answered):
        raise Fault(f"before the first edit it is not the unedited model: {told}")
    return f"{len(answered.questions)} questions"


def text_query(subject: Subject) -> str:
    """Questions without a picture, alone and beside others."""
    editor = subject.edited()
    apart = subject.ask(editor, subject.text_questions)
    mixed = subject.ask(editor, (*subject.text_questions, *subject.questions[:3]))
    texts = Answers(apart.questions, mixed.spoken[: len(apart.spoken)], mixed.logits[: len(apart.logits)])
    if told := difference(apart, texts, subject.tolerance):
        raise Fault(f"pictures of other questions change it: {told}")
    return f"{len(apart.questions)} questions"


def causal(subject: Subject) -> str:
    """The logits at every answer position, against those that change or lack what follows."""
    editor, backbone, questions = subject.edited(), subject.backbone, subject.questions
    whole = forced(editor, backbone, questions)
    checked = 0
    told = "logits before answer token {} of {} move by {:.2g} when the answer {}"
    for position in range(max(len(question.path) for question in questions)):
        long = [index for index, question in enumerate(questions) if len(question.path) > position]
        asked = [questions[index] for index in long]
        changed = forced(_Changed(editor, position), backbone, asked)
        ended = _prefixes(subject, editor, asked, position)
        for index, other, alone in zip(long, changed, ended, strict=True):
            # Row `position` is what predicts the token at `position`, and sees those before it only.
            seen, words = whole[index][: position + 1], questions[index].words
            if gap := subject.tolerance.gap(seen, other[: position + 1]):
                raise Fault(told.format(position, words, gap, "is another one from there on"))
            if gap := subject.tolerance.gap(seen[-1], alone):
                raise Fault(told.format(position, words, gap, "ends there"))
        checked += len(asked)
    return f"{checked} positions"


class _Changed:
    """An editor that is shown other answer tokens from a position on."""

    def __init__(self, editor: Editor, position: int) -> None:
        self._editor, self._position = editor, position
        self.generate = editor.generate

    def logits(self, batch: Batch) -> Tensor:
        """Of the changed batch."""
        later = batch.answer_mask & (batch.answer_mask.cumsum(dim=1) > self._position)
        tokens = batch.input_ids[batch.answer_mask]
        other = torch.where(batch.input_ids == tokens.min(), tokens.max(), tokens.min())
        return self._editor.logits(batch.with_ids(torch.where(later, other, batch.input_ids)))


def _prefixes(subject: Subject, editor: Editor, questions: Sequence[Question], position: int) -> list[Tensor]:
    """[vocabulary] each: the logits after so many answer tokens, with nothing behind them."""
    backbone = subject.backbone
    batch = backbone.encode_ids([each.query for each in questions], [each.path[:position] for each in questions])
    last = batch.attention_mask.sum(dim=1) - 1
    with torch.no_grad():
        logits = editor.logits(batch)
    rows = torch.arange(len(questions), device=logits.device)
    return list(logits[rows, last.to(logits.device)].float().cpu())


def generate(subject: Subject) -> str:
    """Each token of an answer is the best one by `logits`, given those before it."""
    editor, backbone = subject.edited(), subject.backbone
    spoken = subject.ask(editor).spoken
    if any(not each.ids for each in spoken):
        raise Fault("an answer of generate has no ids; there is at least the end")
    said = [Question(each.query, tuple(one.ids)) for each, one in zip(subject.questions, spoken, strict=True)]
    close = subject.tolerance.absolute
    for question, answer, logits in zip(said, spoken, forced(editor, backbone, said), strict=True):
        words = f"{question.words} is answered {answer.text!r}"
        best = logits.topk(2, dim=1)
        gaps = best.values[:, 0] - best.values[:, 1]
        for place, (token, wanted, gap) in enumerate(
            zip(answer.ids, _list(best.indices[:, 0]), _list(gaps), strict=True)
        ):
            if token != wanted and gap > close:
                raise Fault(f"{words}, but logits are for {backbone.decode([wanted])!r} at token {place}")
        if abs(float(gaps.min()) - answer.margin) > close + 0.01 * abs(answer.margin):
            raise Fault(f"{words} with margin {answer.margin:.3g}; by its logits it is {float(gaps.min()):.3g}")
        if answer.ids[-1] != backbone.eos_id and len(answer.ids) != backbone.max_new_tokens:
            raise Fault(f"{words}, which neither ends nor has all {backbone.max_new_tokens} tokens")
        if answer.text != backbone.decode(answer.ids):
            raise Fault(f"{words}, but its ids are the text {backbone.decode(answer.ids)!r}")
    short = editor.generate([each.query for each in said], max_new_tokens=1)
    for question, one, full in zip(said, short, spoken, strict=True):
        if len(one.ids) != 1 or (one.ids[0] != full.ids[0] and full.margin > close):
            raise Fault(f"max_new_tokens=1 answers {question.words} with the ids {one.ids}; the answer is {full.ids}")
    return f"{len(said)} answers"


def batch(subject: Subject) -> str:
    """Alone, in another order and in other company."""
    editor = subject.edited()
    questions = (*subject.questions[::2], *subject.text_questions[:2])
    together = subject.ask(editor, questions)
    ways: dict[str, list[Sequence[Question]]] = {
        "in the reversed order": [questions[::-1]],
        "in halves": [questions[::2], questions[1::2]],
        "alone": [[question] for question in questions],
    }
    for way, parts in ways.items():
        for part in parts:
            apart = subject.ask(editor, part)
            where = [questions.index(question) for question in part]
            company = Answers(
                apart.questions, tuple(together.spoken[i] for i in where), tuple(together.logits[i] for i in where)
            )
            if told := difference(company, apart, subject.tolerance):
                raise Fault(f"asked {way} after all at once: {told}")
    return f"{len(questions)} questions in {len(ways) + 1} ways"


def asking(subject: Subject) -> None:
    """Asking leaves no trace: not in the state, and not in later answers."""
    editor = subject.edited()
    state = state_of(editor)
    first = subject.ask(editor)
    subject.ask(editor, (*subject.questions[:3], *subject.text_questions[:3]))
    if told := difference(first, subject.ask(editor), subject.tolerance):
        raise Fault(f"the same question again: {told}")
    if not same_state(state, state_of(editor)):
        raise Fault("state_dict differs after questions were asked")


def first_layer(subject: Subject) -> str:
    """Blocks below `first_layer_touched` give what they gave the unedited model, bit for bit; with None, all of them.

    A run passes over them on the strength of this. An editor that never runs the model keeps the promise.
    """
    editor = subject.edited()
    found = block_outputs(editor, subject.backbone, subject.questions)
    first = editor.first_layer_touched
    for index in range(len(found))[:first]:
        if any(digest != subject.unedited_blocks[index][0] for digest in found[index]):
            raise Fault(f"it declares {first}, but the output of block {index} is not the unedited model's")
    return f"declares {first}"


def _list(tensor: Tensor) -> list[Any]:
    return cast("Any", tensor).tolist()


CHECKS = (Check("answers", "before the first edit it answers as the unedited model does", answers, needs=("made",)),)
EDITED_CHECKS = (
    Check("text-query", "a question without a picture is answered", text_query),
    Check("causal", "logits before an answer token are those of its prefix alone", causal),
    Check("generate", "generate says what logits are for, token by token", generate),
    Check("batch", "an answer does not depend on batch size and company", batch, needs=("effect", "text-query")),
    Check("asking", "asking changes nothing", asking, needs=("text-query", "state")),
    Check("first-layer", "blocks below first_layer_touched are the unedited model's", first_layer),
)
