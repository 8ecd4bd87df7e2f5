"""From a hub id or a folder to a model and its processor, with errors of one line."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch

from ...errors import BenchError
from ..plugins import resolve_device
from .minigpt4.auto import register_for

Quantization = Literal["8bit", "4bit"]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
MISSING = {"torchvision": "video", "num2words": "video", "accelerate": "large"}
"""Packages whose lack `transformers` reports in words of its own, and the extra that brings each."""


@dataclass(frozen=True)
class Loaded:
    """A model with its processor. revision: the commit of the hub that they came from."""

    model: Any
    processor: Any
    revision: str | None


def load_pair(
    place: str | Path,
    *,
    device: str,
    dtype: str,
    image_backend: str = "pil",
    revision: str | None = None,
    device_map: str | None = None,
    quantization: str | None = None,
) -> Loaded:
    """Open a folder made by `save_pretrained`, or a hub id. Raises `BenchError`."""
    if dtype not in DTYPES:
        raise BenchError(f"unknown dtype {dtype!r}; use one of {', '.join(DTYPES)}")
    target = torch.device(resolve_device(device))
    local = _is_folder(place)
    if local and revision is not None:
        raise BenchError(f"{place} is a folder and has no revision {revision!r}; leave --revision out")
    options = {"dtype": DTYPES[dtype], **_placement(device_map, quantization, target, DTYPES[dtype])}
    source: dict[str, Any] = {"local_files_only": True} if local else _on_the_hub(str(place), revision)
    from transformers import AutoModelForImageTextToText

    try:
        with _quiet(bars=not local):
            register_for(place, source)
            processor = _processor(place, image_backend, source)
            model = cast(Any, AutoModelForImageTextToText).from_pretrained(place, **source, **options)
    except Exception as error:
        raise _explained(place, error, local=local) from error
    if target.type == "cpu":
        torch.set_flush_denormal(True)  # denormal weights slow a CPU down several times over
    return Loaded(model if "device_map" in options else model.to(target), processor, source.get("revision"))


@contextmanager
def _quiet(*, bars: bool) -> Generator[None]:
    """While open, the hub's client does not narrate its attempts; without `bars` no progress is shown."""
    from transformers.utils import logging as library

    shown, client = library.is_progress_bar_enabled(), logging.getLogger("huggingface_hub")
    level = client.level
    client.setLevel(logging.ERROR)
    if not bars:
        library.disable_progress_bar()
    try:
        yield
    finally:
        client.setLevel(level)
        if shown:
            library.enable_progress_bar()


def _processor(place: str | Path, image_backend: str, source: Mapping[str, Any]) -> Any:
    from transformers import AutoImageProcessor, AutoProcessor

    try:
        return cast(Any, AutoProcessor).from_pretrained(place, backend=image_backend, **source)
    except ImportError as error:
        # The backend is asked of the processor of videos as well, and that one has torchvision's alone.
        if "Video processor" not in str(error):
            raise
    processor: Any = cast(Any, AutoProcessor).from_pretrained(place, **source)
    processor.image_processor = cast(Any, AutoImageProcessor).from_pretrained(place, backend=image_backend, **source)
    return processor


def _is_folder(place: str | Path) -> bool:
    if (Path(place) / "config.json").is_file():
        return True
    text = str(place)
    if isinstance(place, Path) or Path(place).is_dir() or text.count("/") != 1 or text[0] in "./~":
        raise BenchError(f"{place} holds no model (config.json is missing); give a folder made by save_pretrained")
    return False


def _placement(
    device_map: str | None, quantization: str | None, target: torch.device, dtype: torch.dtype
) -> Mapping[str, Any]:
    options: dict[str, Any] = {}
    if device_map is not None:
        _require("accelerate", f"--device-map {device_map}")
        options["device_map"] = device_map
    if quantization is None:
        return options
    if quantization not in get_args(Quantization):
        raise BenchError(f"unknown quantization {quantization!r}; use {' or '.join(get_args(Quantization))}")
    if quantization == "4bit" and target.type == "cpu":
        # There the first forward pass packs the weights anew, so that they are no longer what was loaded.
        raise BenchError("--quantization 4bit needs an accelerator: give --device cuda, or 8bit on a CPU")
    for package in ("accelerate", "bitsandbytes"):
        _require(package, f"--quantization {quantization}")
    from transformers import BitsAndBytesConfig

    eight = quantization == "8bit"
    options["quantization_config"] = cast(Any, BitsAndBytesConfig)(
        load_in_8bit=eight,
        load_in_4bit=not eight,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
    )
    options.setdefault("device_map", {"": target})
    return options


def _require(package: str, wish: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise BenchError(f"{wish} needs {package}, which is not installed: pip install 'liveedit-bench[large]'")


def _explained(place: str | Path, error: Exception, *, local: bool) -> BenchError:
    text = " ".join((str(error).strip() or type(error).__name__).split())
    lower = text.lower().replace("video processor", "torchvision")
    for package, extra in MISSING.items():
        if package in lower and importlib.util.find_spec(package) is None:
            return BenchError(
                f"the processor of {place} needs {package}, which is not installed: "
                f"pip install 'liveedit-bench[{extra}]'"
            )
    first = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    if "instantiate the backend tokenizer" in first:  # a list of ways to make one follows; none names the folder
        first = "it holds no tokenizer (tokenizer.json is missing or cannot be read)"
    if local:
        return BenchError(f"{place} is no image-text-to-text model that transformers can load: {first}")
    return BenchError(f"{place} cannot be loaded: {first}")


def _on_the_hub(place: str, revision: str | None) -> dict[str, Any]:
    """Where to look for a hub id. One question to the hub tells whether there is one, and pins the revision.

    Without a hub, what was downloaded before is taken.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        found = HfApi().model_info(place, revision=revision, timeout=20)
    except GatedRepoError as error:
        raise BenchError(
            f"{place} may only be downloaded by those who accepted its licence; "
            "accept it on its page of the hub and log in (hf auth login)"
        ) from error
    except RepositoryNotFoundError as error:
        raise BenchError(f"the hub has no model {place}, or it is private: check the name, or hf auth login") from error
    except RevisionNotFoundError as error:
        raise BenchError(f"{place} has no revision {revision!r} on the hub") from error
    except Exception as error:  # offline, by wish or not
        known = try_to_load_from_cache(place, "config.json", revision=revision)
        if not isinstance(known, str):
            raise BenchError(
                f"{place} is not on this machine and the hub cannot be reached; "
                "download it where there is a network (hf download) or give the folder of a copy"
            ) from error
        return {"local_files_only": True, "revision": Path(known).parent.name}
    return {"revision": found.sha}
