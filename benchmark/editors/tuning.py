"""Gradient descent on an edit, until it is learnt: what all fine-tuning editors share."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .target_loss import Predicted


@torch.inference_mode(False)
@torch.enable_grad()
def tune(
    weights: Sequence[Tensor],
    forward: Callable[[], Predicted],
    *,
    lr: float,
    max_steps: int,
    learnt: Callable[[Predicted, Tensor], bool],
    penalty: Callable[[], Tensor] | None = None,
    optimiser: Callable[..., Any] = torch.optim.Adam,
) -> bool:
    """Steps on `weights`, which `forward` depends on, until the answers are learnt. False: the steps ran out before.

    Loss: mean negative log likelihood of the answers' tokens, plus the `penalty`; `learnt` is told the former. The
    optimiser begins anew with every call. Weights that are not float32 are trained in a float32 copy, from which they
    are written after each step.
    """
    masters = [weight if weight.dtype == torch.float32 else weight.detach().float() for weight in weights]
    steps = optimiser(masters, lr=lr)
    for _ in range(max_steps):
        predicted = forward()
        loss = cross_entropy(predicted.logits, predicted.labels)
        if learnt(predicted, loss):
            return True
        if penalty is not None:
            loss = loss + penalty()
        # A weight that the answer does not depend on (a projector, asked without a picture) stays as it is.
        grads: Any = torch.autograd.grad(loss, weights, allow_unused=True)
        for master, grad in zip(masters, grads, strict=True):
            master.grad = None if grad is None else grad.to(master.dtype)
        steps.step()
        with torch.no_grad():
            for weight, master in zip(weights, masters, strict=True):
                if weight is not master:
                    weight.copy_(master)
    for master in masters:
        master.grad = None
    return False


def finite(weights: Sequence[Tensor]) -> bool:
    """Whether every number is one."""
    return all(bool(weight.isfinite().all()) for weight in weights)


@contextmanager
def trained(parameters: Sequence[nn.Parameter]) -> Generator[None]:
    """While open, the parameters are trained; if that fails they are put back."""
    before = [parameter.detach().clone() for parameter in parameters]
    for parameter in parameters:
        parameter.requires_grad_(True)
    try:
        yield
    except BaseException:
        with torch.inference_mode(False), torch.no_grad():
            for parameter, value in zip(parameters, before, strict=True):
                parameter.copy_(value)
        raise
    finally:
        for parameter in parameters:
            parameter.requires_grad_(False)
            parameter.grad = None
