"""From annotation file and picture files to the audit: copies are found by file and by pixels, and shown."""

import json
import random
from pathlib import Path

import made_up_files
import pytest
from PIL import Image

from liveedit_bench.data_builders import e_vqa
from liveedit_bench.data_builders.audit import Report, audit
from liveedit_bench.data_builders.audit.opening import open_stream
from liveedit_bench.data_builders.audit.page import render
from liveedit_bench.data_builders.choices import Choices


def draw(file: Path, *, level: int = 6, seed: str | None = None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    noise = random.Random(seed or file.name).randbytes(16 * 12 * 3)
    Image.frombytes("RGB", (16, 12), noise).resize((320, 240)).save(file, "PNG", compress_level=level)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six records: 0 and 1 of copies of one file, 2 and 3 of one drawing saved twice, the picture of 5 in train."""
    root = tmp_path_factory.mktemp("pictures")
    made = made_up_files.e_vqa()
    records, train = [dict(made.evaluation[n]) for n in range(6)], [dict(made.train[n]) for n in range(2)]
    for side, part in (("eval", records), ("train", train)):
        for n, record in enumerate(part):
            for field in ("image", "image_rephrase", "m_loc"):
                record[field] = f"{side}/{field}{n}.png"
                draw(root / record[field], seed=f"{side} {field} {n}")
    draw(root / "eval/image1.png", seed="eval image 0")
    draw(root / "eval/image3.png", seed="eval image 2", level=0)
    draw(root / "train/m_loc1.png", seed="eval image 5", level=0)
    for side, part in (("eval", records), ("train", train)):
        (root / f"{side}.json").write_text(json.dumps(part), encoding="utf-8")
        e_vqa.build(root / f"{side}.json", Choices(images=root, split=side)).save(root / f"{side}-stream")
    return root


def report(folder: Path) -> tuple[Report, str]:
    ours, theirs = (open_stream(str(folder / f"{side}-stream"), usual_split=side) for side in ("eval", "train"))
    found, given = audit(ours.stream, train=theirs.stream, pixels={**theirs.pixels, **ours.pixels})
    return found, render(found, given)


def test_copies_are_found(folder: Path) -> None:
    found, _ = report(folder)
    shared = found.findings["shared-pictures"]
    assert shared.groups == ((0, 1), (2, 3))
    assert shared.numbers == {"groups": 2, "by path": 0, "by file": 2, "by pixels": 4}
    assert found.findings["missing-pictures"].count == 0
    leak = found.findings["train-pictures"]
    assert (leak.count, leak.of, [record.position for record in leak.records]) == (1, 16, [5])


def test_photographs_are_shown_small(folder: Path) -> None:
    _, page = report(folder)
    assert page.count("data:image/jpeg;base64,") >= 4
    assert len(page) < 2_000_000
    assert "missing: " not in page
