"""Where training stands: modules and Adam's moments in one safetensors file, written atomically."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ....errors import BenchError


class Checkpoint:
    """Saves and restores modules with their optimizer. Without a path it does nothing."""

    def __init__(self, path: Path | None, modules: nn.Module, optimizer: torch.optim.Adam) -> None:
        self._path, self._modules, self._optimizer = path, modules, optimizer

    def save(self, step: int, seconds: float) -> None:
        """Replace the file by the present state."""
        if self._path is None:
            return
        tensors: dict[str, Tensor] = {f"module.{name}": tensor for name, tensor in self._modules.state_dict().items()}
        for name, parameter in self._modules.named_parameters():
            for part, value in self._optimizer.state.get(parameter, {}).items():
                tensors[f"adam.{part}.{name}"] = value
        fresh = self._path.with_suffix(".part")
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()},
            fresh,
            metadata={"at": json.dumps([step, seconds])},
        )
        fresh.replace(self._path)

    def load(self) -> tuple[int, float]:
        """Restore what was saved; gives steps done and seconds spent, zeros where nothing was saved.

        Raises `BenchError` when the file is damaged or belongs to modules of another size.
        """
        if self._path is None or not self._path.is_file():
            return 0, 0.0
        try:
            with safe_open(self._path, "pt") as file:  # pyright: ignore[reportUnknownVariableType]
                step, seconds = json.loads(file.metadata()["at"])
            tensors = load_file(self._path)
            self._modules.load_state_dict(
                {name[7:]: tensor for name, tensor in tensors.items() if name.startswith("module.")}
            )
        except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise BenchError(
                f"{self._path} is no checkpoint of this training ({type(error).__name__}); "
                "give another --out or delete it"
            ) from error
        for name, parameter in self._modules.named_parameters():
            parts = ("step", "exp_avg", "exp_avg_sq")
            moments = {part: tensors[f"adam.{part}.{name}"] for part in parts if f"adam.{part}.{name}" in tensors}
            if moments:
                self._optimizer.state[parameter] = moments
        return int(step), float(seconds)
