"""FT-L: fine-tunes the down-projection of the last decoder block on each edit, one after another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import torch

from ...errors import BenchError, EditError
from ..backbone import Backbone, Batch
from ..backbones.family import decoder_of
from ..editor import Editor, EditRequest
from ..options import LATER
from .target_loss import Learnt, Predicted, answered
from .tuning import finite, tune

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class FtLOptions:
    """How long and how hard each edit is trained.

    stop_loss: training ends once the mean negative log likelihood of the target and its end is at most this, and ...
    stop_margin: ... each of these tokens beats every other by this many logits: greedy decoding then speaks the target;
        ``none`` leaves it to the loss alone.
    learn_end: the loss includes the end of the answer, because scores are free-running.

    FT_VL of the released LiveEdit code is ``lr=0.006 max_steps=25 stop_loss=0.01 stop_margin=none learn_end=false``
    (its rate is set for each model), compared in ``docs/parity.md``.
    """

    lr: float = 1e-3
    max_steps: int = 100
    stop_loss: float = 2.0
    stop_margin: float | None = 0.05
    learn_end: bool = field(default=True, metadata=LATER)


@dataclass(frozen=True)
class Inputs:
    """All that the trained projection needs to know of the frozen rest, at the positions that predict the target.

    inner: [N, intermediate] what the projection is applied to; residual: [N, hidden] what its output is added to;
    labels: [N] token ids; logits: [N, vocabulary] of the model as it is.
    """

    inner: Tensor
    residual: Tensor
    labels: Tensor
    logits: Tensor


class FtL(Editor):
    """Adam on one matrix. Everything below it is frozen, so its inputs are computed once per edit.

    Loss: mean negative log likelihood of the target's tokens and the end of the answer, given picture and prompt.
    """

    name = "ft-l"
    Options = FtLOptions

    def __init__(self, backbone: Backbone, options: FtLOptions | None = None, *, seed: int = 0) -> None:
        super().__init__(backbone, options, seed=seed)
        self.first_layer_touched = len(backbone.layers) - 1
        model = cast(Any, backbone.model)
        block = cast(Any, backbone.layers[-1])
        try:
            self._projection: Any = block.fc2 if hasattr(block, "fc2") else block.mlp.down_proj
            decoder = decoder_of(model)
            self._norm: Any = decoder.final_layer_norm if hasattr(decoder, "final_layer_norm") else decoder.norm
            self._head: Any = model.get_output_embeddings()
        except AttributeError as error:
            raise BenchError(
                f"ft-l cannot edit {backbone.name}: its decoder is not built like Llama ({error})"
            ) from error
        if not self._projection.weight.is_floating_point():
            raise BenchError(f"ft-l cannot edit {backbone.name}: quantised weights cannot be trained")
        self._after: Any = getattr(block, "post_feedforward_layernorm", None)
        """Gemma's, between the projection and the residual."""
        self._tail_checked = False

    @torch.inference_mode(False)
    def edit(self, request: EditRequest) -> None:
        """Train until the target is spoken, or for `max_steps` steps."""
        given: FtLOptions = self.options
        inputs = self.inputs(answered(self.backbone, [request], end=given.learn_end))
        weight = self._projection.weight.detach().float().clone().requires_grad_(True)
        tune(
            [weight],
            lambda: Predicted(self._tail(inputs, weight), inputs.labels),
            lr=given.lr,
            max_steps=given.max_steps,
            learnt=Learnt(given.stop_loss, given.stop_margin),
        )
        if not finite([weight]):
            raise EditError(f"ft-l diverged on {request.prompt!r}; lower --option lr", kind="diverged")
        with torch.no_grad():
            self._projection.weight.copy_(weight)

    @torch.inference_mode(False)
    @torch.no_grad()
    def inputs(self, batch: Batch) -> Inputs:
        """Run the model once and keep what reaches the projection. The answers of `batch` are the labels."""
        kept: dict[str, Tensor] = {}

        def at_projection(_module: object, args: tuple[Tensor, ...], output: Tensor) -> None:
            kept["inner"], kept["update"] = args[0], output

        def at_block(_module: object, _args: object, output: Tensor | tuple[Tensor, ...]) -> None:
            kept["hidden"] = output[0] if isinstance(output, tuple) else output

        handles = [
            self._projection.register_forward_hook(at_projection),
            cast(Any, self.backbone.layers[-1]).register_forward_hook(at_block),
        ]
        try:
            logits = self.backbone.logits(batch)
        finally:
            for handle in handles:
                handle.remove()
        rows, columns = cast(Any, batch.answer_mask).nonzero(as_tuple=True)
        before = columns - 1
        shape = batch.input_ids.shape  # OPT's projection sees all rows as one
        inner, update = (kept[name].view(*shape, -1) for name in ("inner", "update"))
        added = update if self._after is None else self._after(update)
        inputs = Inputs(
            inner=inner[rows, before].float(),
            residual=(kept["hidden"] - added)[rows, before].float(),
            labels=batch.input_ids[rows, columns],
            logits=logits[rows, before],
        )
        self._check_tail(inputs)
        return inputs

    def _tail(self, inputs: Inputs, weight: Tensor) -> Tensor:
        """[N, vocabulary]: the rest of the model after the projection."""
        update = inputs.inner @ weight.T
        if self._projection.bias is not None:
            update = update + self._projection.bias.float()
        hidden = inputs.residual + (update if self._after is None else self._after(update))
        return self._head(self._norm(hidden.to(self._head.weight.dtype))).float()

    def _check_tail(self, inputs: Inputs) -> None:
        """Once: what is trained must be what the model computes."""
        if self._tail_checked:
            return
        gap = float((self._tail(inputs, self._projection.weight.float()) - inputs.logits).abs().max())
        loose = self._head.weight.dtype != torch.float32
        if gap > (0.5 if loose else 1e-3):
            raise BenchError(
                f"ft-l cannot edit {self.backbone.name}: its logits are not those of norm and head over the last block "
                f"(they differ by {gap:.2g})"
            )
        self._tail_checked = True
