"""Lets torchvision be imported beside a torch that it was not compiled for; of use to tests alone.

Its Python side registers shapes and gradients for compiled operators and stops where these are missing. None of them is
ever called here: what transformers takes from torchvision for pictures is plain Python.
"""

import torch

OPERATORS = ("nms", "qnms", "roi_align", "qroi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "deform_conv2d")
BACKWARD = ("roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "deform_conv2d")

_library = torch.library.Library("torchvision", "DEF")
for _name in (*OPERATORS, *(f"_{each}_backward" for each in BACKWARD)):
    _library.define(f"{_name}(Tensor x) -> Tensor")
