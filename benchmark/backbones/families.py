"""Which family serves a `model_type`, and which template it asks with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .blip import Blip2, InstructBlip
from .family import ChatFamily, Connected, Family, Whole
from .gemma import Gemma3, PaliGemma, prefix
from .minigpt4.family import MiniGpt4
from .qwen_vl import Qwen3VL, QwenVL
from .template import IMAGE_FIELD, PICTURE_FIRST, PLAIN, Template, chat, has_chat, own

FAMILIES: Mapping[str, type[Family]] = {
    "llava": Family,
    "llava_next": Family,
    "llava_onevision": ChatFamily,
    "internvl": ChatFamily,
    "idefics3": Connected,
    "smolvlm": Connected,
    "blip-2": Blip2,
    "instructblip": InstructBlip,
    "minigpt4": MiniGpt4,
    "qwen2_vl": QwenVL,
    "qwen2_5_vl": QwenVL,
    "qwen3_vl": Qwen3VL,
    "paligemma": PaliGemma,
    "gemma3": Gemma3,
}
"""Families whose tests are in tests/benchmark/backbones/test_families.py, by `model_type`."""


def family_of(model: Any) -> Family:
    """The family of a model; `Whole` for one that nobody has looked at."""
    return FAMILIES.get(model.config.model_type, Whole)(model)


def template_for(family: Family, processor: Any, name: str, asked: str | None = None) -> Template:
    """The template of a backbone: the family's own, or the one asked for (``plain``, ``chat`` or a text with fields).

    A family that is asked in its chat template is asked plainly where the processor brings none (base models).
    """
    kind = asked or family.template
    if kind == "prefix":
        return prefix(str(processor.tokenizer.bos_token))
    if kind == "first" or (kind == "plain" and family.image_tokens is not None):
        return PICTURE_FIRST
    if kind == "chat" and (asked or has_chat(processor)):
        return chat(processor, name)
    if kind in ("plain", "chat"):
        return PLAIN
    template = own(kind)
    if family.image_tokens is not None:  # its processor puts pictures first whatever the template says
        return Template(template.text, template.text, template.join)
    if IMAGE_FIELD not in template.image:
        return own(f"{IMAGE_FIELD}\n{kind}")
    return template
