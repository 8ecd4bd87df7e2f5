"""The unedited model: the floor beneath every number."""

from __future__ import annotations

from ..editor import Editor, EditRequest


class NoEdit(Editor):
    """Changes nothing."""

    name = "none"
    first_layer_touched = None

    def edit(self, request: EditRequest) -> None:
        """Do nothing."""
