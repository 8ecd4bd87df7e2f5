"""BalancEdit: a codebook whose keys reach as far as an edit's own samples say.

Source: arXiv 2505.01343. For each edit the method makes a positive sample, which shall answer alike, and a negative
one, which shall not, and draws the radius of the edit's key between them:
radius = alpha * d(key, positive) + (1 - alpha) * d(key, negative). The negative sample is the edit's question over a
black picture. Keys, values and the rule for conflicts are those of GRACE (`codebook`). Only the paper's
abstract could be consulted: the radius is written as public code of that name computes it (whether it is the
authors' release was not confirmed), has no equation number, and is still to be checked against the paper.

Departures and choices:

* The positive sample of that code is a rephrase that comes with the data. An editor here is told the edit and
  nothing more: the positive samples are views of the edit's own picture (turned, smaller, darker); their mean
  distance counts. What a rephrase would have added to the radius is lost.
* An edit without a picture has distance 0 to its positive sample; its negative sample is its question over a black
  picture of 64 x 64.
* Keys within reach of each other that have other targets: both radii end half-way between them, as in GRACE. The
  code computes all radii anew from the newest edit's samples, which this does not follow.
* The block is half-way up, values are learnt as described in `codebook`; `alpha` was set on 100 edits of Emblems
  validation (three trials: 0.5, 0.8, 0.9).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from PIL import Image
from torch import Tensor

from ..backbone import Query
from ..editor import EditRequest
from ..edits import Picture
from .codebook import CodebookEditor, CodebookOptions, distance
from .samples import blank, views


@dataclass(frozen=True)
class BalancEditOptions(CodebookOptions):
    """alpha: the share of the positive samples in a radius. The others: see `CodebookOptions`."""

    alpha: float = 0.5


class BalancEdit(CodebookEditor):
    """A codebook with a radius of its own for each edit."""

    name = "balancedit"
    Options: ClassVar[type[Any]] = BalancEditOptions

    def radius(self, request: EditRequest, key: Tensor) -> float:
        """Between the views of the edit's picture and a black one."""
        given: BalancEditOptions = self.options
        seen = [] if request.image is None else views(request.image)
        black = _BLACK if request.image is None else blank(request.image)
        far = distance(self.keys([Query(picture, request.prompt) for picture in (black, *seen)]), key)
        negative = float(far[0])
        positive = float(far[1:].mean()) if seen else 0.0
        return given.alpha * positive + (1 - given.alpha) * negative


_BLACK = Picture(lambda: Image.new("RGB", (64, 64)))
