"""From a probe to its question, and from a reply to its row of the answers table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..benchmark.backbone import Answer, Backbone, Query
from ..benchmark.editor import EditRequest
from ..benchmark.edits import LOCALITY_KINDS, Edit
from .ledger import Ledger
from .probing import Ask, Prober, Reply
from .schedule import Place

Row = dict[str, Any]
When = Literal["after_edit", "checkpoint"]


@dataclass(frozen=True)
class Question:
    """A probe at a step: the right answer (None: expired), and what is asked.

    superseded: its edit was overridden by a later one, so the newest target is right and its own old target stale.
    """

    place: Place
    expected: str | None
    ask: Ask | None
    superseded: bool = False


class Questions:
    """Makes questions of probes and rows of replies.

    f0: the unedited model's answers to the locality panel.
    """

    def __init__(
        self, edits: Sequence[Edit], ledger: Ledger, backbone: Backbone, f0: Mapping[Place, Answer] | None = None
    ) -> None:
        self._edits, self._ledger, self._backbone = edits, ledger, backbone
        self._f0 = f0 or {}
        self._ids: dict[str, tuple[int, ...]] = {}

    def of(self, place: Place, step: int) -> Question:
        """The question that a probe asks after `step` edits."""
        edit = self._edits[place.position]
        probe = edit.probes[place.probe]
        expected = self._ledger.expected(place.position, probe, step)
        if expected is None:
            return Question(place, None, None)
        query = Query(probe.image, probe.prompt)
        label = f"edit {edit.id} at position {place.position}, probe {place.probe}, {probe.kind}"
        if probe.kind in LOCALITY_KINDS:
            path = self._f0[place].ids
            return Question(place, expected, Ask(query, path, len(path), label))
        ids = self._target_ids(expected)
        superseded = self._ledger.superseded(place.position, probe, step)
        deciding = self._ledger.deciding(place.position, probe, step)
        about = None if deciding is None else request_of(self._edits[deciding])
        ask = Ask(query, (*ids, self._backbone.eos_id), len(ids), label, about=about)
        return Question(place, expected, ask, superseded)

    def longest(self) -> int:
        """Tokens that the longest answer of the stream needs, its end included."""
        targets = {probe.target for edit in self._edits for probe in edit.probes}
        return max(len(self._target_ids(target)) for target in targets | {edit.target for edit in self._edits}) + 1

    def rows(
        self,
        places: Sequence[Place],
        step: int,
        prober: Prober,
        *,
        failed: Callable[[int], bool],
        again: bool = False,
        done: Callable[[int], None] | None = None,
    ) -> list[Row]:
        """Ask all of them at a checkpoint. again: the same places are asked at every checkpoint."""
        questions = [self.of(place, step) for place in places]
        replies = iter(prober.ask([question.ask for question in questions if question.ask], again=again, done=done))
        return [
            self.row(
                question,
                step,
                "checkpoint",
                next(replies) if question.ask else None,
                failed=failed(question.place.position),
            )
            for question in questions
        ]

    def row(self, question: Question, step: int, when: When, reply: Reply | None, *, failed: bool) -> Row:
        """One row of the answers table, without its scores; `reply` is None when the probe has expired."""
        position, index = question.place
        edit = self._edits[position]
        probe = edit.probes[index]
        locality = probe.kind in LOCALITY_KINDS
        ask = question.ask
        if reply is None:
            status = "expired"
        elif question.superseded:  # also when the edit had failed: it leaves the denominator
            status = "superseded"
        else:
            status = "failed" if failed and not locality else "asked"
        return {
            "step": step,
            "when": when,
            "position": position,
            "edit": edit.id,
            "probe": index,
            "kind": probe.kind,
            "thing": probe.thing,
            "task": edit.facts.task,
            "seen_target": edit.facts.seen_target,
            "seen_prompt": probe.seen,
            "status": status,
            "expected": question.expected,
            "leak": edit.target if locality or probe.kind == "portability" or question.superseded else None,
            "expected_ids": [] if ask is None else list(ask.path[: ask.scored]),
            "teacher_ids": [] if reply is None else list(reply.teacher_ids),
            "teacher_margin": None if reply is None else reply.teacher_margin,
            "ids": [] if reply is None else list(reply.ids),
            "answer": None if reply is None else reply.answer,
            "margin": None if reply is None else reply.margin,
        }

    def _target_ids(self, target: str) -> tuple[int, ...]:
        if target not in self._ids:
            self._ids[target] = tuple(self._backbone.target_ids(target))
        return self._ids[target]


def request_of(edit: Edit) -> EditRequest:
    """What an editor is told about an edit."""
    return EditRequest(edit.image, edit.prompt, edit.target)
