"""Question and answer as token ids, each with the part it plays.

Prompt and target are tokenised as one text and told apart by character offsets: tokenised apart
they may not join to the ids the model would see. The single image token of the text is then
replaced by as many as the model's own processor asks for at that picture size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...errors import BenchError
from ..edits import Picture
from .cache import ByteCache

OTHER, IMAGE, PROMPT, ANSWER = range(4)
"""The part a token plays. OTHER: BOS, padding and template words before the picture."""

PIXEL_CACHE_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Row:
    """Token ids of one text and the part of each."""

    ids: npt.NDArray[np.int64]
    parts: npt.NDArray[np.int8]


@dataclass(frozen=True)
class Pixels:
    """One picture as the model takes it.

    expansion: the ids that stand for the picture in the text.
    inputs: what the image processor returned, each with a leading dimension of 1.
    """

    expansion: tuple[int, ...]
    inputs: dict[str, Tensor]


class Encoder:
    """Texts and pictures of one processor.

    template: how a picture and a prompt are joined, with the fields ``image`` and ``prompt``.
    """

    def __init__(self, processor: Any, template: str) -> None:
        self.processor = processor
        self.tokenizer: Any = processor.tokenizer
        if not self.tokenizer.is_fast:
            raise BenchError(
                f"the tokenizer {type(self.tokenizer).__name__} gives no character offsets; "
                "convert it to a fast tokenizer (tokenizer.json) and save it into the model's folder"
            )
        self.template = template
        self.image_token = str(processor.image_token)
        self.image_id = int(self.tokenizer.convert_tokens_to_ids(self.image_token))
        self.special_ids = frozenset(int(index) for index in self.tokenizer.all_special_ids) - {self.image_id}
        self._expansions: dict[tuple[int, int], tuple[int, ...]] = {}
        self._pixels: ByteCache[Pixels] = ByteCache(PIXEL_CACHE_BYTES)
        self.row = lru_cache(maxsize=65536)(self._row)
        self.target_ids = lru_cache(maxsize=65536)(self._target_ids)

    def text(self, prompt: str, target: str | None, *, image: bool) -> tuple[str, int]:
        """The whole text, and the index of the character where the answer with its space begins."""
        if self.image_token in prompt:
            raise BenchError(f"the prompt {prompt!r} contains the image token {self.image_token}; remove it")
        question = self.template.format(image=self.image_token, prompt=prompt) if image else prompt
        if target is None:
            return question, len(question)
        return f"{question} {target}", len(question)

    def _row(self, prompt: str, expansion: tuple[int, ...] | None, target: str | None) -> Row:
        text, question_end = self.text(prompt, target, image=expansion is not None)
        encoded = self.tokenizer(text, return_offsets_mapping=True)
        ids: list[int] = []
        parts: list[int] = []
        awaiting = expansion is not None  # tokens before the picture are no part of the prompt
        for index, (_, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
            if index == self.image_id and expansion is not None:
                ids.extend(expansion)
                parts.extend(IMAGE if each == self.image_id else OTHER for each in expansion)
                awaiting = False
                continue
            ids.append(index)
            if awaiting or end == 0:  # special tokens added by the tokenizer have empty offsets
                parts.append(OTHER)
            else:
                # A token that is the space alone (byte-level BPE has such) belongs to the answer: it must be said too.
                parts.append(ANSWER if end > question_end else PROMPT)
        return Row(np.asarray(ids, dtype=np.int64), np.asarray(parts, dtype=np.int8))

    def row_with_ids(self, prompt: str, expansion: tuple[int, ...] | None, answer: Sequence[int]) -> Row:
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
        image = picture.open()
        inputs = {
            name: value
            for name, value in self.processor.image_processor(images=[image], return_tensors="pt").items()
            if isinstance(value, Tensor)
        }
        if image.size not in self._expansions:
            ids: list[int] = self.processor(images=[image], text=[self.image_token])["input_ids"][0]
            self._expansions[image.size] = tuple(index for index in ids if index not in self.special_ids)
        pixels = Pixels(self._expansions[image.size], inputs)
        self._pixels.put(picture.sha256, pixels, sum(value.nbytes for value in inputs.values()))
        return pixels
