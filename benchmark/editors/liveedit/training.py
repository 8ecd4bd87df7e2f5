"""Trains LiveEdit's modules on an editing stream; the backbone stays frozen (paper section 4.4)."""

from __future__ import annotations

import json
import math
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from ....errors import BenchError
from ...backbone import Backbone
from ...edits import EditStream, Kind
from ...options import plain
from .checkpoint import Checkpoint
from .modules import Architecture, Experts, InputFeatures, LiveEditModules
from .routing import sentinel_similarity, similarity
from .rows import IN_SCOPE, OUT_OF_SCOPE, Album, Upper, check_upper, make_album
from .terms import Asked, Pairs, answer_terms, routing_terms
from .validation import validate
from .weights import TrainedModules

if TYPE_CHECKING:
    from .editor import LiveEditOptions

CHECK_EVERY = 250


class Step:
    """The losses of one batch of edits."""

    def __init__(self, backbone: Backbone, modules: LiveEditModules, options: LiveEditOptions, album: Album) -> None:
        self._modules, self._options, self._album = modules, options, album
        self._upper = Upper(backbone, modules.shape.layer)
        self._embed = cast(Any, backbone.model).get_input_embeddings()
        self._eos = backbone.eos_id

    def losses(self, edits: Tensor, *, step: int, dice: torch.Generator) -> dict[str, Tensor]:
        """Every loss term for these edits; the first `batch` of them generate experts, all of them feed the routing."""
        options, album, modules = self._options, self._album, self._modules
        small = min(options.batch, len(edits))
        inside = [album.take(kind, edits) for kind in IN_SCOPE]
        request = inside[0]
        phi, psi = modules.edit_routing(request.h, request.image, request.prompt)
        kinds = OUT_OF_SCOPE if options.hard_negatives else OUT_OF_SCOPE[:1]
        drawn: list[Kind] = [kinds[int(index)] for index in torch.randperm(len(kinds), generator=dice)[:2]]
        outside = [album.take(kind, edits) for kind in drawn]

        in_features = [modules.inputs(rows.h, rows.image, rows.prompt) for rows in inside]
        out_features = [modules.inputs(rows.h, rows.image, rows.prompt) for rows in outside]
        terms = routing_terms(
            [Pairs(features, phi, psi) for features in in_features],
            [Pairs(features, phi, psi) for features in out_features],
            options,
        )

        first = request[:small]
        answer = first.answer & (first.ids != self._eos)
        experts = modules.experts(first.h, first.image, first.prompt, answer, self._embed(first.ids))
        blocks = list[Asked]()
        for rows, features in zip([*inside, outside[0]], [*in_features, out_features[0]], strict=True):
            kept = self._kept(features, experts, small, step, dice, forced=len(blocks) < len(IN_SCOPE))
            blocks.append(Asked(rows[:small], features[:small], kept))
        questions: dict[str, Asked] = dict(zip(IN_SCOPE, blocks[:-1], strict=True))
        return terms | answer_terms(modules, self._upper, experts, questions, blocks[-1], options, eos=self._eos)

    @torch.no_grad()
    def _kept(
        self, features: InputFeatures, experts: Experts, count: int, step: int, dice: torch.Generator, *, forced: bool
    ) -> Tensor:
        """Which experts answer, [B, B]: after the warm-up what the filter keeps; the own one always if `forced`."""
        device = experts.phi.device
        kept = torch.zeros(count, count, dtype=torch.bool, device=device)
        if step > self._options.warm_up:
            if self._options.kept_in_training == "filter":
                close = similarity(features.phi[:count], experts.phi)
                kept = close > sentinel_similarity(features)[:count, None]
            else:
                prefix = torch.randint(0, count + 1, (count, 1), generator=dice).to(device)
                kept = torch.arange(count, device=device)[None, :] < prefix
        return kept | torch.eye(count, dtype=torch.bool, device=device) if forced else kept


