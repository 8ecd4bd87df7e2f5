"""Hard filter and soft routing (paper section 4.3): which experts answer, and how loudly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .modules import Experts, InputFeatures


def similarity(left: Tensor, right: Tensor) -> Tensor:
    """Every pair of features: mean over k of inner products / sqrt(d_m). [A, k, d_m], [B, k, d_m] -> [A, B]."""
    slots, width = left.shape[1], left.shape[2]
    return left.flatten(1) @ right.flatten(1).T / (slots * math.sqrt(width))


def sentinel_similarity(inputs: InputFeatures) -> Tensor:
    """The threshold of each input, [B]."""
    slots, width = inputs.phi.shape[1], inputs.phi.shape[2]
    return (inputs.phi * inputs.sentinel).sum(dim=(1, 2)) / (slots * math.sqrt(width))


def fusion_weights(scores: Tensor, kept: Tensor) -> Tensor:
    """w_e = sigmoid(s_e) * softmax(s)_e over the kept experts, 0 elsewhere; all zero where nothing is kept. [B, E]."""
    masked = scores.masked_fill(~kept, float("-inf"))
    # A row without any kept expert would be 0 / 0.
    masked = torch.where(kept.any(dim=1, keepdim=True), masked, torch.zeros_like(masked))
    return torch.where(kept, torch.sigmoid(scores) * torch.softmax(masked, dim=1), torch.zeros_like(scores))


def mean_weights(kept: Tensor, dtype: torch.dtype) -> Tensor:
    """Soft routing switched off: the plain mean of the kept experts (the paper's ablation)."""
    count = kept.sum(dim=1, keepdim=True).clamp(min=1)
    return kept.to(dtype) / count


def residual(h: Tensor, normed: Tensor, experts: Experts, weights: Tensor) -> Tensor:
    """The edited states h + sum_e w_e ReLU(LN(h) U_e^T) V_e with all experts at once, for training batches.

    Takes h and normed [B, T, d], weights [B, E].
    """
    count, rank, size = experts.keys.shape
    active = torch.relu(normed @ experts.keys.reshape(count * rank, size).T)  # [B, T, E * r]
    loud = weights.repeat_interleave(rank, dim=1)[:, None, :]
    return h + (active * loud) @ experts.values.reshape(count * rank, size)


@dataclass(frozen=True)
class Route:
    """The kept experts of each input, padded to the most that one input keeps.

    experts [B, K] are positions in the repository, weights [B, K] are 0 where padded.
    """

    experts: Tensor
    weights: Tensor

    @classmethod
    def of(cls, weights: Tensor, kept: Tensor) -> Route:
        """From dense weights [B, E] and the kept set [B, E]."""
        most = int(kept.sum(dim=1).max()) if kept.numel() else 0
        chosen = kept.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :most]
        return cls(chosen, weights.gather(1, chosen))


def apply_route(h: Tensor, normed: Tensor, keys: Tensor, values: Tensor, route: Route) -> Tensor:
    """The same sum with the kept experts only; keys and values [E, r, d] are the whole repository."""
    busy = (route.weights != 0).any(dim=1)
    if not bool(busy.any()):
        return h
    chosen, weights = route.experts[busy], route.weights[busy]
    count, most = chosen.shape
    rank, size = keys.shape[1], keys.shape[2]
    if most == len(keys):  # without a hard filter: one copy of the repository for all questions, not one for each
        dense = torch.zeros_like(weights).scatter(1, chosen, weights).repeat_interleave(rank, dim=1)[:, None, :]
        added = (torch.relu(normed[busy] @ keys.reshape(-1, size).T) * dense) @ values.reshape(-1, size)
    else:
        key_rows = keys[chosen].reshape(count, most * rank, size)
        value_rows = (values[chosen] * weights[:, :, None, None]).reshape(count, most * rank, size)
        added = torch.relu(normed[busy] @ key_rows.transpose(1, 2)) @ value_rows
    out = h.clone()
    out[busy] = h[busy] + added
    return out
