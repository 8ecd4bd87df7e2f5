import copy
import subprocess
import sys
from typing import Any, cast

import pytest
import torch
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from liveedit_bench.benchmark.backbones.families import FAMILIES
from liveedit_bench.benchmark.backbones.huggingface import load_emblem
from liveedit_bench.benchmark.backbones.memory import Need, as_json, known_needs, lines
from liveedit_bench.benchmark.backbones.minigpt4.auto import register
from liveedit_bench.benchmark.backbones.published import CONFIGS, COUNTS

register()


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_counts_are_those_of_the_librarys_own_models(name: str):
    kind, sizes = CONFIGS[name]
    config = cast(Any, CONFIG_MAPPING[kind])(**copy.deepcopy(dict(sizes)))
    with torch.device("meta"):
        model = cast(Any, transformers.AutoModelForImageTextToText).from_config(config)
    head = model.get_output_embeddings()
    linear = {
        module.weight: module.weight.numel()
        for module in model.modules()
        if type(module) is torch.nn.Linear and module is not head
    }
    assert COUNTS[name] == (sum(each.numel() for each in model.parameters()), sum(linear.values()))


def test_every_published_backbone_is_of_a_tested_family():
    assert COUNTS.keys() == CONFIGS.keys()
    assert {kind for kind, _ in CONFIGS.values()} <= FAMILIES.keys()


def test_the_shipped_backbone_is_counted_from_its_file():
    parameters = sum(each.numel() for each in load_emblem().model.parameters())
    assert known_needs()["emblem-llava"] == Need("llava", parameters)


def test_bytes():
    assert Need("x", 1000, 640).bytes() == {"float32": 4000, "bfloat16": 2000, "8bit": 1360, "4bit": 1080}
    assert set(Need("x", 1000).bytes()) == {"float32", "bfloat16"}


def test_lines_and_json_name_the_same():
    places = {"emblem-llava": "a.b:c", "mine": "d:e"}
    found = lines(places)
    assert [line.split()[0] for line in found] == ["emblem-llava", "mine", *CONFIGS] == list(as_json(places))
    assert "bfloat16 13.2 GiB" in next(line for line in found if "llava-1.5-7b" in line)
    assert next(line for line in found if "minigpt4-7b" in line).endswith("convert minigpt4)")
    assert as_json(places)["mine"] == {"place": "d:e"}


def test_listing_needs_no_torch():
    code = "import sys, liveedit_bench.benchmark.backbones.memory as it; it.lines({}); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
