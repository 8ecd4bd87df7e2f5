"""The worst that can be done: a harness that scores it well on locality is broken."""

from __future__ import annotations

from ..backbone import Query
from .lookup import Lookup, Record


class Vandal(Lookup):
    """Answers everything with the last target."""

    name = "vandal"

    def remember(self, record: Record) -> None:
        """Keep the newest edit only."""
        self.records = [record]

    def answer(self, query: Query) -> str | None:
        """The last target, whatever is asked."""
        return self.records[-1].target if self.records else None
