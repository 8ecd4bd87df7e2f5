"""The weights a backbone was loaded with: their name, the way back to them, and what differs from them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor, nn

from ...errors import BenchError
from .quantised import scales

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def _bits(tensor: Tensor) -> Tensor:
    """The tensor's bits as integers, so that NaN equals itself and -0.0 differs from 0.0."""
    return tensor.detach().contiguous().view(_INTEGERS[tensor.element_size()])


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors agree in shape, dtype and every bit."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.equal(_bits(one), _bits(other))


class PristineWeights:
    """A copy, on the CPU, of all parameters and buffers of `model` as they are now.

    Buffers (rotary frequencies, scales of embeddings, what a quantised layer keeps beside its weights) are put back
    as well, but have no part in `sha256`: files hold parameters.

    Nothing here trusts version counters: writing through ``parameter.data`` leaves them as they
    are, and editors do write so. Comparing bits costs a millisecond per few million parameters.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.weights = {name: parameter.detach().cpu().clone() for name, parameter in model.named_parameters()}
        self._scales = {name: value.detach().cpu().clone() for name, value in scales(model)}
        self.buffers = {name: buffer.detach().cpu().clone() for name, buffer in model.named_buffers()}

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the names, shapes, dtypes and bytes of all parameters, in the order of their names.

        Of quantised layers the integers as loaded, and after all parameters their scales.
        """
        digest = hashlib.sha256()
        for name, tensor in (*sorted(self.weights.items()), *sorted(self._scales.items())):
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            digest.update(_bits(tensor).numpy().tobytes())
        return digest.hexdigest()

    @torch.inference_mode(False)
    @torch.no_grad()
    def restore(self) -> None:
        """Put every parameter back, bit for bit, frozen and without a gradient.

        Raises `BenchError` when parameters were added or renamed (an editor that wraps modules unwraps them itself).
        """
        current = dict(self._model.named_parameters())
        if current.keys() != self.weights.keys():
            odd = sorted(current.keys() ^ self.weights.keys())
            raise BenchError(
                f"the backbone cannot be restored: parameter {odd[0]!r} was added or removed by the editor; "
                "its reset() must put the original modules back first"
            )
        for name, parameter in current.items():
            pristine = self.weights[name]
            if parameter.shape == pristine.shape and parameter.dtype == pristine.dtype:
                parameter.copy_(pristine)
            else:
                parameter.data = pristine.to(parameter.device, copy=True)
            parameter.requires_grad_(False)
            parameter.grad = None
        beside = {**self.buffers, **self._scales}
        for name, value in (*self._model.named_buffers(), *scales(self._model)):
            pristine = beside.get(name)
            if pristine is not None and value.shape == pristine.shape and not same_bits(value.cpu(), pristine):
                value.copy_(pristine)

    def changed(self) -> dict[str, Tensor]:
        """Copies, on the CPU, of the parameters that differ from the pristine ones in any bit."""
        changed: dict[str, Tensor] = {}
        for name, parameter in self._model.named_parameters():
            current = parameter.detach().cpu()
            if name not in self.weights or not same_bits(current, self.weights[name]):
                changed[name] = current.clone()
        return changed

    @torch.inference_mode(False)
    @torch.no_grad()
    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Overwrite the named parameters in place. Raises `BenchError` on an unknown name or another shape."""
        current = dict(self._model.named_parameters())
        for name, tensor in weights.items():
            if name not in current:
                raise BenchError(f"the backbone has no parameter {name!r}: this state belongs to another backbone")
            if current[name].shape != tensor.shape:
                raise BenchError(
                    f"parameter {name!r} has shape {list(current[name].shape)} and the state holds "
                    f"{list(tensor.shape)}: this state belongs to another backbone"
                )
        for name, tensor in weights.items():
            current[name].copy_(tensor)
