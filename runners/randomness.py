"""The random states of the process: python, numpy and torch, set, kept and put back together."""

from __future__ import annotations

import random
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class RandomState:
    """A snapshot of every generator an editor may draw from."""

    python: tuple[Any, ...]
    numpy: dict[str, Any]
    torch: Tensor
    cuda: tuple[Tensor, ...]


def seed_everything(seed: int) -> None:
    """Start every generator at `seed`."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    cast("Any", torch).manual_seed(seed)


def snapshot() -> RandomState:
    """The generators as they stand now."""
    cuda = tuple(torch.cuda.get_rng_state_all()) if torch.cuda.is_available() else ()
    numpy: Any = np.random.get_state(legacy=False)
    return RandomState(python=random.getstate(), numpy=numpy, torch=torch.get_rng_state(), cuda=cuda)


def put_back(state: RandomState) -> None:
    """Continue from a snapshot."""
    random.setstate(state.python)
    np.random.set_state(state.numpy)
    torch.set_rng_state(state.torch)
    if state.cuda and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(list(state.cuda))


@contextmanager
def undisturbed() -> Generator[None]:
    """Whatever is drawn inside does not change what is drawn afterwards: asking must not alter the edits to come."""
    before = snapshot()
    try:
        yield
    finally:
        put_back(before)