def _rate(step: int, options: LiveEditOptions, share: float) -> float:
    """One cycle: up over the first tenth, then a half cosine to a hundredth of the peak."""
    warm = max(1, options.steps // 10)
    return options.rate * min(1.0, step / warm) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


def _open_log(path: Path, done: int) -> TextIO:
    """The log for further lines, without those of steps that were not saved and are now repeated."""
    kept = ""
    if path.is_file():
        for line in path.read_text().splitlines():
            with suppress(ValueError):  # the last line may be half a one
                kept += f"{line}\n" if json.loads(line)["step"] <= done else ""
    path.write_text(kept)
    return path.open("a")


def train(
    backbone: Backbone,
    options: LiveEditOptions,
    stream: EditStream,
    *,
    layer: int,
    seed: int,
    validation: EditStream | None,
    out: Path | None,
) -> TrainedModules:
    """Fit the modules; goes on from the newest checkpoint under `out`.

    Writes ``log.jsonl`` (every loss term of every tenth step, validation every 250), ``checkpoint.safetensors`` and at
    the end ``modules.safetensors`` under `out`.
    """
    console = Console(stderr=True)
    cast(Any, torch).manual_seed(seed)
    began = time.monotonic()
    console.print(f"LiveEdit: states of {len(stream)} edits at layer {layer}")
    pictured = next((edit for edit in stream if edit.image is not None), None)
    if pictured is not None:
        check_upper(backbone, layer, pictured)
    album = make_album(backbone, layer, stream)
    held_out = make_album(backbone, layer, validation) if validation is not None else None
    shape = Architecture(
        hidden_size=backbone.hidden_size,
        layer=layer,
        sentinel_rows=int(album.rows.image[0].sum()),
        width=options.width,
        heads=options.heads,
        rank=options.rank,
        slots=options.slots,
        scale=options.scale,
        answer_embeddings=options.answer_embeddings,
    )
    modules = LiveEditModules(shape).to(album.rows.h.device, album.rows.h.dtype)
    optimizer = torch.optim.Adam(modules.parameters(), lr=options.rate, betas=(0.9, 0.98))
    begun = {"seed": seed, "stream": stream.sha256, "backbone": backbone.weights_sha256} | plain(options)
    checkpoint = Checkpoint(None if out is None else out / "checkpoint.safetensors", modules, optimizer, begun)
    done, spent = checkpoint.load()
    began -= spent
    work = Step(backbone, modules, options, album)
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with (
        Progress(*columns, console=console) as progress,
        nullcontext() if out is None else _open_log(out / "log.jsonl", done) as log,
    ):
        bar = progress.add_task("", total=options.steps, completed=done)
        for step in range(done + 1, options.steps + 1):
            # Everything random in a step hangs on its number, so that a resumed run repeats nothing and skips nothing.
            dice = torch.Generator().manual_seed(seed * 1_000_003 + step)
            elapsed = time.monotonic() - began
            share = max(step / options.steps, elapsed / options.seconds if options.seconds else 0.0)
            for group in optimizer.param_groups:
                group["lr"] = _rate(step, options, share)
            edits = torch.randperm(album.edits, generator=dice)[: options.routing_batch]
            terms = work.losses(edits, step=step, dice=dice)
            total = torch.stack(list(terms.values())).sum()
            optimizer.zero_grad(set_to_none=True)
            cast(Any, total).backward()
            torch.nn.utils.clip_grad_norm_(modules.parameters(), 1.0)
            cast(Any, optimizer).step()
            last = step == options.steps or share >= 1.0
            note: dict[str, Any] = {}
            check = step % CHECK_EVERY == 0 or last
            if step % 10 == 0 or check:
                if not math.isfinite(total.item()):
                    raise BenchError(f"training of liveedit diverged at step {step}; lower --option rate")
                note = {"step": step, "seconds": round(elapsed, 1), "total": total.item()} | {
                    name: term.item() for name, term in terms.items()
                }
                progress.update(bar, completed=step, description=f"loss {total.item():.3f}")
            if held_out is not None and check:
                note["validation"] = validate(backbone, modules, held_out)
                progress.console.print(
                    f"step {step}: " + ", ".join(f"{name} {value:.3f}" for name, value in note["validation"].items())
                )
            if log is not None and note:
                log.write(json.dumps(note, allow_nan=False) + "\n")
                log.flush()
            if check:
                checkpoint.save(step, time.monotonic() - began)
            if last:
                break
    source = stream.source
    trained_on = [
        {
            "dataset": source.dataset,
            "split": source.split,
            "seed": source.seed,
            "edits": len(stream),
            "sha256": stream.sha256,
        }
    ]
    trained = TrainedModules(
        modules=modules,
        backbone=backbone.name,
        backbone_sha256=backbone.weights_sha256,
        trained_on=trained_on,
        train_seconds=time.monotonic() - began,
        options=plain(options),
    )
    if out is not None:
        path = out / "modules.safetensors"
        trained.save(path)
        return TrainedModules.load(path, backbone=backbone.name, backbone_sha256=backbone.weights_sha256)
    return trained
