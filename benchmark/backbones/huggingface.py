"""Any Hugging Face image-text-to-text model as a backbone.

Written for LLaVA; another family needs no more than a template, unless its pictures come with further inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import BenchError
from ..backbone import Answer, Batch, Query
from .encoding import ANSWER, IMAGE, PROMPT, Encoder, Pixels, Row
from .features import FeatureCache
from .pristine import PristineWeights

EMBLEM_FOLDER = Path(__file__).parent / "emblem" / "weights"
TEMPLATES = {"llava": "{image}\n{prompt}"}
"""How picture and prompt are joined, by `model_type`; no chat template, as in the paper's protocol."""
PICTURES_ARE_ROWS = {"llava"}
"""Families whose pictures enter as rows of the decoder's input and in no other way; their features are remembered."""
DEFAULT_TEMPLATE = "{image}\n{prompt}"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_emblem(*, device: str = "cpu", dtype: str = "float32") -> HuggingFaceBackbone:
    """The backbone that ships with the package: a small LLaVA trained on Emblems.

    Raises `BenchError` when the device or dtype cannot be used here.
    """
    return HuggingFaceBackbone.load(EMBLEM_FOLDER, name="emblem-llava", device=device, dtype=dtype)


def pick_device(name: str) -> torch.device:
    """The torch device called `name`. Raises `BenchError` when this machine or this torch has none."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise BenchError(f"device {name!r} cannot be used here ({reason}); use --device cpu") from None
    return device


class HuggingFaceBackbone:
    """A model of `transformers` under edit; implements `benchmark.backbone.Backbone`.

    Weights are frozen (`requires_grad` is off), so nothing builds an autograd graph until an editor
    switches it on for a parameter or hangs trainable modules into a hook; `generate` never does.
    """

    def __init__(
        self,
        model: nn.Module,
        processor: object,
        *,
        name: str,
        template: str = DEFAULT_TEMPLATE,
        max_new_tokens: int = 8,
    ) -> None:
        self.name = name
        self.max_new_tokens = max_new_tokens
        self._model: Any = model.eval().requires_grad_(False)
        self._encoder = Encoder(processor, template)
        self._decoder: Any = self._model.get_decoder()
        self._pristine = PristineWeights(model)
        self._features = FeatureCache(model, self._decoder, self._pristine)
        # Multimodal rotary positions (Qwen2-VL and its kin) are worked out by the model itself.
        self._plain_positions = not hasattr(self._model.base_model, "get_rope_index")
        self._pictures_are_rows = self._model.config.model_type in PICTURES_ARE_ROWS
        tokenizer = self._encoder.tokenizer
        self._pad_id = int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        name: str | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        max_new_tokens: int = 8,
        image_backend: str = "pil",
    ) -> HuggingFaceBackbone:
        """Open a folder written by `save_pretrained` (model, tokenizer and processor).

        image_backend: which image processor transformers uses; left to itself it picks torchvision where that is
            installed, and resized pixels then differ by up to 0.014.

        Raises `BenchError` when the folder holds no such model, or the device or dtype cannot be used here.
        """
        if dtype not in DTYPES:
            raise BenchError(f"unknown dtype {dtype!r}; use one of {', '.join(DTYPES)}")
        target = pick_device(device)
        folder = Path(folder)
        if not (folder / "config.json").is_file():
            raise BenchError(f"{folder} holds no model (config.json is missing); give a folder made by save_pretrained")
        from transformers import AutoModelForImageTextToText, AutoProcessor
        from transformers.utils import logging

        progress = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            processor = cast(Any, AutoProcessor).from_pretrained(folder, backend=image_backend, local_files_only=True)
            model = cast(Any, AutoModelForImageTextToText).from_pretrained(
                folder, dtype=DTYPES[dtype], local_files_only=True
            )
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise BenchError(f"{folder} is no image-text-to-text model that transformers can load: {reason}") from error
        finally:
            if progress:
                logging.enable_progress_bar()
        if target.type == "cpu":
            torch.set_flush_denormal(True)  # denormal weights slow a CPU down several times over
        return cls(
            model.to(target),
            processor,
            name=name or folder.resolve().name,
            template=TEMPLATES.get(model.config.model_type, DEFAULT_TEMPLATE),
            max_new_tokens=max_new_tokens,
        )

    @property
    def model(self) -> nn.Module:
        """The model itself, for editors that change weights or register hooks."""
        return self._model

    @property
    def processor(self) -> Any:
        """The processor of `transformers`: tokenizer and image processor."""
        return self._encoder.processor

    @property
    def device(self) -> torch.device:
        """Where the weights live."""
        return self._model.get_input_embeddings().weight.device

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The decoder blocks, input side first."""
        return cast("Sequence[nn.Module]", self._decoder.layers)

    @property
    def hidden_size(self) -> int:
        """Width of the decoder's residual stream."""
        return int(self._model.config.get_text_config().hidden_size)

    @property
    def eos_id(self) -> int:
        """The token id that ends an answer."""
        return int(self._encoder.tokenizer.eos_token_id)

    @property
    def weights_sha256(self) -> str:
        """Digest of the weights as loaded."""
        return self._pristine.sha256

    @torch.inference_mode(False)
    def encode(self, queries: Sequence[Query], targets: Sequence[str] | None = None, *, pad: str = "right") -> Batch:
        """Tokens and masks of question (and answer), padded on the side `pad`."""
        texts = [None] * len(queries) if targets is None else targets
        pictures = [None if query.image is None else self._encoder.pixels(query.image) for query in queries]
        rows = [
            self._encoder.row(query.prompt, None if image is None else image.expansion, target)
            for query, image, target in zip(queries, pictures, texts, strict=True)
        ]
        return self._collate(queries, rows, pictures, pad, None if targets is None else tuple(targets))

    @torch.inference_mode(False)
    def encode_ids(self, queries: Sequence[Query], answers: Sequence[Sequence[int]], *, pad: str = "right") -> Batch:
        """Like `encode` with the answers given as token ids (an EOS among them counts as answer)."""
        pictures = [None if query.image is None else self._encoder.pixels(query.image) for query in queries]
        rows = [
            self._encoder.row_with_ids(query.prompt, None if image is None else image.expansion, answer)
            for query, image, answer in zip(queries, pictures, answers, strict=True)
        ]
        return self._collate(queries, rows, pictures, pad, None)

    def target_ids(self, target: str) -> tuple[int, ...]:
        """The ids of a target as they stand after a prompt, EOS excluded."""
        return self._encoder.target_ids(target)

    def logits(self, batch: Batch) -> Tensor:
        """[B, T, vocabulary] in float32."""
        return self._forward(batch).logits.float()

    def generate(self, queries: Sequence[Query], *, max_new_tokens: int | None = None) -> list[Answer]:
        """Greedy answers, one per query, in order; all queries go through as one batch."""
        return self.generate_batch(self.encode(queries, pad="left"), max_new_tokens=max_new_tokens)

    @torch.no_grad()
    def generate_batch(self, batch: Batch, *, max_new_tokens: int | None = None) -> list[Answer]:
        """Greedy answers to an encoded batch padded on the left.

        Hooks on `layers` see the whole batch once, then one token per row and call until every row
        has ended; rows that have ended stay in the batch, so that row numbers keep their meaning.
        """
        from transformers import DynamicCache

        if not bool(batch.attention_mask[:, -1].all()):
            raise ValueError("generate_batch needs a batch padded on the left")
        limit = self.max_new_tokens if max_new_tokens is None else max_new_tokens
        cache = DynamicCache(config=self._model.config.get_text_config())
        output = self._forward(batch, past_key_values=cache, use_cache=True, logits_to_keep=1)
        mask, positions = batch.attention_mask, batch.attention_mask.sum(dim=1, keepdim=True)
        tokens: list[Tensor] = []
        gaps: list[Tensor] = []
        ended = torch.zeros(len(batch), dtype=torch.bool, device=mask.device)
        for step in range(limit):
            best = output.logits[:, -1].float().topk(2)
            token = best.indices[:, 0]
            tokens.append(token)
            gaps.append(best.values[:, 0] - best.values[:, 1])
            ended = ended | (token == self.eos_id)
            if step + 1 == limit or bool(ended.all()):
                break
            mask = torch.cat([mask, mask.new_ones(len(batch), 1)], dim=1)
            extra = {"position_ids": positions + step} if self._plain_positions else {}
            output = self._model(
                input_ids=token[:, None], attention_mask=mask, past_key_values=cache, use_cache=True, **extra
            )
        if not tokens:
            return [Answer((), "", float("inf"))] * len(batch)
        rows = cast("list[list[int]]", cast(Any, torch.stack(tokens, dim=1)).tolist())
        margins = cast("list[list[float]]", cast(Any, torch.stack(gaps, dim=1)).tolist())
        return [self._answer(ids, gap) for ids, gap in zip(rows, margins, strict=True)]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids without special tokens, stripped."""
        return str(self._encoder.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    def restore(self) -> None:
        """Put every weight back to what `weights_sha256` names, bit for bit."""
        self._pristine.restore()

    def changed_weights(self) -> dict[str, Tensor]:
        """Copies of the parameters that differ from the pristine ones, by name."""
        return self._pristine.changed()

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Overwrite the named parameters in place. Raises `BenchError` when they are another backbone's."""
        self._pristine.load(weights)

    def _answer(self, ids: list[int], gaps: list[float]) -> Answer:
        length = ids.index(self.eos_id) + 1 if self.eos_id in ids else len(ids)
        return Answer(tuple(ids[:length]), self.decode(ids[:length]), min(gaps[:length]))

    def _collate(
        self,
        queries: Sequence[Query],
        rows: Sequence[Row],
        pictures: Sequence[Pixels | None],
        pad: str,
        targets: tuple[str, ...] | None,
    ) -> Batch:
        if pad not in ("left", "right"):
            raise ValueError(f"pad is 'left' or 'right', not {pad!r}")
        width = max((len(row.ids) for row in rows), default=0)
        ids = np.full((len(rows), width), self._pad_id, dtype=np.int64)
        parts = np.zeros((len(rows), width), dtype=np.int8)
        mask = np.zeros((len(rows), width), dtype=np.int64)
        for index, row in enumerate(rows):
            where = slice(0, len(row.ids)) if pad == "right" else slice(width - len(row.ids), width)
            ids[index, where] = row.ids
            parts[index, where] = row.parts
            mask[index, where] = 1
        device = self.device
        present = [image.inputs for image in pictures if image is not None]
        inputs = {
            name: torch.cat([each[name] for each in present]).to(device) for name in (present[0] if present else {})
        }
        return Batch(
            input_ids=torch.as_tensor(ids, device=device),
            attention_mask=torch.as_tensor(mask, device=device),
            pixels=inputs.pop("pixel_values", None),
            image_mask=torch.as_tensor(parts == IMAGE, device=device),
            prompt_mask=torch.as_tensor(parts == PROMPT, device=device),
            answer_mask=torch.as_tensor(parts == ANSWER, device=device),
            queries=tuple(queries),
            targets=targets,
            extra=inputs,
        )

    def _forward(self, batch: Batch, **options: Any) -> Any:
        if self._plain_positions:  # of any padding side; the models count from the left edge otherwise
            options["position_ids"] = (batch.attention_mask.cumsum(dim=1) - 1).clamp(min=0)
        if batch.pixels is None:
            return self._model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **options)
        pixels = batch.pixels.to(self._model.dtype)
        if not self._pictures_are_rows:
            options.update(batch.extra, pixel_values=pixels, input_ids=batch.input_ids)
            return self._model(attention_mask=batch.attention_mask, **options)
        features = self._remembered(batch)
        if features is None:
            features = self._model.base_model.get_image_features(pixel_values=pixels, return_dict=True).pooler_output
        # By the mask and not by token id, as the model itself would: an image token in an answer is only a token.
        rows = torch.cat(list(features))
        if len(rows) != int(batch.image_mask.sum()):
            raise ValueError(f"{len(rows)} rows of picture features for {int(batch.image_mask.sum())} image tokens")
        embeddings = self._model.get_input_embeddings()(batch.input_ids)
        embeddings = embeddings.masked_scatter(batch.image_mask[..., None], rows.to(embeddings.dtype))
        return self._model(inputs_embeds=embeddings, attention_mask=batch.attention_mask, **options)

    def _remembered(self, batch: Batch) -> list[Tensor] | None:
        """Features of the batch's pictures from the cache, unless the batch carries other pixels than its pictures'."""
        assert batch.pixels is not None
        pictures = [query.image for query in batch.queries if query.image is not None]
        pixels = [self._encoder.pixels(picture) for picture in pictures]
        own = torch.cat([each.inputs["pixel_values"] for each in pixels]).to(batch.pixels.device)
        if not torch.equal(own, batch.pixels):
            return None
        return self._features.get([picture.sha256 for picture in pictures], pixels)
