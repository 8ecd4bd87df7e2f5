"""The editor under check: made anew as often as needed, over one backbone that is put back in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

from safetensors.torch import load, save
from torch import Tensor

from ...benchmark.backbone import Answer, Backbone, Query
from ...benchmark.backbones.pristine import same_bits
from ...benchmark.editor import Editor, EditRequest
from ...benchmark.edits import Edit
from ...errors import EditError
from ..randomness import seed_everything
from .check import Fault
from .clean import Clean, Unedited
from .questions import Answers, Question, Tolerance, ask, block_outputs

EDITS, EARLY = 8, 2
"""Of the record: so many edits, and the answers after so many of them are kept for comparison."""
SPARE = 2
"""Further edits."""
PICTURED = ("reliability", "text_generality", "image_generality", "portability", "image_locality", "locality_twin_same")
WITHOUT = ("text_locality", "locality_no_image")


@dataclass(frozen=True)
class Step:
    """One edit of the record. spoken: the answer to its own question right after it; acted: whether it did anything."""

    edit: Edit
    spoken: Answer | None
    acted: bool
    error: Exception | None = None

    @property
    def took(self) -> bool:
        """Whether the answer is the target."""
        return self.spoken is not None and self.spoken.text.casefold() == self.edit.target.strip().casefold()


@dataclass(frozen=True)
class Record:
    """What `EDITS` edits did. States are None where they could not be written, or an edit crashed before."""

    steps: tuple[Step, ...]
    early: Answers
    answers: Answers
    earlier_state: bytes | None
    state: bytes | None


class Subject:
    """An editor's class with its options, and what it is asked.

    load: gives the backbone; called again when an editor has left it in pieces.
    edits: `EDITS` + `SPARE` of them, with their probes.
    """

    def __init__(
        self,
        kind: type[Editor],
        load: Callable[[], Backbone],
        *,
        edits: Callable[[], Sequence[Edit]],
        options: Any = None,
        seed: int = 0,
    ) -> None:
        self.kind, self.options, self.seed = kind, options, seed
        self._load, self._edits = load, edits
        self._live: list[Editor] = []
        self._edited: Editor | None = None

    # What it works on

    @cached_property
    def _clean(self) -> Clean:
        return Clean(self._load, self._look)

    def _look(self, backbone: Backbone) -> Unedited:
        questions = self._asked(backbone, PICTURED)
        return Unedited(ask(backbone, backbone, questions), block_outputs(backbone, backbone, questions))

    @property
    def backbone(self) -> Backbone:
        """The backbone; another object once an editor has broken it for good."""
        return self._clean.backbone

    @cached_property
    def edits(self) -> Sequence[Edit]:
        """The edits and their probes."""
        return list(self._edits())

    @cached_property
    def tolerance(self) -> Tolerance:
        """How far equal numbers may lie apart."""
        return Tolerance.of(self.backbone)

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """With a picture: about the first edits, and what they must leave alone."""
        return self.unedited.questions

    @cached_property
    def text_questions(self) -> tuple[Question, ...]:
        """Without a picture."""
        return self._asked(self.backbone, WITHOUT)

    @property
    def unedited(self) -> Answers:
        """The backbone's own answers to `questions`, before any editor came."""
        return self._clean.unedited.answers

    @property
    def unedited_blocks(self) -> list[list[str]]:
        """See `block_outputs`, of the backbone alone."""
        return self._clean.unedited.blocks

    def _asked(self, backbone: Backbone, kinds: Sequence[str]) -> tuple[Question, ...]:
        """Everything about the first edits, and the question itself of one that follows."""
        return tuple(
            Question(Query(probe.image, probe.prompt), (*backbone.target_ids(probe.target), backbone.eos_id))
            for position, edit in enumerate(self.edits[: EARLY + 1])
            for probe in edit.probes
            if probe.kind in kinds and (position < EARLY or probe.kind == kinds[0])
        )

    # Editors

    def make(self) -> Editor:
        """A fresh editor over a clean backbone; all others have ended."""
        self.close()
        return self.beside()

    def close(self) -> None:
        """End all editors, and put the backbone back."""
        self._edited = None
        self._clean.put_back(self._live)
        self._live.clear()

    def beside(self) -> Editor:
        """A fresh editor; those that were made stay."""
        self._edited = None
        backbone = self.backbone
        seed_everything(self.seed)
        editor = self.kind(backbone, self.options, seed=self.seed)
        self._live.append(editor)
        return editor

    def prepare(self, position: int) -> None:
        """Set the random generators as before the edit at a position: a run keeps them in its state as well."""
        seed_everything(self.seed + position)

    def apply(self, editor: Editor, position: int) -> None:
        """Apply one edit as a run does."""
        edit = self.edits[position]
        self.prepare(position)
        editor.edit(EditRequest(edit.image, edit.prompt, edit.target))

    def try_edits(self, editor: Editor, *positions: int) -> None:
        """Apply edits, some of which may be refused."""
        for position in positions:
            with suppress(EditError):
                self.apply(editor, position)

    def left_behind(self) -> str | None:
        """In words, what of the backbone's weights is not as it was loaded; None when all is."""
        return self._clean.left_behind()

    def ask(self, editor: Editor, questions: Sequence[Question] | None = None) -> Answers:
        """The editor's answers to `questions`, as one batch."""
        return ask(editor, self.backbone, self.questions if questions is None else questions)

    def edited(self) -> Editor:
        """An editor after the edits of the record, to be looked at and not to be changed."""
        if self._edited is None:
            editor = self.make()
            self.try_edits(editor, *range(EDITS))
            self._edited = editor
        return self._edited

    def spoil(self) -> None:
        """The editor of `edited` is about to be changed: the next one who asks for it gets another."""
        self._edited = None

    @cached_property
    def record(self) -> Record:
        """The first edits, one after another."""
        editor = self.make()
        steps: list[Step] = []
        early = self.unedited
        earlier_state = None
        for position in range(EDITS):
            steps.append(self._step(editor, position))
            if steps[-1].error is not None and not isinstance(steps[-1].error, EditError):
                return Record(tuple(steps), early, early, None, None)
            if position + 2 == EARLY:
                earlier_state = _try_state(editor)
            if position + 1 == EARLY:
                early = self.ask(editor)
        record = Record(tuple(steps), early, self.ask(editor), earlier_state, _try_state(editor))
        self._edited = editor
        return record

    def _step(self, editor: Editor, position: int) -> Step:
        edit = self.edits[position]
        request = EditRequest(edit.image, edit.prompt, edit.target)
        path = (*self.backbone.target_ids(edit.target), self.backbone.eos_id)

        def own(decided: EditRequest | None) -> list[Question]:
            return [Question(editor.told(Query(edit.image, edit.prompt), decided), path)]

        before, state = self.ask(editor, own(None)), _try_state(editor)
        try:
            self.apply(editor, position)
        except Exception as error:
            return Step(edit, None, False, error)
        after = self.ask(editor, own(request))
        later = _try_state(editor)
        kept = state is None or later is None or same_state(state, later)
        acted = not (kept and same_answers(before, after))
        step = Step(edit, after.spoken[0], acted)
        return replace(step, acted=acted or step.took)


