"""FT-M: fine-tunes what stands between the vision side and the language model on each edit, one after another.

A baseline of LiveEdit (arXiv 2411.15432) and of MMEdit (arXiv 2310.08475): LLaVA's projector, the projection behind the
Q-Former of BLIP-2, InstructBLIP and MiniGPT-4; `Family.projector` names it for each family. There is no equation beyond
the likelihood of the target.

Departures: the end of the answer is learnt as well, because scores are free-running, and an edit ends as soon as the
target is spoken, as in `ft_l`. The Q-Former itself stays frozen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch

from ...errors import BenchError, EditError
from ..backbone import Backbone
from ..editor import Editor, EditRequest
from .target_loss import Learnt, answered, predicted
from .tuning import finite, trained, tune

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class FtMOptions:
    """How long and how hard each edit is trained: see `FtLOptions`."""

    lr: float = 1e-3
    max_steps: int = 100
    stop_loss: float = 2.0
    stop_margin: float | None = 0.05
    learn_end: bool = True


class FtM(Editor):
    """Adam on the projector; vision side and language model are frozen.

    An edit without a picture is refused: nothing that it reads can change.
    """

    name = "ft-m"
    Options = FtMOptions
    fixed_scores: ClassVar[Mapping[str, str]] = {
        "text_locality": "changes what pictures become; a question without one never meets it",
        "locality_no_image": "changes what pictures become; a question without one never meets it",
    }

    def __init__(self, backbone: Backbone, options: FtMOptions | None = None, *, seed: int = 0) -> None:
        super().__init__(backbone, options, seed=seed)
        modules = cast("list[nn.Module]", getattr(backbone, "projector", []))
        self._parameters = [parameter for module in modules for parameter in module.parameters()]
        if not self._parameters:
            raise BenchError(
                f"ft-m cannot edit {backbone.name}: nobody has said which module of it is the vision projector"
            )
        if not all(parameter.is_floating_point() for parameter in self._parameters):
            raise BenchError(f"ft-m cannot edit {backbone.name}: quantised weights cannot be trained")

    @torch.inference_mode(False)
    def edit(self, request: EditRequest) -> None:
        """Train until the target is spoken, or for `max_steps` steps."""
        if request.image is None:
            raise EditError("ft-m changes the vision projector, which an edit without a picture never meets")
        given: FtMOptions = self.options
        batch: Any = answered(self.backbone, [request], end=given.learn_end)
        with trained(self._parameters):
            tune(
                self._parameters,
                lambda: predicted(self.backbone.logits(batch), batch),
                lr=given.lr,
                max_steps=given.max_steps,
                learnt=Learnt(given.stop_loss, given.stop_margin),
            )
            if not finite(self._parameters):
                raise EditError(f"ft-m diverged on {request.prompt!r}; lower --option lr", kind="diverged")
