"""The streams that a command line names, arranged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...benchmark.edits import EditStream
from ...benchmark.plugins import EDITS, load_stream, names
from ...errors import BenchError
from .arranging import SHARE, Arranged, arranged, check
from .superseding import seconds


def open_arranged(
    name: str,
    scenarios: Sequence[str],
    *,
    edits: int | None,
    seed: int = 0,
    split: str | None = None,
    share: float = SHARE,
) -> Arranged:
    """The first `edits` edits of an arranged dataset, or of an arranged stored stream.

    Of a dataset so many edits are built that, arranged, there are `edits` of them; a stored stream is arranged whole
    and then cut, as if it had been arranged and stored before. Without `edits`: 1,000, or all of a stored stream.

    Raises:
        BenchError: there are fewer edits, no such stream, or a scenario that cannot be.
    """
    check(scenarios, share=share)
    if is_stored(name):
        whole = arranged(load_stream(name, edits=None, split=split, in_order=True), scenarios, seed=seed, share=share)
        edits = len(whole.stream) if edits is None else edits
        if not 1 <= edits <= len(whole.stream):
            raise BenchError(
                f"{edits} edits are asked of {name}, which holds {len(whole.stream)} once arranged; "
                f"give a number from 1 to {len(whole.stream)}"
            )
        return whole.first(edits)
    edits = EDITS if edits is None else edits
    needed = _needed(edits, share) if "superseding" in scenarios else edits
    while True:
        found = arranged(load_stream(name, edits=needed, seed=seed, split=split), scenarios, seed=seed, share=share)
        if (short := edits - len(found.stream)) <= 0:  # fewer were edited again than the share asks for
            return found.first(edits)
        needed += short


def open_streams(given: Sequence[str], *, edits: int, seed: int, split: str | None) -> list[EditStream]:
    """Stored streams whole and in their order; datasets by name with so many edits."""
    return [
        load_stream(name, edits=None if is_stored(name) else edits, seed=seed, split=split, in_order=True)
        for name in given
    ]


def is_stored(name: str) -> bool:
    """Does the name lead to a folder? A dataset's name wins over a folder that happens to be called so."""
    return ":" not in name and name not in names("datasets") and Path(name).is_dir()


def _needed(edits: int, share: float) -> int:
    """The fewest edits that are at least `edits` once their share is edited again."""
    needed = max(1, int(edits / (1 + share)) - 1)
    while needed + seconds(needed, share) < edits:
        needed += 1
    return needed
