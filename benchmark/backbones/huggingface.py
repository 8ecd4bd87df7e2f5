"""Any Hugging Face image-text-to-text model as a backbone.

What differs between families of models stands in `families`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import BenchError
from ..backbone import Answer, Batch, Query
from .encoding import ANSWER, IMAGE, PROMPT, Encoder, Pixels, Row
from .families import family_of, template_for
from .family import Whole
from .features import FeatureCache
from .loading import load_pair
from .pictures import alone, collated
from .pristine import PristineWeights
from .template import PLAIN, Template

EMBLEM_FOLDER = Path(__file__).parent / "emblem" / "weights"


def load_emblem(*, device: str = "cpu", dtype: str = "float32") -> HuggingFaceBackbone:
    """The backbone that ships with the package: a small LLaVA trained on Emblems.

    Raises `BenchError` when the device or dtype cannot be used here.
    """
    return HuggingFaceBackbone.load(EMBLEM_FOLDER, name="emblem-llava", device=device, dtype=dtype)


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
        template: str | None = None,
        max_new_tokens: int = 8,
        loaded_as: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.max_new_tokens = max_new_tokens
        self._model: Any = model.eval().requires_grad_(False)
        self._family = family_of(model)
        chosen = template_for(self._family, processor, name, template)
        self._encoder = Encoder(
            processor, chosen, image_id=self._family.image_id, image_tokens=self._family.image_tokens
        )
        self._pristine = PristineWeights(model)
        self._features = FeatureCache(model, self._family.decoder, self._pristine)
        tokenizer = self._encoder.tokenizer
        self._eos_id = int(tokenizer.convert_tokens_to_ids(chosen.end) if chosen.end else tokenizer.eos_token_id)
        self._pad_id = int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)
        asked = {} if chosen is PLAIN else {"template": chosen.image}
        self.loaded_as: Mapping[str, str] = {**(loaded_as or {}), **asked}
        """What beside name and weights a result has to say: revision, device map, quantization, dtype, template."""

    @classmethod
    def load(
        cls,
        place: str | Path,
        *,
        name: str | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        max_new_tokens: int = 8,
        image_backend: str = "pil",
        template: str | None = None,
        revision: str | None = None,
        device_map: str | None = None,
        quantization: str | None = None,
    ) -> HuggingFaceBackbone:
        """Open a folder written by `save_pretrained` (model, tokenizer and processor), or a model of the hub.

        place: the folder, or a hub id such as ``llava-hf/llava-1.5-7b-hf``.
        image_backend: which image processor transformers uses; left to itself it picks torchvision where that is
            installed, and resized pixels then differ by a level or two of 255.
        template: ``plain``, ``chat`` or a text with the fields ``{image}`` and ``{prompt}``; by default the family's.
        revision: a commit, branch or tag of the hub. device_map: of accelerate, such as ``auto``.
        quantization: ``8bit`` or ``4bit`` (bitsandbytes); what is restored and named is then the quantised weights.

        Raises `BenchError` when there is no such model, or the device or dtype cannot be used here.
        """
        loaded = load_pair(
            place,
            device=device,
            dtype=dtype,
            image_backend=image_backend,
            revision=revision,
            device_map=device_map,
            quantization=quantization,
        )
        given = {
            "revision": loaded.revision,
            "device_map": device_map,
            "quantization": quantization,
            "dtype": None if dtype == "float32" else dtype,
        }
        return cls(
            loaded.model,
            loaded.processor,
            name=name or (place if isinstance(place, str) and not Path(place).is_dir() else Path(place).resolve().name),
            template=template,
            max_new_tokens=max_new_tokens,
            loaded_as={key: value for key, value in given.items() if value is not None},
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
    def template(self) -> Template:
        """How a picture and a question become one text."""
        return self._encoder.template

    @property
    def decoder(self) -> nn.Module:
        """The module that holds `layers`, and what stands before and after them."""
        return self._family.decoder

    @property
    def projector(self) -> list[nn.Module]:
        """The modules between the vision side and the decoder; none where nobody has looked at the family."""
        named = self._model.named_modules()
        return [module for name, module in named if name.rpartition(".")[2] in self._family.projector]

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The decoder blocks, input side first."""
        return cast("Sequence[nn.Module]", self._family.decoder.layers)

    @property
    def hidden_size(self) -> int:
        """Width of the decoder's residual stream."""
        return int(self._family.text_config.hidden_size)

    @property
    def eos_id(self) -> int:
        """The token id that ends an answer."""
        return self._eos_id

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
        return self._forward(batch)[0].logits.to(self.device).float()

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
        cache = DynamicCache(config=self._family.text_config)
        options: dict[str, Any] = {"past_key_values": cache, "use_cache": True}
        output, positions = self._forward(batch, **options, logits_to_keep=1)
        following = None if positions is None else self._family.following(positions)
        mask = batch.attention_mask
        tokens: list[Tensor] = []
        gaps: list[Tensor] = []
        ended = torch.zeros(len(batch), dtype=torch.bool, device=mask.device)
        for step in range(limit):
            best = output.logits[:, -1].to(self.device).float().topk(2)
            token = best.indices[:, 0]
            tokens.append(token)
            gaps.append(best.values[:, 0] - best.values[:, 1])
            ended = ended | (token == self.eos_id)
            if step + 1 == limit or bool(ended.all()):
                break
            mask = torch.cat([mask, mask.new_ones(len(batch), 1)], dim=1)
            if following is not None:
                options["position_ids"] = following + step
            output = self._family.step(token[:, None], mask, options)
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
        present = [image for image in pictures if image is not None]
        extra = {} if self._family.remembers else _joined(present)
        pixels = extra.pop("pixel_values", None)
        if pixels is None:
            pixels = collated([image.inputs["pixel_values"] for image in present])
        return Batch(
            input_ids=torch.as_tensor(ids, device=device),
            attention_mask=torch.as_tensor(mask, device=device),
            pixels=None if pixels is None else pixels.to(device),
            image_mask=torch.as_tensor(parts == IMAGE, device=device),
            prompt_mask=torch.as_tensor(parts == PROMPT, device=device),
            answer_mask=torch.as_tensor(parts == ANSWER, device=device),
            queries=tuple(queries),
            targets=targets,
            extra={name: value.to(device) for name, value in extra.items()},
        )

    def _forward(self, batch: Batch, **options: Any) -> tuple[Any, Tensor | None]:
        """What the model gives, and the positions of the tokens (None: the model counts by itself)."""
        pictured = [query for query in batch.queries if query.image is not None] if batch.pixels is not None else []
        pictures = [self._encoder.pixels(query.image) for query in pictured if query.image is not None]
        positions = self._family.positions(batch, pictures)
        if positions is not None:
            options["position_ids"] = positions
        if isinstance(self._family, Whole):
            return self._family.run_whole(batch, options), positions
        rows: Tensor | None = None
        if pictures:
            rows = torch.cat([each.to(self.device) for each in self._rows(batch, pictured, pictures)])
            if len(rows) != int(batch.image_mask.sum()):
                raise ValueError(f"{len(rows)} rows of picture features for {int(batch.image_mask.sum())} image tokens")
        return self._family.run(batch, rows, options), positions

    def _rows(self, batch: Batch, queries: Sequence[Query], pictures: Sequence[Pixels]) -> Sequence[Tensor]:
        """What the decoder sees of each picture: remembered, unless the batch carries pixels of others."""
        assert batch.pixels is not None
        own = [picture.inputs["pixel_values"] for picture in pictures]

        def compute(index: int, values: Sequence[Tensor]) -> Tensor:
            inputs = self._family.vision_inputs(self._encoder, queries[index], pictures[index])
            return self._family.rows({**inputs, "pixel_values": values[index]})

        stacked = collated(own)
        if stacked is not None and torch.equal(stacked.to(batch.pixels.device), batch.pixels):
            known = self._features.get([self._family.key(query) for query in queries], partial(compute, values=own))
            if known is not None:
                return known
        given = alone(batch.pixels, own)
        return [compute(index, given) for index in range(len(queries))]


def _joined(pictures: Sequence[Pixels]) -> dict[str, Tensor]:
    """The inputs of several pictures as the processor would give them together."""
    try:
        return {
            name: torch.cat([each.inputs[name] for each in pictures]) for name in (pictures or [_NO_PICTURE])[0].inputs
        }
    except RuntimeError as error:
        raise BenchError("these pictures do not fit into one batch of this model; give --batch-size 1") from error


_NO_PICTURE = Pixels("", {})
