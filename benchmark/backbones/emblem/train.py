"""Trains the embedded backbone from scratch and measures it on held-out emblems.

``python -m liveedit_bench.benchmark.backbones.emblem.train --out weights/`` rebuilds what is shipped.

Three stages. *Seeing*: the vision tower learns the five attributes with throw-away heads (pictures are learnt last when
everything starts at once). *Answering*: the whole `LlavaForConditionalGeneration` learns the lessons of `lessons` at a
high rate. *Settling*: the same lessons while the rate goes to zero.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    masking_utils,
)

from ....data_builders.emblems import drawing
from ....data_builders.emblems.world import TASKS, VALUES, Emblem, emblems
from .lessons import Lesson, Teacher
from .vocabulary import PATCH, build_processor, build_tokenizer

_console = Console(stderr=True)
Model = Any
"""A `LlavaForConditionalGeneration`; the types of transformers leave too much unknown."""


def _plain_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Two matrix products in bfloat16: on the CPU the fused kernel's backward pass takes about seven times as long."""
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e4)
    return (torch.softmax(scores, dim=-1, dtype=scores.dtype) @ value).transpose(1, 2).contiguous(), None


def _explicit_mask(*given: Any, **options: Any) -> Tensor | None:
    """A causal mask even where the library would leave it to the kernel."""
    return cast(Any, masking_utils).sdpa_mask(*given, **{**options, "allow_is_causal_skip": False})


cast(Any, AttentionInterface).register("plain", _plain_attention)
cast(Any, AttentionMaskInterface).register("plain", _explicit_mask)


def build_model() -> Model:
    """The architecture: CLIP tower 128 x 4 over 36 patches, Llama decoder 160 x 5."""
    tokenizer: Any = build_tokenizer()
    vision = CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=drawing.SIZE,
        patch_size=PATCH,
        hidden_act="gelu",
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=160,
        intermediate_size=448,
        num_hidden_layers=5,
        num_attention_heads=5,
        max_position_embeddings=512,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=False,
    )
    config = cast(Any, LlavaConfig)(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=(drawing.SIZE // PATCH) ** 2,
        tie_word_embeddings=False,
    )
    model: Model = LlavaForConditionalGeneration(config)
    model.set_attn_implementation("plain")
    return model


def _draw_views(job: tuple[tuple[Emblem, ...], int]) -> NDArray[np.uint8]:
    some, view = job
    return np.stack([np.asarray(emblem.draw("backbone", emblem.name, view)) for emblem in some])


def draw_album(views: int, workers: int, most: int | None = None) -> tuple[NDArray[np.uint8], list[Emblem]]:
    """`views` pictures of every training emblem (or the first `most`), [N, 48, 48, 3], with the emblem each shows."""
    every = emblems("train")[:most]
    blocks = [every[start : start + 1024] for start in range(0, len(every), 1024)]
    jobs = [(block, view) for view in range(views) for block in blocks]
    with ProcessPoolExecutor(workers) as pool:
        pictures = list(pool.map(_draw_views, jobs))
    return np.concatenate(pictures), [emblem for block, _ in jobs for emblem in block]


def _pixels(pictures: NDArray[np.uint8]) -> Tensor:
    return cast(Any, torch).from_numpy(pictures).permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1


def _one_cycle(optimizer: torch.optim.Optimizer, steps: int, warm: int = 300) -> torch.optim.lr_scheduler.LambdaLR:
    """Warm-up, then a half cosine down to a fiftieth over `steps`."""

    def share(step: int) -> float:
        return min(1.0, (step + 1) / warm) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps))))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, share)


