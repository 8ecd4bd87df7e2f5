"""What the weights of a backbone need in memory, said without loading it, or torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from .published import CONFIGS, COUNTS

Kind = Literal["float32", "bfloat16", "8bit", "4bit"]
COMPOSED = {"minigpt4": " (a folder made by: liveedit-bench convert minigpt4)"}
"""What is no name that `--backbone` takes, by `model_type`."""

EMBLEM = Path(__file__).parent / "emblem" / "weights" / "model.safetensors"


@dataclass(frozen=True)
class Need:
    """Of one backbone.

    parameters: how many there are. linear: how many of them lie in layers that bitsandbytes shrinks: all linear ones
    but the output head; None where nobody counted.
    """

    model_type: str
    parameters: int
    linear: int | None = None

    def bytes(self) -> dict[str, int]:
        """Of the weights alone, an estimate. What is not shrunk to 8 or 4 bits stays in bfloat16."""
        found = {"float32": self.parameters * 4, "bfloat16": self.parameters * 2}
        if self.linear is not None:
            rest = (self.parameters - self.linear) * 2
            # Four bits and a float32 scale for every 64 weights; the scales of 8 bits, one a row, hardly count.
            found |= {"8bit": rest + self.linear, "4bit": rest + self.linear * 9 // 16}
        return found


def known_needs() -> dict[str, Need]:
    """The shipped backbone and the published ones, by the name that `--backbone` takes (but see `COMPOSED`)."""
    hub = {name: Need(CONFIGS[name][0], *COUNTS[name]) for name in CONFIGS}
    return {"emblem-llava": Need("llava", _parameters_in(EMBLEM)), **hub}


def lines(places: Mapping[str, str]) -> list[str]:
    """One line for each backbone: the named ones of `places`, and the published ones."""
    needs = known_needs()
    rows: list[list[str]] = []
    for name in (*places, *(known for known in needs if known not in places)):
        need = needs.get(name)
        if need is None:
            rows.append([name, places[name]])
            continue
        sizes = need.bytes()
        rows.append([name, f"{_short(need.parameters)} parameters"])
        rows[-1] += [f"{kind} {_gib(sizes[kind])}" if kind in sizes else "" for kind in get_args(Kind)]
        rows[-1].append(need.model_type + COMPOSED.get(need.model_type, ""))
    widths = [max(len(row[column]) for row in rows if column < len(row)) for column in range(2 + len(get_args(Kind)))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=False)).rstrip() for row in rows
    ]


def as_json(places: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The same as plain values: ``{name: {place, model_type, parameters, bytes}}``."""
    needs = known_needs()
    found: dict[str, dict[str, Any]] = {name: {"place": place} for name, place in places.items()}
    for name, need in needs.items():
        found.setdefault(name, {}).update(
            {"model_type": need.model_type, "parameters": need.parameters, "bytes": need.bytes()}
        )
    return found


def _parameters_in(path: Path) -> int:
    """From the header of a safetensors file: eight bytes that say how long it is, then JSON."""
    with path.open("rb") as file:
        header: dict[str, Any] = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(math.prod(each["shape"]) for name, each in header.items() if name != "__metadata__")


def _short(count: int) -> str:
    return f"{count / 1e9:.2f} B" if count >= 1e8 else f"{count / 1e6:.2f} M"


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**28 else f"{size / 2**20:.1f} MiB"
