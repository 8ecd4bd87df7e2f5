"""Editors and the harness's short cuts over every family of backbones, a few edits each."""

from typing import Any, cast

import pytest
import torch
from tiny_families import picture

from liveedit_bench.benchmark.backbone import Query
from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone
from liveedit_bench.benchmark.editor import Editor, EditRequest
from liveedit_bench.benchmark.editors.ft_l import FtL
from liveedit_bench.benchmark.editors.liveedit.editor import LiveEdit
from liveedit_bench.benchmark.editors.liveedit.modules import LiveEditModules, Shape
from liveedit_bench.benchmark.editors.liveedit.weights import TrainedModules
from liveedit_bench.benchmark.editors.none import NoEdit
from liveedit_bench.benchmark.editors.oracle import Oracle
from liveedit_bench.benchmark.editors.retrieval import Retrieval
from liveedit_bench.runners.reuse import LayerReuse

REQUESTS = [
    EditRequest(picture(50, 32, 32), "which clan is this ?", "bala"),
    EditRequest(picture(51, 48, 24), "who lives there ?", "konuzi"),
    EditRequest(picture(52, 24, 48), "which clan is this ?", "ra"),
]
OTHERS = [Query(picture(60, 40, 32), "where does it come from ?"), Query(None, "say the motto of this era")]
