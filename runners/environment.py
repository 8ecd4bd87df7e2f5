"""On what was measured: versions, commit, processor, threads. Nothing that names a user or holds a credential."""

from __future__ import annotations

import os
import platform
import re
import resource
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from ..benchmark.backbone import Backbone

PACKAGES = (
    "liveedit-bench",
    "numpy",
    "pandas",
    "pillow",
    "pyarrow",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
)
ROOT = Path(__file__).resolve().parent.parent


def describe(backbone: Backbone | None = None) -> dict[str, Any]:
    """The environment as plain values. What cannot be found out is left out."""
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": {name: _version(name) for name in PACKAGES},
        "git": _git(ROOT),
    }
    if backbone is not None:
        found["device"] = str(backbone.device)
        if backbone.device.type == "cuda":
            found["accelerator"] = torch.cuda.get_device_name(backbone.device)
        found["image_backend"] = _image_backend(backbone)
    return _without_missing(found)


def peak_memory_bytes(device: torch.device) -> int:
    """Most memory used so far: of the accelerator when there is one, else of this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes there, KiB elsewhere


def without_credentials(url: str) -> str:
    """A remote's address without user, password or token."""
    return re.sub(r"^([a-z+]+://)[^@/]*@", r"\1", url)


def _git(root: Path) -> dict[str, Any] | None:
    # A wheel inside somebody else's checkout must not report that one's commit.
    if not (root / ".git").exists():
        return None
    commit = _ask_git(root, "rev-parse", "HEAD")
    if commit is None:
        return None
    remote = _ask_git(root, "config", "--get", "remote.origin.url")
    return {
        "commit": commit,
        "changed": bool(_ask_git(root, "status", "--porcelain", "--untracked-files=no")),
        "remote": without_credentials(remote) if remote and "://" in remote and not remote.startswith("file") else None,
    }


def _ask_git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu() -> str | None:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _image_backend(backbone: Backbone) -> str | None:
    processor = getattr(getattr(backbone, "processor", None), "image_processor", None)
    if processor is None:
        return None
    return str(getattr(processor, "backend", None) or type(processor).__name__)


def _without_missing(value: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_missing(item) if isinstance(item, dict) else item  # pyright: ignore[reportUnknownArgumentType]
        for key, item in value.items()
        if item is not None
    }
