"""What a user decides about a build from annotations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..benchmark.edits import Texts
from ..errors import BenchError

OnMissing = Literal["fail", "skip-edit", "report"]


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What a user decides about a build.

    Attributes:
        images: the folder that picture paths are relative to; None: the folder of the annotation file.
        split: None: that of the known file it looks like.
        texts: the recipe (see `texts`).
        on_missing_image: refuse to build, list the record as skipped, or keep its edit with missing pictures.
        limit: the first so many records only.
        train: the annotation file that editors train on; says which targets and questions of the stream it holds.
        workers: threads that decode pictures; None: as many as there are processors.
        progress: show a bar on stderr while many pictures are looked at.
    """

    images: Path | None = None
    split: str | None = None
    texts: Texts = "clean"
    on_missing_image: OnMissing = "fail"
    limit: int | None = None
    train: Path | None = None
    workers: int | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise BenchError(f"--limit {self.limit} builds nothing; give 1 or more")
