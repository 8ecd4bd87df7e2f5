"""What the authors' released code gave on a tiny LLaVA (tests/oracle, whose README explains every file)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from liveedit_bench.benchmark.backbone import Batch, Query
from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone
from liveedit_bench.benchmark.editor import EditRequest
from liveedit_bench.benchmark.editors.ft_l import FtL, FtLOptions
from liveedit_bench.benchmark.editors.liveedit import LiveEdit, LiveEditOptions
from liveedit_bench.benchmark.editors.liveedit.released import read_released
from liveedit_bench.benchmark.edits import Picture

FOLDER = Path(__file__).parent / "oracle"
LAYER, HEADS = 2, 4  # config_liveedit.json
FT_VL = FtLOptions(lr=0.006, max_steps=25, stop_loss=0.01, stop_margin=None, learn_end=False)  # config_ft_vl.json


def read(name: str) -> Any:
    """A JSON file of the fixture."""
    return json.loads((FOLDER / name).read_text())


def tensors(name: str) -> dict[str, Tensor]:
    """A safetensors file of the fixture."""
    return load_file(FOLDER / f"{name}.safetensors")


LARGEST: dict[str, tuple[float, float]] = {}
"""By quantity: the largest difference met so far, and the largest allowed (``pytest -v tests/oracle`` prints them)."""


def agree(what: str, ours: Tensor | float, theirs: Tensor | float, within: float, *, relative: bool = False) -> None:
    """Assert that two values of one shape differ by at most `within` everywhere."""
    mine, recorded = torch.as_tensor(ours).detach().double(), torch.as_tensor(theirs).double()
    assert mine.shape == recorded.shape, what
    gap = (mine - recorded).abs() / (recorded.abs() if relative else 1)
    LARGEST[what] = (max(float(gap.max()), LARGEST.get(what, (0.0, 0.0))[0]), within)
    assert float(gap.max()) <= within, what


@dataclass(frozen=True)
class Oracle:
    """The backbone and the records that everything was recorded on."""

    backbone: HuggingFaceBackbone
    records: list[dict[str, str]]

    @classmethod
    def load(cls) -> Oracle:
        return cls(HuggingFaceBackbone.load(FOLDER / "tiny_llava", name="tiny_llava"), read("data/vqa/vqa_eval.json"))

    def encode(self, probes: Sequence[dict[str, Any]]) -> Batch:
        """Recorded probes with their targets; the suffixes of the released protocol are part of the prompts."""
        queries = [Query(picture(probe["image"]), probe["prompt"]) for probe in probes]
        return self.backbone.encode(queries, [probe["target"] for probe in probes])

    def request(self, record: int) -> EditRequest:
        """The edit of a record, with the suffix of the released protocol."""
        found = self.records[record]
        return EditRequest(picture(found["image"]), f"{found['src']} The answer is:", found["alt"])

    def liveedit(self, weights: str, **options: Any) -> LiveEdit:
        """LiveEdit as released: the given weights converted, no margin on the sentinel."""
        editor = LiveEdit(self.backbone, replace(LiveEditOptions(margin=0.0), **options))
        editor.use(read_released(FOLDER / f"liveedit_modules_{weights}.safetensors", layer=LAYER, heads=HEADS))
        return editor

    def ft_vl(self) -> FtL:
        """Fine-tuning as in the released code."""
        return FtL(self.backbone, FT_VL)


def picture(path: str | None) -> Picture | None:
    """A picture of the fixture, opened when it is needed."""
    if path is None:
        return None
    file = FOLDER / "data" / "images" / path
    return Picture(lambda: Image.open(file))


def answer_rows(values: Tensor, batch: Batch, row: int) -> Tensor:
    """The rows of `values` [B, T, *] that predict the answer of one question."""
    return values[row, batch.answer_mask[row].nonzero()[:, 0] - 1]


def top(logits: Tensor) -> tuple[list[int], float]:
    """Argmax of logits [n, V] and the smallest margin between the best and the second."""
    best = logits.topk(2)
    found: list[int] = best.indices[:, 0].tolist()
    return found, float((best.values[:, 0] - best.values[:, 1]).min())