def same_answers(one: Answers, other: Answers) -> bool:
    """Whether every bit of the logits is the same."""
    return all(same_bits(before, after) for before, after in zip(one.logits, other.logits, strict=True))


def state_of(editor: Editor) -> bytes:
    """The state as a safetensors file. Raises `Fault` when it cannot be written as one."""
    given = cast("object", editor.state_dict())
    if not isinstance(given, Mapping):
        raise Fault(f"state_dict gives {type(given).__name__}; it must give tensors by name")
    tensors: dict[str, Tensor] = {}
    for name, tensor in cast("Mapping[object, object]", given).items():
        if not isinstance(tensor, Tensor):
            raise Fault(
                f"state_dict gives {type(tensor).__name__} under {name!r}; a safetensors file holds tensors only"
            )
        tensors[str(name)] = tensor.detach().to("cpu", copy=True).contiguous()
    return save(tensors)


def _try_state(editor: Editor) -> bytes | None:
    # The check of the state says what is wrong with it; others do without.
    try:
        return state_of(editor)
    except Exception:
        return None


def put_state(editor: Editor, state: bytes) -> None:
    """Load what `state_of` wrote, as a run does when it continues."""
    device = editor.backbone.device
    editor.load_state_dict({name: tensor.to(device) for name, tensor in load(state).items()})


def same_state(one: bytes, other: bytes) -> bool:
    """Whether two states hold the same tensors, bit for bit."""
    before, after = load(one), load(other)
    return before.keys() == after.keys() and all(same_bits(before[name], after[name]) for name in before)
