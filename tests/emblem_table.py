"""Emblems edits as anybody's table: a row per edit, a folder of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from liveedit_bench.benchmark.edits import Edit, EditStream, Kind, Picture
from liveedit_bench.data_builders.emblems import build
from liveedit_bench.data_builders.table.roles import GROUPS

COLUMNS = {"image": "picture", "prompt": "question", "target": "answer"}
"""The columns that are not called like their roles."""

_GROUP_OF: dict[Kind, str] = {group.kind: name for name, group in GROUPS.items()}


def unseen_emblems(edits: int) -> EditStream:
    """Emblems edits without what a table cannot say: which targets and questions training streams hold.

    The order is no longer that of a seed: a stored stream of this kind is shuffled, as a table's is.
    """
    stream = build(edits, seed=0, split="validation")
    plain = [
        replace(
            edit,
            probes=tuple(replace(probe, seen=None) for probe in edit.probes),
            facts=replace(edit.facts, seen_target=None),
        )
        for edit in stream
    ]
    return EditStream(plain, replace(stream.source, seed=None))


def rows_of(stream: Sequence[Edit], folder: Path) -> list[dict[str, object]]:
    """The rows, with every picture written to `folder` as a PNG and named by its path."""
    folder.mkdir(parents=True, exist_ok=True)

    def png(picture: Picture) -> str:
        name = f"{picture.sha256[:16]}.png"
        if not (folder / name).exists():
            picture.open().save(folder / name)
        return name

    rows: list[dict[str, object]] = []
    for edit in stream:
        assert edit.image is not None
        row: dict[str, object] = {"picture": png(edit.image), "question": edit.prompt, "answer": edit.target}
        row |= {name: getattr(edit.facts, name) for name in ("old", "entity", "task", "key")}
        for probe in edit.probes[1:]:
            group = _GROUP_OF[probe.kind]
            if probe.image is not None:
                row[f"{group}_image"] = png(probe.image)
            row |= {f"{group}_prompt": probe.prompt, f"{group}_target": probe.target, f"{group}_key": probe.fact}
            if probe.facts_used:
                row[f"{group}_uses"] = [key for key in probe.facts_used if key != edit.facts.key]
        rows.append(row)
    columns = dict.fromkeys(column for row in rows for column in row)
    return [{column: row.get(column) for column in columns} for row in rows]
