"""What the decoder sees of each picture, remembered for as long as it cannot have changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from .cache import ByteCache
from .pristine import PristineWeights, same_bits

FEATURE_CACHE_BYTES = 512 * 2**20


def _acts(hook: object) -> bool:
    """Whether a hook may change something: those that transformers leaves behind to collect hidden states do not."""
    return getattr(hook, "__module__", None) != "transformers.utils.output_capturing"


def _busy(module: Any) -> bool:
    hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    return bool(module.training) or any(map(_acts, hooks))


class FeatureCache:
    """Rows of the decoder's input by picture, for families in which they depend on nothing else.

    The cache holds rows of the pristine vision side only (all but the decoder and the output head), and is passed by
    whenever that side differs from its pristine weights, trains, or carries a hook. Each picture goes through alone:
    kernels round differently in batches, and a picture's rows must not depend on its company.
    """

    def __init__(self, model: nn.Module, decoder: nn.Module, pristine: PristineWeights) -> None:
        self._model = model
        self._decoder = decoder
        self._head: nn.Module | None = cast(Any, model).get_output_embeddings()
        self._entries: ByteCache[Tensor] = ByteCache(FEATURE_CACHE_BYTES)
        known = {**pristine.weights, **pristine.buffers}
        self._pristine = {name: known.get(name, value).to(value.device) for name, value in self._tensors()}

    def _vision_side(self, parent: nn.Module | None = None, prefix: str = "") -> Iterator[tuple[str, nn.Module, bool]]:
        """Name, module and whether its children belong to it, looked up afresh since editors may replace modules."""
        parent = self._model if parent is None else parent
        yield prefix, parent, False
        for name, child in parent.named_children():
            if child is self._decoder or child is self._head:
                continue
            if any(inner is self._decoder for inner in child.modules()):
                yield from self._vision_side(child, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}.", child, True

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for prefix, module, whole in self._vision_side():
            for name, value in (*module.named_parameters(recurse=whole), *module.named_buffers(recurse=whole)):
                yield prefix + name, value

    def _is_pristine(self) -> bool:
        for _, part, whole in self._vision_side():
            if whole and any(map(_busy, part.modules())):
                return False
        found = dict(self._tensors())
        if found.keys() != self._pristine.keys():
            return False
        return not any(
            value.requires_grad or not same_bits(value, self._pristine[name]) for name, value in found.items()
        )

    @torch.inference_mode(False)
    @torch.no_grad()
    def get(self, keys: list[str], compute: Callable[[int], Tensor]) -> list[Tensor] | None:
        """Rows of each picture; ``compute(i)`` gives those of an unknown one. None: the model must compute them all."""
        if not self._is_pristine():
            return None
        features: list[Tensor] = []
        for index, key in enumerate(keys):
            known = self._entries.get(key)
            if known is None:
                known = compute(index)
                self._entries.put(key, known, known.nbytes)
            features.append(known)
        return features

    def clear(self) -> None:
        """Forget every picture."""
        self._entries.clear()
