"""LoRA: low-rank updates beside frozen weights, fine-tuned on each edit, one after another (arXiv 2106.09685).

A projection W x becomes W x + (alpha / rank) B A x (equation 3); A begins random and B at zero, so that nothing changes
before the first edit. As in the paper the attention's query and value projections are adapted. The layers are those of
`peft`; one adapter serves the whole stream and goes on from where the edit before left it.

Departures: an edit ends as soon as its target is spoken, as in `ft_l`; no dropout, since an edit is a single example.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from ...errors import BenchError, EditError
from ..backbone import Backbone
from ..backbones.family import decoder_of
from ..editor import Editor, EditRequest
from .target_loss import Learnt, answered, predicted
from .tuning import finite, trained, tune


@dataclass(frozen=True)
class LoraOptions:
    """The shape of the adapter, and how long and how hard each edit is trained (see `FtLOptions`).

    modules: names of the projections that are adapted, in every decoder block.
    """

    rank: int = 8
    alpha: float = 16.0
    modules: tuple[str, ...] = ("q_proj", "v_proj")
    lr: float = 1e-3
    max_steps: int = 100
    stop_loss: float = 2.0
    stop_margin: float | None = 0.05
    learn_end: bool = True


class Lora(Editor):
    """Adam on the adapter. Between edits nothing is merged: the pristine weights stay where they are."""

    name = "lora"
    Options = LoraOptions

    def __init__(self, backbone: Backbone, options: LoraOptions | None = None, *, seed: int = 0) -> None:
        super().__init__(backbone, options, seed=seed)
        if importlib.util.find_spec("peft") is None:
            raise BenchError("editor 'lora' needs peft, which is not installed: pip install 'liveedit-bench[lora]'")
        self._decoder: nn.Module = decoder_of(backbone.model)
        wanted = set(self.options.modules)
        known = {name.rpartition(".")[2] for name, each in self._inside() if hasattr(each, "in_features")}
        if not wanted or wanted - known:
            raise BenchError(
                f"lora cannot edit {backbone.name}: its decoder has no projection {', '.join(sorted(wanted - known))}; "
                f"give --option modules= some of {', '.join(sorted(known))}"
            )

    @torch.inference_mode(False)
    def edit(self, request: EditRequest) -> None:
        """Train until the target is spoken, or for `max_steps` steps."""
        given: LoraOptions = self.options
        batch = answered(self.backbone, [request], end=given.learn_end)
        first = not self._adapter()
        if first:
            self._hang()
        weights = list(self._adapter().values())
        try:
            with trained(weights):
                tune(
                    weights,
                    lambda: predicted(self.backbone.logits(batch), batch),
                    lr=given.lr,
                    max_steps=given.max_steps,
                    learnt=Learnt(given.stop_loss, given.stop_margin),
                )
                if not finite(weights):
                    raise EditError(f"lora diverged on {request.prompt!r}; lower --option lr", kind="diverged")
        except BaseException:
            if first:
                self._take_down()
            raise

    def reset(self) -> None:
        """Take the adapter down; what is below it was never touched."""
        self._take_down()
        super().reset()

    def state_dict(self) -> dict[str, Tensor]:
        """The adapter's matrices, none before the first edit."""
        return {name: weight.detach().clone() for name, weight in self._adapter().items()}

    @torch.inference_mode(False)
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what `state_dict` gave."""
        self.reset()
        if not state:
            return
        self._hang()
        weights = self._adapter()
        if weights.keys() != state.keys():
            self._take_down()
            raise BenchError("this state belongs to an adapter of other modules, or to another backbone")
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(state[name])

    def _adapter(self) -> dict[str, nn.Parameter]:
        return {name: weight for name, weight in self._decoder.named_parameters() if ".lora_" in name}

    def _hang(self) -> None:
        """Put a fresh adapter beside the projections, in float32 whatever the backbone is."""
        import peft

        given: LoraOptions = self.options
        config = peft.LoraConfig(
            r=given.rank, lora_alpha=cast(Any, given.alpha), target_modules=list(given.modules), lora_dropout=0.0
        )
        with cast(Any, torch.random).fork_rng(devices=[]):
            cast(Any, peft).inject_adapter_in_model(config, self._decoder)
        dice = torch.Generator().manual_seed(self.seed)
        for name, weight in self._adapter().items():
            weight.data = weight.data.float()
            weight.requires_grad_(False)
            if ".lora_A." in name:  # as the paper's code: kaiming uniform with a = sqrt(5)
                reach = 1 / math.sqrt(weight.shape[1])
                weight.data.copy_((2 * torch.rand(weight.shape, generator=dice) - 1) * reach)
            else:
                weight.data.zero_()

    def _take_down(self) -> None:
        """Put the bare projections back, whoever hung an adapter beside them."""
        from peft.tuners.tuners_utils import BaseTunerLayer

        for name, module in self._inside():
            if isinstance(module, BaseTunerLayer):
                parent, _, own = name.rpartition(".")
                setattr(self._decoder.get_submodule(parent), own, cast(Any, module).get_base_layer())
        vars(self._decoder).pop("peft_config", None)

    def _inside(self) -> list[tuple[str, nn.Module]]:
        """Every module of the decoder by name."""
        return list(cast(Any, self._decoder).named_modules())
