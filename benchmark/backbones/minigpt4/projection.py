"""The published checkpoint of MiniGPT-4: one linear layer from the Q-Former to the Llama.

It exists as a pickle alone (``prerained_minigpt4_7b.pth``, ``pretrained_minigpt4.pth``), and this is the one place of
the package that opens a pickle: with torch's own unpickler that builds tensors and plain values and refuses all else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from ....errors import BenchError

WEIGHT, BIAS = "llama_proj.weight", "llama_proj.bias"
_BUFFERS = ("position_ids", "inv_freq")
"""What training writes along although it is no weight: counts and frequencies that every model computes itself."""


@dataclass(frozen=True)
class Projection:
    """weight: [width of the Llama, width of the Q-Former]. bias: [width of the Llama]. sha256: of the file."""

    weight: Tensor
    bias: Tensor
    sha256: str


def read_projection(path: Path) -> Projection:
    """The layer from a published file, or from safetensors with the same two names.

    Raises `BenchError` for a file that is none, is damaged, or holds other weights as well.
    """
    tensors = _tensors(path)
    missing = [name for name in (WEIGHT, BIAS) if name not in tensors]
    if missing:
        held = ", ".join(sorted(tensors)[:3]) or "no tensors"
        raise BenchError(f"{path} lacks {' and '.join(missing)} (it holds {held}); give the checkpoint of MiniGPT-4")
    more = sorted(name for name in tensors if name not in (WEIGHT, BIAS) and not name.endswith(_BUFFERS))
    if more:
        raise BenchError(
            f"{path} holds {len(more)} tensors besides the projection, such as {more[0]}: it trained other parts too, "
            "which would be lost; give the published checkpoint, or put them into the folders of the parts"
        )
    weight, bias = tensors[WEIGHT], tensors[BIAS]
    if weight.dim() != 2 or bias.shape != weight.shape[:1]:
        raise BenchError(f"{path}: {WEIGHT} {list(weight.shape)} and {BIAS} {list(bias.shape)} make no linear layer")
    return Projection(weight, bias, _sha256(path))


def _tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise BenchError(f"no file {path}; give the checkpoint of MiniGPT-4")
    with path.open("rb") as file:
        start = file.read(4)
    archive = start.startswith(b"PK\x03\x04")
    if not archive and not start.startswith(b"\x80"):
        try:
            return _without_wrapping(cast(Any, safetensors.torch).load_file(path))
        except (SafetensorError, OSError) as error:
            raise BenchError(f"{path} is neither a checkpoint of torch nor safetensors; fetch it anew") from error
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except Exception as error:  # whatever the unpickler meets in a damaged file
        foreign = "weights_only" in str(error)
        why = "holds more than tensors and plain values, which are not opened" if foreign else "is damaged"
        mend = f"where you trust it, write {WEIGHT} and {BIAS} to safetensors" if foreign else "fetch it anew"
        raise BenchError(f"{path} {why}; {mend}") from error
    inner: Any = cast("Mapping[str, Any]", found).get("model", found) if isinstance(found, Mapping) else None
    if not isinstance(inner, Mapping):
        raise BenchError(f"{path} holds no tensors by name; give the checkpoint of MiniGPT-4")
    named = cast("Mapping[str, Any]", inner)
    return _without_wrapping({name: value for name, value in named.items() if isinstance(value, Tensor)})


def _without_wrapping(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Training on several devices puts ``module.`` before every name."""
    return {name.removeprefix("module."): value for name, value in tensors.items()}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
