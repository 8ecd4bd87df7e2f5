"""Answers tables made of loops, shared by the tests of `metrics`."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import pytest

from liveedit_bench.benchmark.edits import KINDS, LOCALITY_KINDS
from liveedit_bench.metrics.answers import COLUMNS

Row = dict[str, Any]


def make_row(**given: Any) -> Row:
    """One answers row, right unless told otherwise."""
    row: Row = {
        "step": 1,
        "when": "checkpoint",
        "position": 0,
        "edit": "e0",
        "probe": 0,
        "kind": "reliability",
        "thing": "thing0",
        "task": "clan",
        "seen_target": True,
        "seen_prompt": None,
        "status": "asked",
        "expected": "right",
        "leak": None,
        "expected_ids": [1, 2],
        "teacher_ids": [1, 2],
        "teacher_margin": 1.0,
        "ids": [1, 2, 0],
        "answer": "right",
        "margin": 1.0,
        "teacher_forced": None,
        "free_running": None,
    }
    assert not set(given) - set(row)
    row |= given
    if row["kind"] in LOCALITY_KINDS and "expected_ids" not in given:
        row["expected_ids"] = [1, 2, 0]
        row["teacher_ids"] = row["teacher_ids"] if "teacher_ids" in given else [1, 2, 0]
    return row


def make_table(rows: list[Row]) -> pd.DataFrame:
    """Rows as an answers table in its dtypes."""
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def random_rows(
    seed: int,
    *,
    edits: int = 12,
    checkpoints: tuple[int, ...] = (1, 5, 12),
    right: float = 0.6,
    panel: int = 8,
    probes: Mapping[str, int] | None = None,
) -> list[Row]:
    """A small run: failures, expiry, superseded edits, several probes per kind, shared things, unknown seen flags."""
    rng, later = random.Random(seed), random.Random(seed + 1)
    per_edit = probes or {"reliability": 1, "text_generality": 2, "image_generality": 3, "portability": 1}
    failed = {position for position in range(edits) if rng.random() < 0.1}
    rows: list[Row] = []

    def ask(step: int, when: str, position: int, probe: int, kind: str) -> None:
        local = kind in LOCALITY_KINDS
        good = rng.random() < right
        expected_ids = [rng.randrange(3) for _ in range(rng.randint(1, 4))] + ([9] if local else [])
        near = [token if rng.random() < right else 7 for token in expected_ids]
        status = "asked"
        if when == "checkpoint" and rng.random() < 0.1:
            status = "expired"
        elif when == "checkpoint" and not local and kind != "portability" and later.random() < 0.15:
            status = "superseded"
        elif position in failed and not local:
            status = "failed"
        gone = status == "expired"
        rows.append(
            make_row(
                step=step,
                when=when,
                position=position,
                edit=f"e{position % 7}",
                probe=probe,
                kind=kind,
                thing=f"other{(position + probe) % 5}" if local else f"thing{position // 2}",
                task="clan" if position % 3 else "craft",
                seen_target=[True, False, None][position % 3],
                seen_prompt=[True, False, None][probe % 3],
                status=status,
                expected="right",
                leak=rng.choice(["leaked", "right"])
                if local or kind == "portability"
                else later.choice(["leaked", "right"])
                if status == "superseded"
                else None,
                expected_ids=[] if gone else expected_ids,
                teacher_ids=[] if gone else near,
                ids=[] if gone else (expected_ids if good else [8]),
                answer=None if gone else (" right" if good else rng.choice(["leaked", "Right", "wrong"])),
            )
        )

    for position in range(edits):
        ask(position + 1, "after_edit", position, 0, "reliability")
        if position + 1 not in checkpoints:
            continue
        for earlier in range(position + 1):
            probe = 0
            for kind, count in per_edit.items():
                for _ in range(count):
                    ask(position + 1, "checkpoint", earlier, probe, kind)
                    probe += 1
        for place in range(panel):
            for index, kind in enumerate(KINDS):
                if kind in LOCALITY_KINDS:
                    ask(position + 1, "checkpoint", place % edits, 50 + 2 * index + place // edits, kind)
    return rows


@pytest.fixture(scope="session")
def row() -> Callable[..., Row]:
    """`make_row`."""
    return make_row


@pytest.fixture(scope="session")
def table() -> Callable[[list[Row]], pd.DataFrame]:
    """`make_table`."""
    return make_table


@pytest.fixture(scope="session")
def rows() -> Callable[..., list[Row]]:
    """`random_rows`."""
    return random_rows
