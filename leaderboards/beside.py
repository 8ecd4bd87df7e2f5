"""Which published rows may stand beside a run, and what sets them apart from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..benchmark.plugins import near
from ..errors import BenchError
from .published.reported import Reported, rows, source
from .schema import Result

DATASETS = {"e-vqa": "E-VQA", "vlkeb": "VLKEB"}
"""Our names of the datasets that the published table has."""
BACKBONES = {"llava-1.5": "LLaVA", "llava-v1.5": "LLaVA", "blip2": "BLIP2", "blip-2": "BLIP2"}
"""Parts of the names of checkpoints, and what the published table calls them."""


@dataclass(frozen=True)
class Asked:
    """What the published numbers must be about; None: whatever the runs are about."""

    backbone: str | None = None
    dataset: str | None = None

    def __post_init__(self) -> None:
        _check_known("backbone", self.backbone, (row.backbone for row in rows()))
        _check_known("dataset", self.dataset, (row.dataset for row in rows()))

    def __bool__(self) -> bool:
        return self.backbone is not None or self.dataset is not None


def beside(result: Result, sizes: Sequence[int], asked: Asked) -> tuple[list[Reported], list[str]]:
    """Published rows of these block sizes, in the order of the table, and notes on how they differ from the run."""
    own_backbone, own_dataset = _published_backbone(result.backbone.name), DATASETS.get(result.stream.dataset)
    backbone, dataset = asked.backbone or own_backbone, asked.dataset or own_dataset
    if backbone is None or dataset is None:
        what = [
            f"{kind} {name}"
            for kind, name, known in (
                ("backbone", result.backbone.name, backbone),
                ("dataset", result.stream.dataset, dataset),
            )
            if known is None
        ]
        given = "--backbone LLaVA --dataset E-VQA shows what was reported elsewhere"
        return [], [f"Nothing was reported on the {' and the '.join(what)}; {given}."]
    fitting = [row for row in rows() if (row.backbone, row.dataset) == (backbone, dataset)]
    found = [row for row in fitting if row.size in sizes]
    notes = [f"reported: {source().cited}; {backbone}, {dataset}; not ranked."] if found else []
    if found and backbone != own_backbone:
        notes.append(f"Another backbone: reported on {backbone}, the runs are on {result.backbone.name}.")
    elif found:
        notes.append(f"Backbone matched by its name alone ({result.backbone.name} for {backbone}); weights may differ.")
    if found and "template" in (result.backbone.loaded_as or {}):
        notes.append("The runs asked through a template of the model's; the paper's prompts stand in none.")
    if found and dataset != own_dataset:
        notes.append(f"Another dataset: reported on {dataset}, the runs are on {result.stream.dataset}.")
    elif found:
        notes.append(f"Dataset matched by its name alone; the runs are on {result.stream.edits:,} records of it.")
    absent = [size for size in sizes if size not in {row.size for row in fitting}]
    if absent:
        notes.append(f"No row of {backbone}, {dataset} is known for {', '.join(f'{size:,}' for size in absent)} edits.")
    notes += [
        f"{row.editor} at {row.size:,} edits could not be recovered and is left empty."
        for row in found
        if row.average is None
    ]
    return found, notes


def _published_backbone(name: str) -> str | None:
    lower = name.casefold()
    return next((published for part, published in BACKBONES.items() if part in lower), None)


def _check_known(what: str, name: str | None, names: Iterable[str]) -> None:
    known = sorted(set(names))
    if name is not None and name not in known:
        raise BenchError(f"nothing was reported on the {what} {name!r}{near(name, known)}; known: {', '.join(known)}")
