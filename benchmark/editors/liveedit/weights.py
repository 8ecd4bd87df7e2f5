"""Trained modules on disk: safetensors whose header says what they are, and for which backbone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from ....errors import BenchError
from .modules import Architecture, LiveEditModules

SHIPPED = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class TrainedModules:
    """Modules with their history. `trained_on` lists streams (dataset, split, seed, edits, sha256)."""

    modules: LiveEditModules
    backbone: str
    backbone_sha256: str
    trained_on: list[dict[str, Any]]
    train_seconds: float
    options: dict[str, Any]
    sha256: str = ""

    def save(self, path: Path) -> None:
        """Write one safetensors file, atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        header = {
            "architecture": json.dumps(asdict(self.modules.shape)),
            "backbone": self.backbone,
            "backbone_sha256": self.backbone_sha256,
            "trained_on": json.dumps(self.trained_on),
            "train_seconds": f"{self.train_seconds:.1f}",
            "options": json.dumps(self.options),
        }
        part = path.with_suffix(".part")
        save_file(
            {name: tensor.contiguous() for name, tensor in self.modules.state_dict().items()}, part, metadata=header
        )
        part.replace(path)

    @classmethod
    def load(cls, path: Path, *, backbone: str, backbone_sha256: str) -> TrainedModules:
        """Read what `save` wrote.

        Raises `BenchError` when there is no such file, it is damaged, or it was trained for another backbone.
        """
        if not path.is_file():
            raise BenchError(
                f"liveedit has no trained modules for backbone {backbone} ({path.name} is not there); "
                "train them with `liveedit-bench train --editor liveedit` and pass --option weights=FILE"
            )
        try:
            with safe_open(path, "pt") as file:  # pyright: ignore[reportUnknownVariableType]
                header: dict[str, str] = file.metadata() or {}
            modules = LiveEditModules(Architecture(**json.loads(header["architecture"])))
            modules.load_state_dict(load_file(path))
        except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
            raise BenchError(
                f"{path} holds no LiveEdit modules ({type(error).__name__}); train them again or fetch the file anew"
            ) from error
        if header["backbone_sha256"] != backbone_sha256:
            raise BenchError(
                f"{path.name} was trained for another backbone ({header['backbone']}, weights "
                f"{header['backbone_sha256'][:12]}, here {backbone} {backbone_sha256[:12]}); "
                "train LiveEdit for this one with `liveedit-bench train --editor liveedit`"
            )
        return cls(
            modules=modules,
            backbone=header["backbone"],
            backbone_sha256=header["backbone_sha256"],
            trained_on=json.loads(header["trained_on"]),
            train_seconds=float(header["train_seconds"]),
            options=json.loads(header["options"]),
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
