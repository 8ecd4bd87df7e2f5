"""Editor state and random states in one safetensors file, so that both are always of the same step."""

from __future__ import annotations

import json
from typing import Any, cast

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..benchmark.editor import Editor
from ..errors import BenchError
from .folder import RunFolder
from .randomness import RandomState, put_back, snapshot

_EDITOR, _TORCH, _CUDA = "editor/", "random/torch", "random/cuda/"


def save_state(folder: RunFolder, editor: Editor, *, position: int) -> None:
    """Write what `position` edits have made of the editor."""
    random = snapshot()
    tensors = {_EDITOR + name: _plain(tensor) for name, tensor in editor.state_dict().items()}
    tensors[_TORCH] = random.torch
    for index, generator in enumerate(random.cuda):
        tensors[f"{_CUDA}{index}"] = generator
    words = {
        "position": position,
        "python": random.python,
        "numpy": {**random.numpy, "state": {**random.numpy["state"], "key": random.numpy["state"]["key"].tolist()}},
    }
    folder.write(folder.state, save(tensors, metadata={"state": json.dumps(words, allow_nan=False)}))


def load_state(folder: RunFolder, editor: Editor) -> int:
    """Put editor and random states back. Returns the number of edits they stand for.

    Raises `BenchError` when the file is damaged.
    """
    try:
        with cast("Any", safe_open)(folder.state, framework="pt") as file:
            words: dict[str, Any] = json.loads(file.metadata()["state"])
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        numpy = words["numpy"]
        numpy["state"]["key"] = np.array(numpy["state"]["key"], dtype=np.uint32)
        version, internal, gauss = words["python"]
        random = RandomState(
            python=(version, tuple(internal), gauss),
            numpy=numpy,
            torch=tensors.pop(_TORCH),
            cuda=tuple(tensors.pop(name) for name in sorted(tensors) if name.startswith(_CUDA)),
        )
        position = int(words["position"])
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{folder.state} is damaged ({error}); start over with --fresh") from error
    device = editor.backbone.device
    try:
        editor.load_state_dict({name.removeprefix(_EDITOR): tensor.to(device) for name, tensor in tensors.items()})
    except BenchError:
        raise
    except Exception as error:
        raise BenchError(
            f"{folder.state} does not fit editor {editor.name!r} ({type(error).__name__}: {error}); "
            "start over with --fresh"
        ) from error
    put_back(random)
    return position


def _plain(tensor: Tensor) -> Tensor:
    # safetensors refuses views and shared memory.
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
