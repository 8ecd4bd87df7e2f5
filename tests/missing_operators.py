"""Lets torchvision be imported beside a torch that it was not compiled for; of use to tests alone.

Its Python side registers shapes and gradients for compiled operators and stops where these are missing. None of them is
ever called here: what transformers takes from torchvision for pictures is plain Python.
"""

import importlib.util

import torch

HAS_TORCHVISION = importlib.util.find_spec("torchvision") is not None
OPERATORS = ("nms", "qnms", "roi_align", "qroi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "deform_conv2d")
BACKWARD = ("roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "deform_conv2d")

if HAS_TORCHVISION:
    LIBRARY = torch.library.Library("torchvision", "DEF")
    for name in (*OPERATORS, *(f"_{each}_backward" for each in BACKWARD)):
        LIBRARY.define(f"{name}(Tensor x) -> Tensor")
