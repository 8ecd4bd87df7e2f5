"""Question and answer as token ids, each with the part it plays.

Prompt and target are tokenised as one text, the picture's tokens written out as the model's own processor writes them,
and told apart by character offsets: tokenised apart they may not join to the ids the model would see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL.Image import Image
from torch import Tensor

from ...errors import BenchError
from ..edits import Picture
from .cache import ByteCache
from .template import IMAGE_FIELD, Filled, Template

OTHER, IMAGE, PROMPT, ANSWER = range(4)
"""The part a token plays. OTHER: BOS, padding, tokens that frame the picture or the turn of a chat."""

PIXEL_CACHE_BYTES = 512 * 2**20
_OF_THE_TEXT = {"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids", "labels"}


@dataclass(frozen=True)
class Row:
    """Token ids of one text and the part of each."""

    ids: npt.NDArray[np.int64]
    parts: npt.NDArray[np.int8]


@dataclass(frozen=True)
class Pixels:
    """One picture as the model takes it.

    expansion: the text that stands for the picture.
    inputs: what the processor returned for it alone.
    """

    expansion: str
    inputs: dict[str, Tensor]


class Encoder:
    """Texts and pictures of one processor.

    image_id: the token whose rows the picture's features take; by default that of the processor's image token.
    image_tokens: how many of them a picture has, for processors that put them before the text.
    """

    def __init__(
        self, processor: Any, template: Template, *, image_id: int | None = None, image_tokens: int | None = None
    ) -> None:
        self.processor = processor
        self.tokenizer: Any = processor.tokenizer
        if not self.tokenizer.is_fast:
            raise BenchError(
                f"the tokenizer {type(self.tokenizer).__name__} gives no character offsets; "
                "convert it to a fast tokenizer (tokenizer.json) and save it into the model's folder"
            )
        self.template = template
        self.image_token = str(processor.image_token)
        own_id: int = self.tokenizer.convert_tokens_to_ids(self.image_token)
        self.image_id = own_id if image_id is None else image_id
        self._picture_first = IMAGE_FIELD not in template.image
        self._image_tokens = image_tokens
        self._special = frozenset(self.tokenizer.get_added_vocab().values())
        self._expansions: dict[tuple[int, int], str] = {}
        self._pixels: ByteCache[Pixels] = ByteCache(PIXEL_CACHE_BYTES)
        self.row = lru_cache(maxsize=65536)(self._row)
        self.target_ids = lru_cache(maxsize=65536)(self._target_ids)

    def question(self, prompt: str, expansion: str | None = None) -> Filled:
        """The text that goes before an answer."""
        if self.image_token in prompt:
            raise BenchError(f"the prompt {prompt!r} contains the image token {self.image_token}; remove it")
        return self.template.fill(prompt, expansion)

    def _row(self, prompt: str, expansion: str | None, target: str | None) -> Row:
        filled = self.question(prompt, expansion)
        question_end = len(filled.text)
        text = filled.text if target is None else f"{filled.text}{self.template.join}{target}"
        encoded = self.tokenizer(text, return_offsets_mapping=True)
        ids: list[int] = encoded["input_ids"]
        parts = [
            self._part(index, start, end, filled, question_end)
            for index, (start, end) in zip(ids, encoded["offset_mapping"], strict=True)
        ]
        if expansion is not None and self._picture_first:
            first: list[int] = self.tokenizer(expansion, add_special_tokens=False)["input_ids"]
            ids, parts = [*first, *ids], [*(IMAGE if each == self.image_id else OTHER for each in first), *parts]
        return Row(np.asarray(ids, dtype=np.int64), np.asarray(parts, dtype=np.int8))

    def _part(self, index: int, start: int, end: int, filled: Filled, question_end: int) -> int:
        if end == 0:  # special tokens added by the tokenizer have empty offsets
            return OTHER
        # A token that is the space alone (byte-level BPE has such) belongs to the answer: it must be said too.
        if end > question_end:
            return ANSWER
        image_start, image_end = filled.image
        if image_start <= start and end <= image_end:
            return IMAGE if index == self.image_id else OTHER
        prompt_start, prompt_end = filled.prompt
        if start >= prompt_end:
            return OTHER
        if end > prompt_start:
            return PROMPT
        # Words of the template between picture and prompt go with the prompt, tokens that end the picture do not.
        after_image = 0 < image_end <= start
        return PROMPT if after_image and index not in self._special else OTHER

    def row_with_ids(self, prompt: str, expansion: str | None, answer: Sequence[int]) -> Row:
        """The question followed by given answer ids."""
        row = self.row(prompt, expansion, None)
        return Row(
            np.concatenate([row.ids, np.asarray(answer, dtype=np.int64)]),
            np.concatenate([row.parts, np.full(len(answer), ANSWER, dtype=np.int8)]),
        )

    def _target_ids(self, target: str) -> tuple[int, ...]:
        row = self.row("?", None, target)
        return tuple(int(index) for index in row.ids[row.parts == ANSWER])

    @torch.inference_mode(False)
    def pixels(self, picture: Picture) -> Pixels:
        """The picture as the model takes it, from a cache keyed by its sha256."""
        cached = self._pixels.get(picture.sha256)
        if cached is not None:
            return cached
        found, expansion = self._processed(picture.open())
        inputs = {
            name: value for name, value in found.items() if isinstance(value, Tensor) and name not in _OF_THE_TEXT
        }
        pixels = Pixels(expansion, inputs)
        self._pixels.put(picture.sha256, pixels, sum(value.nbytes for value in inputs.values()))
        return pixels

    def _processed(self, image: Image) -> tuple[Mapping[str, object], str]:
        """What the processor makes of a picture, and the text it writes for it."""
        if self._image_tokens is not None:  # a processor that puts the picture first replaces nothing
            return self.processor(images=[image], return_tensors="pt"), self.image_token * self._image_tokens
        known = self._expansions.get(image.size)
        if known is not None and not getattr(self.processor, "images_kwargs", None):
            # Nothing but size decides on the text, and the pixels need no more than the processor of pictures.
            return self.processor.image_processor(images=[image], return_tensors="pt"), known
        found = self.processor(
            images=[image], text=[self.image_token], return_tensors="pt", return_text_replacement_offsets=True
        )
        self._expansions[image.size] = str(found["text_replacement_offsets"][0][0]["replacement"])
        return found, self._expansions[image.size]
