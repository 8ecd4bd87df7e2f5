"""Scales of quantised layers (bitsandbytes): kept beside the parameters, which mean nothing without them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from torch import Tensor, nn


def scales(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every tensor that turns stored integers into weights, by name. Nothing for a model that is not quantised."""
    for prefix, module in cast("Iterator[tuple[str, Any]]", model.named_modules()):
        weight: Any = getattr(module, "weight", None)
        # Eight bits: a scale per row, moved from the weight into the layer's state by its first forward pass.
        for holder in (weight, getattr(module, "state", None)):
            rows = getattr(holder, "SCB", None)
            if isinstance(rows, Tensor):
                yield f"{prefix}.weight.SCB", rows
                break
        # Four bits: a scale per block, itself quantised where that was asked for.
        state: Any = getattr(weight, "quant_state", None)
        for name, part in (("quant_state", state), ("quant_state.nested", getattr(state, "state2", None))):
            for field in ("absmax", "code", "offset"):
                value = getattr(part, field, None)
                if isinstance(value, Tensor):
                    yield f"{prefix}.weight.{name}.{field}", value
