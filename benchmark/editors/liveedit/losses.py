"""Every loss of LiveEdit as a function of tensors (paper section 4.4). All are added with weight 1."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_TINY = 1e-8  # inside logarithms, as in the released code


def edit_loss(logits: Tensor, wanted: Tensor, owner: Tensor, count: int) -> Tensor:
    """Mean over samples of the mean target NLL; logits [N, V], wanted [N] at answer positions, owner [N] says whose."""
    losses = functional.cross_entropy(logits, wanted, reduction="none")
    return _mean_per_sample(losses, owner, count)


def locality_loss(after: Tensor, before: Tensor, owner: Tensor, count: int) -> Tensor:
    """KL(before || after) at answer positions, mean over samples (the released code has the other direction)."""
    old, new = torch.log_softmax(before, dim=-1), torch.log_softmax(after, dim=-1)
    return _mean_per_sample((old.exp() * (old - new)).sum(dim=-1), owner, count)


def _mean_per_sample(losses: Tensor, owner: Tensor, count: int) -> Tensor:
    sums = losses.new_zeros(count).index_add(0, owner, losses)
    sizes = losses.new_zeros(count).index_add(0, owner, torch.ones_like(losses))
    return (sums / sizes.clamp(min=1)).mean()


def soft_relative_loss(scores: Tensor, own: Tensor) -> Tensor:
    """InfoNCE over the batch: -log softmax(s_i)[own]. scores [I, E], own [I]."""
    return -torch.log(torch.softmax(scores, dim=1).gather(1, own[:, None]) + _TINY).mean()


def soft_absolute_loss(same: Tensor, other: Tensor) -> Tensor:
    """-log sigmoid(s) of questions that ask the same, -log(1 - sigmoid(s)) of questions that do not."""
    return -torch.log(torch.sigmoid(same) + _TINY).mean() - torch.log(1 - torch.sigmoid(other) + _TINY).mean()


def hard_in_scope_loss(scores: Tensor, sentinel: Tensor, own: Tensor) -> Tensor:
    """An input in scope picks its own of the batch's experts and the sentinel; scores [I, E], sentinel and own [I]."""
    classes = torch.cat([scores, sentinel[:, None]], dim=1)
    return -torch.log(torch.softmax(classes, dim=1).gather(1, own[:, None]) + _TINY).mean()


def hard_locality_loss(scores: Tensor, sentinel: Tensor) -> Tensor:
    """An input out of scope picks the sentinel."""
    classes = torch.cat([scores, sentinel[:, None]], dim=1)
    return -torch.log(torch.softmax(classes, dim=1)[:, -1] + _TINY).mean()
