"""What the decoder sees of each picture, remembered for as long as it cannot have changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from .cache import ByteCache
from .encoding import Pixels
from .pristine import PristineWeights

FEATURE_CACHE_BYTES = 512 * 2**20


def _acts(hook: object) -> bool:
    """Whether a hook may change something: those that transformers leaves behind to collect hidden states do not."""
    return getattr(hook, "__module__", None) != "transformers.utils.output_capturing"


class FeatureCache:
    """Projected features by picture, for models whose vision side is a child of their base model beside the decoder.

    The cache holds features of the pristine vision side only, and is passed by whenever that side
    differs from its pristine weights, trains, or carries a hook. Each picture goes through alone:
    kernels round differently in batches, and a picture's features must not depend on its company.
    """

    def __init__(self, model: nn.Module, decoder: nn.Module, pristine: PristineWeights) -> None:
        self._model: Any = model
        self._decoder = decoder
        self._entries: ByteCache[Tensor] = ByteCache(FEATURE_CACHE_BYTES)
        prefix = f"{self._model.base_model_prefix}."
        device = next(model.parameters()).device
        self._pristine = {
            name: {
                key.removeprefix(f"{prefix}{name}."): value.to(device)
                for key, value in pristine.weights.items()
                if key.startswith(f"{prefix}{name}.")
            }
            for name, _ in self._vision_side()
        }

    def _vision_side(self) -> Iterator[tuple[str, nn.Module]]:
        """Looked up afresh each time, since editors may replace modules."""
        children: list[tuple[str, nn.Module]] = list(self._model.base_model.named_children())
        return ((name, child) for name, child in children if child is not self._decoder)

    def _is_pristine(self) -> bool:
        for name, part in self._vision_side():
            for module in cast("Iterator[Any]", part.modules()):
                if module.training or any(
                    map(_acts, (*module._forward_hooks.values(), *module._forward_pre_hooks.values()))
                ):
                    return False
            expected = self._pristine.get(name, {})
            found = dict(part.named_parameters())
            if found.keys() != expected.keys():
                return False
            for key, parameter in found.items():
                if parameter.requires_grad or not torch.equal(parameter, expected[key]):
                    return False
        return True

    @torch.inference_mode(False)
    @torch.no_grad()
    def get(self, keys: Sequence[str], pixels: Sequence[Pixels]) -> list[Tensor] | None:
        """Features [image tokens, hidden_size] of each picture, or None when they must be computed by the model."""
        if not keys or not self._is_pristine():
            return None
        features: list[Tensor] = []
        for key, picture in zip(keys, pixels, strict=True):
            known = self._entries.get(key)
            if known is None:
                values = picture.inputs["pixel_values"].to(self._model.device, self._model.dtype)
                known = self._model.base_model.get_image_features(pixel_values=values, return_dict=True).pooler_output[
                    0
                ]
                self._entries.put(key, known, known.nbytes)
            features.append(known)
        return features

    def clear(self) -> None:
        """Forget every picture."""
        self._entries.clear()
