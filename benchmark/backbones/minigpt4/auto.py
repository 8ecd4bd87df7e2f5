"""Tells the Auto classes of transformers that there is a MiniGPT-4."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

MODEL_TYPE = "minigpt4"


def register_for(place: str | Path, source: Mapping[str, Any]) -> None:
    """`register`, where a folder or a hub id holds a MiniGPT-4; nothing of it is imported otherwise."""
    import transformers

    found, _ = cast(Any, transformers).PreTrainedConfig.get_config_dict(place, **source)
    if found.get("model_type") == MODEL_TYPE:
        register()


def register() -> None:
    """From here on `AutoProcessor` and `AutoModelForImageTextToText` open its folders. May be called again."""
    import transformers

    from .model import MiniGpt4Config, MiniGpt4ForConditionalGeneration
    from .processing import MiniGpt4Processor

    library = cast(Any, transformers)
    library.AutoConfig.register(MODEL_TYPE, MiniGpt4Config, exist_ok=True)
    library.AutoModelForImageTextToText.register(MiniGpt4Config, MiniGpt4ForConditionalGeneration, exist_ok=True)
    library.AutoProcessor.register(MiniGpt4Config, MiniGpt4Processor, exist_ok=True)
