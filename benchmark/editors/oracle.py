"""Perfect memory without any generality: a lookup of exactly what was edited."""

from __future__ import annotations

from ..backbone import Backbone, Query
from .lookup import Lookup, Record


class Oracle(Lookup):
    """Answers a question whose picture and prompt were edited with the newest target, and touches nothing else."""

    name = "oracle"

    def __init__(self, backbone: Backbone, options: object = None, *, seed: int = 0) -> None:
        super().__init__(backbone, options, seed=seed)
        self._targets: dict[tuple[str | None, str], str] = {}

    def remember(self, record: Record) -> None:
        """Take one edit into the table; it supersedes an older one of the same picture and prompt."""
        super().remember(record)
        self._targets[record.picture, record.prompt] = record.target

    def forget(self) -> None:
        """Empty the table."""
        super().forget()
        self._targets.clear()

    def answer(self, query: Query) -> str | None:
        """The newest target of this picture and prompt."""
        return self._targets.get((None if query.image is None else query.image.sha256, query.prompt))
