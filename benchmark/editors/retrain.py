"""The bound on editors that change weights: all edits so far learnt together, with every one of them still at hand.

To train anew from f_0 after each edit would take the square of a stream's length. Here training goes on from where the
last edit left it, and each step replays old edits beside the new one, those first that were last seen unlearnt; it ends
when a whole such batch is learnt. No optimiser state is carried over.

What it may use that a method may not: an editor of a lifelong stream is not meant to keep all its data and train on it
again. It is told nothing else, so it is no bound on generality or locality: nothing but the edits is trained on.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch

from ...errors import BenchError, EditError
from ..backbone import Backbone
from ..editor import Editor, EditRequest
from .memory import as_tensors, from_tensors
from .target_loss import Learnt, Predicted, answered, margins, predicted
from .tuning import finite, trained, tune

if TYPE_CHECKING:
    from torch import Tensor

_WEIGHT, _UNLEARNT = "weights/", "unlearnt"


@dataclass(frozen=True)
class RetrainOptions:
    """batch: edits per step, the new one among them. The rest as in `FtLOptions`, for a batch at a time."""

    batch: int = 8
    lr: float = 3e-4
    max_steps: int = 50
    stop_loss: float = 2.0
    stop_margin: float | None = 0.5


class Retrain(Editor):
    """Adam on all weights of the decoder's blocks."""

    name = "retrain"
    Options = RetrainOptions
    bound = True

    def __init__(self, backbone: Backbone, options: RetrainOptions | None = None, *, seed: int = 0) -> None:
        super().__init__(backbone, options, seed=seed)
        if self.options.batch < 1:
            raise BenchError(f"--option batch={self.options.batch} trains on nothing; give 1 or more")
        self._weights = [weight for block in backbone.layers for weight in block.parameters()]
        if not all(weight.is_floating_point() for weight in self._weights):
            raise BenchError(f"retrain cannot edit {backbone.name}: quantised weights cannot be trained")
        self._edits: list[EditRequest] = []
        self._unlearnt: set[int] = set()
        """Positions of edits that were not learnt when last seen."""

    @torch.inference_mode(False)
    def edit(self, request: EditRequest) -> None:
        """Train until a batch of the new edit and old ones is learnt, or for `max_steps` steps."""
        given: RetrainOptions = self.options
        kept = [index for index, edit in enumerate(self._edits) if not _same_question(edit, request)]
        edits = [*(self._edits[index] for index in kept), request]
        unlearnt = {new for new, old in enumerate(kept) if old in self._unlearnt}
        dice = random.Random(f"{self.seed} {len(edits)} {request.prompt}")

        def forward() -> Predicted:
            chosen = self._draw(dice, len(edits), unlearnt)
            batch: Any = answered(self.backbone, [edits[index] for index in chosen])
            found = predicted(self.backbone.logits(batch), batch)
            self._note(found, batch.answer_mask, chosen, unlearnt)
            return found

        with trained(self._weights):
            tune(
                self._weights,
                forward,
                lr=given.lr,
                max_steps=given.max_steps,
                learnt=Learnt(given.stop_loss, given.stop_margin),
            )
            if not finite(self._weights):
                raise EditError(f"retrain diverged on {request.prompt!r}; lower --option lr", kind="diverged")
        self._edits, self._unlearnt = edits, unlearnt

    def reset(self) -> None:
        """Forget all edits."""
        super().reset()
        self._edits, self._unlearnt = [], set()

    def state_dict(self) -> dict[str, Tensor]:
        """The weights that differ, all edits, and which of them were last seen unlearnt."""
        if not self._edits:
            return {}
        weights = {_WEIGHT + name: weight for name, weight in self.backbone.changed_weights().items()}
        unlearnt = torch.tensor(sorted(self._unlearnt), dtype=torch.int64)
        return {**weights, **as_tensors(self._edits), _UNLEARNT: unlearnt}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what `state_dict` gave."""
        self.reset()
        if not state:
            return
        self.backbone.load_weights(
            {name.removeprefix(_WEIGHT): weight for name, weight in state.items() if name.startswith(_WEIGHT)}
        )
        self._edits = from_tensors(state)
        self._unlearnt = {int(index) for index in state[_UNLEARNT]}

    def _draw(self, dice: random.Random, count: int, unlearnt: set[int]) -> list[int]:
        """The newest edit, then unlearnt ones, then any, each at most once."""
        newest, room = count - 1, min(self.options.batch, count) - 1
        pressing = sorted(unlearnt - {newest})
        chosen = dice.sample(pressing, min(room, len(pressing)))
        others = [index for index in range(newest) if index not in set(chosen)]
        return [newest, *chosen, *dice.sample(others, room - len(chosen))]

    def _note(self, found: Predicted, answers: Tensor, chosen: list[int], unlearnt: set[int]) -> None:
        """Which edits of a batch are spoken. answers: [B, T], true at their tokens."""
        good = margins(found) >= (self.options.stop_margin or 0.0)
        lengths: list[int] = cast(Any, answers.sum(dim=1)).tolist()
        for index, tokens in zip(chosen, cast(Any, good).split(lengths), strict=True):
            (unlearnt.discard if bool(tokens.all()) else unlearnt.add)(index)


def _same_question(one: EditRequest, other: EditRequest) -> bool:
    """Of two edits of one picture and prompt the newer stands."""
    return one.prompt == other.prompt and one.image == other.image
