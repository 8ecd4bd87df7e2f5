"""The hardness audit against plain loops, and with pictures whose distances are known."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_llava import save_tiny_llava

from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone
from liveedit_bench.benchmark.edits import Edit
from liveedit_bench.data_builders.emblems import audit, build

STREAM = build(12, split="validation")


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceBackbone:
    folder: Path = save_tiny_llava(tmp_path_factory.mktemp("tiny"))
    return HuggingFaceBackbone.load(folder, name="tiny")


def flat(edit: Edit, kind: str) -> NDArray[np.float64]:
    [probe] = [probe for probe in edit.probes if probe.kind == kind]
    assert probe.image is not None
    return np.asarray(probe.image.open()).astype(float).ravel()


def test_twins_nearer_in_pixels_by_a_plain_loop(backbone: HuggingFaceBackbone) -> None:
    nearer = []
    for edit in STREAM:
        edited, second = flat(edit, "reliability"), flat(edit, "image_generality")
        for kind in audit.TWINS:
            nearer.append(((flat(edit, kind) - edited) ** 2).sum() < ((second - edited) ** 2).sum())
    assert audit.hardness(STREAM, backbone).twins_nearer_in_pixels == pytest.approx(np.mean(nearer))


def test_counts(backbone: HuggingFaceBackbone) -> None:
    found = audit.hardness(STREAM, backbone)
    targets = [edit.target for edit in STREAM]
    assert (found.edits, found.twins, found.distinct_targets) == (12, 24, len(set(targets)))
    assert found.unseen_targets == pytest.approx(sum(not edit.facts.seen_target for edit in STREAM) / 12)
    assert 0 < found.majority_floor <= 1
    assert all(isinstance(value, int | float) for value in found.plain().values())


def test_features_are_what_the_decoder_sees(backbone: HuggingFaceBackbone) -> None:
    pictures = [edit.image for edit in STREAM if edit.image is not None][:3]
    rows = audit.vision_rows(backbone)(pictures)
    assert rows.shape == (3, 4, backbone.hidden_size)
    assert np.abs(rows - audit.vision_rows(backbone)(pictures[::-1])[::-1]).max() < 1e-5
