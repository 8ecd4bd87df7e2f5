"""The expert repository: grows in place, one row per edit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .modules import Architecture, Experts

_PARTS = ("phi", "psi", "keys", "values")


class Repository:
    """Experts of all edits so far, in buffers that double when full, so that adding one is O(1) on average."""

    def __init__(self, shape: Architecture, device: torch.device, dtype: torch.dtype) -> None:
        feature, expert = (shape.slots, shape.width), (shape.rank, shape.hidden_size)
        self._sizes = {"phi": feature, "psi": feature, "keys": expert, "values": expert}
        self._device, self._dtype = device, dtype
        self.clear()

    # Buffers made in inference mode could not be written to outside it.
    @torch.inference_mode(False)
    def clear(self) -> None:
        """Forget everything."""
        self._count = 0
        self._buffers = {part: self._room(part, 16) for part in _PARTS}

    def __len__(self) -> int:
        return self._count

    @torch.inference_mode(False)
    @torch.no_grad()
    def add(self, experts: Experts) -> None:
        """Append the rows of `experts`."""
        extra = len(experts.phi)
        room = len(self._buffers["phi"])
        if self._count + extra > room:
            room = max(2 * room, self._count + extra)
            for part, buffer in self._buffers.items():
                grown = self._room(part, room)
                grown[: self._count] = buffer[: self._count]
                self._buffers[part] = grown
        for part in _PARTS:
            self._buffers[part][self._count : self._count + extra] = getattr(experts, part)
        self._count += extra

    @property
    def experts(self) -> Experts:
        """Views of the filled rows."""
        return Experts(**{part: self._buffers[part][: self._count] for part in _PARTS})

    @property
    def state_bytes(self) -> int:
        """Bytes of the filled rows."""
        return sum(buffer[: self._count].numel() * buffer.element_size() for buffer in self._buffers.values())

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of the filled rows, by part."""
        return {part: self._buffers[part][: self._count].clone() for part in _PARTS}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Replace everything by what `state_dict` gave."""
        self.clear()
        self.add(Experts(**{part: state[part].to(self._device, self._dtype) for part in _PARTS}))

    def _room(self, part: str, count: int) -> Tensor:
        return torch.empty(count, *self._sizes[part], device=self._device, dtype=self._dtype)