class _Heads(nn.Module):
    """Reads the five attributes from the patch features: one attention query per attribute."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(len(TASKS), width) * 0.02)
        self.keys = nn.Linear(width, width)
        self.readers = nn.ModuleList(nn.Linear(width, len(VALUES[task])) for task in TASKS)

    def forward(self, features: Tensor) -> list[Tensor]:
        weights = torch.softmax(self.queries @ self.keys(features).transpose(1, 2) / features.shape[-1] ** 0.5, dim=-1)
        read = weights @ features  # [B, 5, width]
        return [reader(read[:, index]) for index, reader in enumerate(self.readers)]


def learn_to_see(model: Model, album: NDArray[np.uint8], labels: Tensor, *, steps: int, batch: int, seed: int) -> None:
    """Stage one: attribute classification with the vision tower."""
    tower = model.model.vision_tower
    heads = _Heads(tower.config.hidden_size)
    parameters: list[nn.Parameter] = [*tower.parameters(), *heads.parameters()]
    optimizer: Any = torch.optim.AdamW(parameters, lr=1.5e-3, betas=(0.9, 0.98), weight_decay=0.02)
    schedule, dice, began = (
        _one_cycle(optimizer, steps, warm=max(1, min(300, steps // 10))),
        np.random.default_rng(seed),
        time.monotonic(),
    )
    for step in range(1, steps + 1):
        chosen = dice.integers(0, len(album), batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            features = tower(_pixels(album[chosen])).last_hidden_state[:, 1:]
            guesses = heads(features)
        wanted = labels[chosen]
        loss = torch.stack(
            [functional.cross_entropy(guess.float(), wanted[:, index]) for index, guess in enumerate(guesses)]
        ).mean()
        optimizer.zero_grad(set_to_none=True)
        cast(Any, loss).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % 200 == 0 or step == steps:
            right = [
                float((guess.argmax(-1) == wanted[:, index]).float().mean()) for index, guess in enumerate(guesses)
            ]
            shares = " ".join(f"{task} {share:.2f}" for task, share in zip(TASKS, right, strict=True))
            _console.print(f"seeing {step}/{steps} loss {loss.item():.3f} {shares} [{time.monotonic() - began:.0f} s]")


def _collate(lessons: list[Lesson], pad: int) -> tuple[Tensor, Tensor, Tensor]:
    longest = max(len(lesson.ids) for lesson in lessons)
    ids = torch.full((len(lessons), longest), pad)
    scored = torch.zeros((len(lessons), longest), dtype=torch.bool)
    for row, lesson in enumerate(lessons):
        ids[row, : len(lesson.ids)] = torch.tensor(lesson.ids)
        scored[row, : len(lesson.ids)] = torch.tensor(lesson.scored)
    return ids, (ids != pad).long(), scored


def _lesson_loss(model: Model, lessons: list[Lesson], pixels: Tensor | None) -> tuple[Tensor, float]:
    ids, attention, scored = _collate(lessons, model.config.text_config.pad_token_id)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.model(
            input_ids=ids, attention_mask=attention, pixel_values=pixels, use_cache=False
        ).last_hidden_state
        logits = model.lm_head(hidden[:, :-1][scored[:, 1:]]).float()
    wanted = ids[:, 1:][scored[:, 1:]]
    return functional.cross_entropy(logits, wanted), float((logits.argmax(-1) == wanted).float().mean())


def _batches(
    album: NDArray[np.uint8], shown: list[Emblem], teacher: Teacher, batch: int, seed: int
) -> Iterator[tuple[Tensor, list[Lesson], list[Lesson]]]:
    dice = np.random.default_rng(seed)
    while True:
        chosen = dice.integers(0, len(album), batch)
        pictured = [teacher.about_picture(shown[int(index)]) for index in chosen]
        yield _pixels(album[chosen]), pictured, [teacher.about_text() for _ in range(batch // 2)]


def learn_to_answer(
    model: Model,
    album: NDArray[np.uint8],
    shown: list[Emblem],
    *,
    steps: int,
    horizon: int,
    rate: float,
    seed: int,
    warm: int = 300,
    batch: int = 64,
) -> None:
    """Stages two and three: everything learns to answer. The rate follows a half cosine over `horizon` steps."""
    optimizer: Any = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.02)
    schedule, began = _one_cycle(optimizer, horizon, warm), time.monotonic()
    batches = islice(_batches(album, shown, Teacher(seed), batch, seed), steps)
    for step, (pixels, pictured, plain) in enumerate(batches, start=1):
        seen_loss, seen_right = _lesson_loss(model, pictured, pixels)
        text_loss, text_right = _lesson_loss(model, plain, None)
        optimizer.zero_grad(set_to_none=True)
        cast(Any, seen_loss + 0.5 * text_loss).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps:
            _console.print(
                f"answering {step}/{steps} loss {seen_loss.item():.3f} text {text_loss.item():.3f}"
                f" tokens right {seen_right:.3f} text {text_right:.3f} [{time.monotonic() - began:.0f} s]"
            )


def save(model: Model, out: Path) -> None:
    """Weights in float16 (loaded as float32), configuration, tokenizer and processor, as plain `transformers` loads."""
    model.to(torch.float16).save_pretrained(out)
    model.to(torch.float32)
    cast(Any, build_processor()).save_pretrained(out)


def main() -> None:
    """The command that rebuilds the shipped weights."""
    parser = argparse.ArgumentParser(description="Train the embedded backbone from scratch.")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights, tokenizer, processor, measurement")
    parser.add_argument("--answered", type=Path, help="start the third stage from this folder, saved after the second")
    parser.add_argument("--views", type=int, default=6, help="pictures of every training emblem")
    parser.add_argument("--emblems", type=int, help="how many training emblems, instead of all of them")
    parser.add_argument("--see-steps", type=int, default=2400)
    parser.add_argument("--answer-steps", type=int, default=2000)
    parser.add_argument("--settle-steps", type=int, default=700)
    parser.add_argument("--count", type=int, default=1000, help="held-out emblems to measure on")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    cast(Any, torch).manual_seed(given.seed)
    torch.set_flush_denormal(True)
    model = build_model()
    _console.print(f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters")
    album, shown = draw_album(given.views, given.workers, given.emblems)
    _console.print(f"{len(album):,} pictures drawn")
    if given.answered is None:
        labels = torch.tensor([[emblem.value(task) for task in TASKS] for emblem in shown])
        learn_to_see(model, album, labels, steps=given.see_steps, batch=128, seed=given.seed)
        learn_to_answer(model, album, shown, steps=given.answer_steps, horizon=5000, rate=2e-3, seed=given.seed)
        save(model, given.out)
    else:
        saved: Model = cast(Any, LlavaForConditionalGeneration).from_pretrained(given.answered, dtype=torch.float32)
        model.load_state_dict(saved.state_dict())
    learn_to_answer(
        model,
        album,
        shown,
        steps=given.settle_steps,
        horizon=given.settle_steps,
        rate=1e-3,
        seed=given.seed + 1,
        warm=50,
    )
    save(model, given.out)
    from .measure import measure

    report = measure(given.out, count=given.count)
    (given.out / "measurement.json").write_text(json.dumps(report, indent=2) + "\n")
    _console.print_json(json.dumps(report))


if __name__ == "__main__":
    main()
