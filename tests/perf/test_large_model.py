import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import LlavaForConditionalGeneration

from liveedit_bench.benchmark.editors.liveedit.modules import LiveEditModules

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "perf" / "large_model.py"


def check(found: dict[str, Any], edits: int) -> None:
    assert found["note"].endswith("still to be taken on a GPU: python perf/large_model.py")
    assert found["edits"] == edits
    assert found["curve"][-1]["edits"] == edits
    assert found["environment"]["cores"] >= 1
    for point in found["curve"]:
        # 4 slots of phi and psi, 4 rows of U and V, 4 bytes each
        assert point["repository_bytes"] == point["edits"] * 4 * (2 * 4 * 32 + 2 * 4 * 64)
        assert 0 <= point["experts_kept"] <= point["edits"]
        assert min(point[f"{name}_seconds"] for name in ("unedited", "edited", "all_experts")) > 0


def test_tiny_in_short(tmp_path: Path):
    out = tmp_path / "found.json"
    words = ["--tiny", "--edits", "12", "--questions", "3", "--out", str(out)]
    done = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, check=True)
    found = json.loads(out.read_text())
    check(found, 12)
    assert [point["edits"] for point in found["curve"]] == [1, 10, 12]
    assert found["note"] in done.stdout


def test_the_committed_output_is_of_1000_edits():
    check(json.loads((ROOT / "perf" / "results" / "large_model_tiny.json").read_text()), 1000)


def test_without_a_gpu_it_says_so():
    environment = {"CUDA_VISIBLE_DEVICES": "", "PATH": ""}
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert "the 7B figure is still to be taken; --tiny" in done.stderr


def test_the_large_sizes_are_those_of_llava_7b_and_of_the_released_configuration():
    script = runpy.run_path(str(SCRIPT))
    with torch.device("meta"):
        model = LlavaForConditionalGeneration(script["llava_config"](script["LARGE"]))
        modules = LiveEditModules(script["architecture"](script["LARGE"]))
    assert sum(weight.numel() for weight in model.parameters()) == 7_063_427_072
    assert round(sum(weight.numel() for weight in modules.parameters()) / 1e6, 1) == 103.1
    shape = modules.shape
    assert 4 * 2 * (shape.slots * shape.width + shape.rank * shape.hidden_size) == 160 * 1024  # bytes of one edit
