"""LiveEdit, the reference editor: modules, routing, repository, losses, training and the adapter."""

from __future__ import annotations

from .editor import LiveEdit, LiveEditOptions

__all__ = ["LiveEdit", "LiveEditOptions"]
