"""The unedited model: the floor beneath every number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..editor import Editor, EditRequest


class NoEdit(Editor):
    """Changes nothing."""

    name = "none"
    first_layer_touched = None
    exempt: ClassVar[Mapping[str, str]] = {"effect": "changes nothing", "takes": "changes nothing"}

    def edit(self, request: EditRequest) -> None:
        """Do nothing."""
