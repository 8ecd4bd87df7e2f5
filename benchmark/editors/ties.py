"""TIES: several changes of one matrix merged into one (arXiv 2306.01708): trim, elect a sign, average what agrees."""

from __future__ import annotations

import torch
from torch import Tensor


def merged(deltas: Tensor, density: float) -> Tensor:
    """[out, in] from changes [K, out, in].

    Of each change the share `density` of largest entries stays. Each entry takes the sign that has more weight over
    all changes, and is the mean of the changes of that sign that are not 0.
    """
    kept = torch.stack([_trimmed(delta, density) for delta in deltas])
    sign = kept.sum(dim=0).sign()
    agreeing = (kept.sign() == sign) & (kept != 0)
    return (kept * agreeing).sum(dim=0) / agreeing.sum(dim=0).clamp(min=1)


def _trimmed(delta: Tensor, density: float) -> Tensor:
    count = max(1, round(density * delta.numel()))
    places = delta.abs().flatten().topk(count).indices
    flat = delta.flatten()
    return torch.zeros_like(flat).index_copy(0, places, flat[places]).view_as(delta)
