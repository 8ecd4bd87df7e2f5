"""Which split a file is taken for."""

from pathlib import Path

import pytest

from liveedit_bench.data_builders.annotations import Annotations
from liveedit_bench.data_builders.card import Card, KnownFile
from liveedit_bench.data_builders.splits import split_of

CARD = Card(
    name="things",
    title="",
    licence="",
    citation="",
    url="",
    files=(
        KnownFile(split="train", records=3, what="", names=("train.json",)),
        KnownFile(split="eval", records=2, what="", names=("eval.json", "test.json"), sha256="e" * 64),
        KnownFile(split="more", records=None, what="", names=("more.json",)),
    ),
)


def file(name: str, records: int, sha256: str = "0" * 64) -> Annotations:
    return Annotations(Path("somewhere") / name, sha256, [{}] * records)


@pytest.mark.parametrize(
    ("found", "given", "split", "said"),
    [
        (file("train.json", 3), None, "train", ""),
        (file("mine.json", 3), None, "train", ""),  # as many as no other file
        (file("train.json", 2), None, "train", "holds 2 records, the file 'train' as distributed 3"),
        (file("test.json", 2, "e" * 64), None, "eval", ""),
        (file("mine.json", 2, "e" * 64), None, "eval", ""),
        (file("eval.json", 2), None, "eval", "is not the file 'eval' as distributed"),
        (file("more.json", 9), None, "more", ""),
        (file("mine.json", 9), None, "custom", "mine.json with 9 records is no known file of things"),
        (file("mine.json", 9), "eval", "eval", "holds 9 records"),
        (file("train.json", 3), "my-split", "my-split", ""),
    ],
)
def test_split(found: Annotations, given: str | None, split: str, said: str) -> None:
    name, warnings = split_of(CARD, found, given)
    assert name == split
    assert bool(warnings) == bool(said)
    assert said in " ".join(warnings)
