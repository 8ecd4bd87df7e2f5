"""Trained modules on disk: safetensors whose header says what they are, and for which backbone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from ....errors import BenchError
from .modules import Architecture, LiveEditModules

SHIPPED = Path(__file__).parent / "weights"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: dict[str, str]) -> None:
    """One safetensors file with a header of texts, written atomically."""
    part = path.with_suffix(".part")
    plain = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    cast(Any, safetensors.torch).save_file(plain, part, metadata=header)
    part.replace(path)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """What `write_tensors` wrote. Raises `SafetensorError` or `OSError` when the file cannot be read."""
    with cast(Any, safetensors).safe_open(path, "pt") as file:
        header: dict[str, str] = file.metadata() or {}
    return cast(Any, safetensors.torch).load_file(path), header


@dataclass(frozen=True)
class TrainedModules:
    """Modules with their history. `trained_on` lists streams (dataset, split, seed, edits, sha256).

    An empty `backbone_sha256` (a converted checkpoint does not say what it was trained for) fits every backbone of its
    sizes.
    """

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
        write_tensors(path, self.modules.state_dict(), header)

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
        trained = cls.read(path)
        if trained.backbone_sha256 not in ("", backbone_sha256):
            raise BenchError(
                f"{path.name} was trained for another backbone ({trained.backbone}, weights "
                f"{trained.backbone_sha256[:12]}, here {backbone} {backbone_sha256[:12]}); "
                "train LiveEdit for this one with `liveedit-bench train --editor liveedit`"
            )
        return trained

    @classmethod
    def read(cls, path: Path) -> TrainedModules:
        """Read what `save` wrote, for whatever backbone. Raises `BenchError` when the file is damaged."""
        try:
            tensors, header = read_tensors(path)
            modules = LiveEditModules(Architecture(**json.loads(header["architecture"])))
            modules.load_state_dict(tensors, assign=True)
            return cls(
                modules=modules,
                backbone=header["backbone"],
                backbone_sha256=header["backbone_sha256"],
                trained_on=json.loads(header["trained_on"]),
                train_seconds=float(header["train_seconds"]),
                options=json.loads(header["options"]),
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            )
        except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
            raise BenchError(
                f"{path} holds no LiveEdit modules ({type(error).__name__}); train them again or fetch the file anew "
                "(a checkpoint of the released code is converted first: liveedit-bench convert liveedit)"
            ) from error
