"""Pixels of several pictures as one tensor, and back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def collated(pixels: Sequence[Tensor]) -> Tensor | None:
    """[M, ...] of M pictures: stacked where each is one image, else padded with zeros to the largest on every side."""
    if not pixels:
        return None
    if _are_images(pixels):
        return torch.cat(list(pixels))
    sides = [max(each.shape[axis] for each in pixels) for axis in range(pixels[0].dim())]
    padded = pixels[0].new_zeros(len(pixels), *sides)
    for index, each in enumerate(pixels):
        padded[(index, *map(slice, each.shape))] = each
    return padded


def alone(stacked: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """The pictures of a stack, each in the shape that `like` has there."""
    if _are_images(like):
        return [stacked[index : index + 1] for index in range(len(like))]
    return [stacked[(index, *map(slice, each.shape))] for index, each in enumerate(like)]


def _are_images(pixels: Sequence[Tensor]) -> bool:
    return all(each.shape[0] == 1 and each.shape == pixels[0].shape for each in pixels)
