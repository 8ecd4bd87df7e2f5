from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from liveedit_bench.benchmark.backbone import Backbone
from liveedit_bench.benchmark.edits import EditStream
from liveedit_bench.data_builders.emblems import build
from liveedit_bench.errors import BenchError
from liveedit_bench.runners.vocabulary import refuse_unsayable_targets


@dataclass(frozen=True)
class Speller:
    """Knows the letters a to z."""

    name: str = "speller"

    def target_ids(self, target: str) -> tuple[int, ...]:
        return tuple(ord(letter) if "a" <= letter <= "z" else 0 for letter in target.lower() if letter != " ")

    def decode(self, ids: tuple[int, ...]) -> str:
        return " ".join(chr(number) for number in ids if number)


def stream(*targets: str) -> EditStream:
    first = build(1, seed=0, split="validation")
    return EditStream([replace(first[0], target=target) for target in targets], first.source)


def refuse(*targets: str) -> None:
    refuse_unsayable_targets(stream(*targets), cast("Backbone", cast("Any", Speller())))


def test_case_and_white_space_may_change(capsys: pytest.CaptureFixture[str]) -> None:
    refuse("red bus", "Horse")
    assert not capsys.readouterr().err


def test_a_few_lost_targets_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    refuse("red", "blue", "9 o'clock", "9 o'clock")
    assert capsys.readouterr().err == (
        'warning: speller cannot say 1 of the 3 different targets of emblems (such as "9 o\'clock"): its vocabulary '
        "lacks them; no editor can be right there\n"
    )


def test_most_targets_lost_is_refused() -> None:
    with pytest.raises(BenchError, match=r"speller cannot say 2 of the 3 .* \(such as '1'\).*--backbone"):
        refuse("1", "2", "red")
