from pathlib import Path

import pytest
from tiny_families import ALL, picture

from liveedit_bench.benchmark.backbone import Query
from liveedit_bench.benchmark.backbones import families
from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone

QUERIES = [
    Query(picture(1, 24, 24), "which clan is this ?"),
    Query(None, "who lives there ?"),
    Query(picture(2, 24, 24), "say the motto of this era"),
]


LIKE_THEIRS = ["llava", "llava_next", "idefics3", "gemma3", "qwen2_vl", "qwen3_vl", "internvl", "llava_onevision"]
"""Families whose processors write the picture's tokens into the text, which is what is taken for granted."""


@pytest.mark.parametrize(
    "tiny",
    [
        pytest.param(tiny, id=tiny.model_type, marks=[pytest.mark.extras] if tiny.needs else [])
        for tiny in ALL
        if tiny.available and tiny.model_type in LIKE_THEIRS
    ],
    indirect=True,
)
def test_a_family_that_nobody_has_looked_at(
    family: HuggingFaceBackbone, family_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """Called as its library calls it, a model says what it says through its own family."""
    monkeypatch.setattr(families, "FAMILIES", {})
    asked = "plain" if family.template.image == "{image}\n{prompt}" else None
    whole = HuggingFaceBackbone.load(family_folder, name=family.name, template=asked)
    for part in (QUERIES, QUERIES[:1], QUERIES[1:2]):
        batch, own = whole.encode(part, ["bala"] * len(part)), family.encode(part, ["bala"] * len(part))
        real = batch.attention_mask.bool()
        assert (whole.logits(batch) - family.logits(own))[real].abs().max() < 1e-4
    said = zip(whole.generate(QUERIES), family.generate(QUERIES), strict=True)
    assert all(one.ids == other.ids or other.margin < 1e-3 for one, other in said)
