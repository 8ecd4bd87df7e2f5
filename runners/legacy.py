"""Asking as other harnesses do, to show how far their numbers lie from ours (docs/why-numbers-differ.md).

The replay is that of the paper protocol: blocks of n edits, each from f_0. No run of the benchmark comes here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ..benchmark.backbone import Backbone, Batch, Query
from ..benchmark.editor import Editor, EditRequest
from ..benchmark.editors.lookup import Lookup
from ..benchmark.edits import LOCALITY_KINDS, Edit, Probe
from ..errors import EditError
from ..metrics.answers import IntArray
from ..metrics.curves import PAPER_COLUMNS
from ..metrics.legacy import Look
from .probing import Answerer
from .randomness import put_back, seed_everything, snapshot, undisturbed

RANKS = 10
"""How many of the likeliest tokens are kept at each position."""


@dataclass(frozen=True)
class Asked:
    """One probe of one edit.

    after: at the end of its block. failed: its edit could not be applied. dropped: it stands in the incomplete last
    block. The others are there for locality only: before, of f_0; again, asked a second time at the end of the block;
    previous and own, right before and right after the edit it belongs to; left, before the model is restored, as the
    block before left it.
    """

    position: int
    probe: Probe
    after: Look
    failed: bool
    dropped: bool
    before: Look | None = None
    again: Look | None = None
    previous: Look | None = None
    own: Look | None = None
    left: Look | None = None


def look(answerer: Answerer, backbone: Backbone, probes: Sequence[Probe], *, batch_size: int = 64) -> list[Look]:
    """What an answerer says at every position of each question with its target, in order."""
    found: dict[int, Look] = {}
    shown = [index for index, probe in enumerate(probes) if probe.image is not None]
    bare = [index for index, probe in enumerate(probes) if probe.image is None]
    with torch.no_grad(), undisturbed():
        for group in (shown, bare):
            for start in range(0, len(group), batch_size):
                chunk = group[start : start + batch_size]
                asked = [probes[index] for index in chunk]
                queries = [Query(probe.image, probe.prompt) for probe in asked]
                batch = backbone.encode(queries, [probe.target for probe in asked])
                found |= zip(chunk, _looks(_everywhere(answerer, backbone, batch), batch), strict=True)
    return [found[index] for index in range(len(probes))]


def replay(
    editor: Editor, edits: Sequence[Edit], *, size: int, seed: int = 0, batch_size: int = 64, stepwise: bool = True
) -> Iterator[Asked]:
    """Blocks of `size` edits, the incomplete last one too, every probe of the paper's five columns.

    stepwise: also ask the locality probes of each edit right before and right after it, and of each block before the
    model is restored. An edit that the editor refuses has failed; whatever else it raises goes up.
    """
    backbone = editor.backbone

    def ask(answerer: Answerer, probes: Sequence[Probe]) -> list[Look]:
        return look(answerer, backbone, probes, batch_size=batch_size)

    for start in range(0, len(edits), size):
        block = edits[start : start + size]
        local = [_of(edit, locality=True) for edit in block]
        others = [_of(edit, locality=False) for edit in block]
        left = iter(ask(editor, _flat(local)) if stepwise and start else ())
        editor.reset()
        seed_everything(seed)
        before = iter(ask(backbone, _flat(local)))
        steps: list[tuple[list[Look], list[Look]]] = []
        failed: list[bool] = []
        for edit, own in zip(block, local, strict=True):
            previous = ask(editor, own) if stepwise else []
            failed.append(not _applied(editor, edit))
            steps.append((previous, ask(editor, own) if stepwise else []))
        after, again, rest = (iter(ask(editor, _flat(probes))) for probes in (local, local, others))
        for index in range(len(block)):
            common: dict[str, Any] = {
                "position": start + index,
                "failed": failed[index],
                "dropped": len(block) < size,
            }
            for probe in others[index]:
                yield Asked(probe=probe, after=next(rest), **common)
            for number, probe in enumerate(local[index]):
                previous, own = (looks[number] if looks else None for looks in steps[index])
                yield Asked(
                    probe=probe,
                    after=next(after),
                    before=next(before),
                    again=next(again),
                    previous=previous,
                    own=own,
                    left=next(left, None),
                    **common,
                )
    editor.reset()


def _applied(editor: Editor, edit: Edit) -> bool:
    drawn = snapshot()
    try:
        editor.edit(EditRequest(edit.image, edit.prompt, edit.target))
    except EditError:
        put_back(drawn)
        return False
    return True


def _of(edit: Edit, *, locality: bool) -> list[Probe]:
    return [
        probe for probe in edit.probes if probe.kind in PAPER_COLUMNS and (probe.kind in LOCALITY_KINDS) == locality
    ]


def _flat(probes: Sequence[Sequence[Probe]]) -> list[Probe]:
    return [probe for of_edit in probes for probe in of_edit]


def _everywhere(answerer: Answerer, backbone: Backbone, batch: Batch) -> Tensor:
    """Logits at every position, those inside the question included."""
    logits = answerer.logits(batch)
    if not isinstance(answerer, Lookup):
        return logits
    # A table speaks from the end of the question on, and before it nobody but the model it stands on.
    inside = batch.answer_mask.roll(-1, dims=1).cumsum(dim=1) == 0
    return torch.where(inside[:, :, None], backbone.logits(batch), logits)


def _looks(logits: Tensor, batch: Batch) -> Iterator[Look]:
    best = cast("IntArray", logits.topk(min(RANKS, logits.shape[-1]), dim=-1).indices.cpu().numpy())
    ids = cast("IntArray", batch.input_ids.cpu().numpy())
    answers = cast("Any", batch.answer_mask.cpu().numpy())
    lengths = cast("list[int]", cast("Any", batch.attention_mask.sum(dim=1)).tolist())
    for row, length in enumerate(lengths):
        yield Look(ids[row, :length], best[row, :length], int(np.flatnonzero(answers[row])[0]))
