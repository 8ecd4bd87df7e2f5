"""Hand-written annotation files in the schemas of the field, and pictures for the paths they name.

Every text is made up. The files hold each anomaly that the real ones are known for; pictures are drawn when a test
asks for them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

FIXTURES = Path(__file__).parent / "data_builders" / "fixtures"
E_VQA, E_VQA_TRAIN = FIXTURES / "vqa_eval.json", FIXTURES / "vqa_train.json"
E_IC = FIXTURES / "caption_eval_edit.json"
VLKEB, ONE_HOP, MULTI_HOP = (
    FIXTURES / "vlkeb" / f"{name}.json" for name in ("eval", "eval_edit_onehop", "eval_multihop")
)


def records_of(file: Path) -> list[dict[str, Any]]:
    return json.loads(file.read_text(encoding="utf-8"))


def paths_of(records: list[dict[str, Any]]) -> Iterator[str]:
    """Every picture that records name."""
    for record in records:
        yield from (record["image"], record["image_rephrase"], record["m_loc"])


def draw_pictures(folder: Path, file: Path) -> Path:
    """A picture for each path of an annotation file; its pixels follow from the path. Returns the folder."""
    for path in paths_of(records_of(file)):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        seed = hashlib.sha256(path.encode()).digest()
        small = Image.frombytes("RGB", (2, 2), seed[:12])
        small.resize((24, 24), Image.Resampling.BICUBIC).save(target)
    return folder


def copy_of(file: Path, folder: Path, **changes: Any) -> Path:
    """The annotation file with its pictures in a new folder; `changes` go into its first record."""
    draw_pictures(folder, file)
    target = folder / file.name
    if not changes:
        shutil.copyfile(file, target)
        return target
    first, *others = records_of(file)
    target.write_text(json.dumps([{**first, **changes}, *others]), encoding="utf-8")
    return target
