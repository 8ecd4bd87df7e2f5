"""The bound on editors that put edits into the context: the right edit stands there, and never a wrong one.

Which edit a question is about is told by the runner (`Editor.told`), out of the same ledger that decides what is right.
What is left to go wrong is the backbone's own: whether it follows a statement, in other words, of another picture and
through a hop. Locality is that of the unedited model, since a question that no edit is about gets no statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..backbone import Backbone, Query
from ..editor import Editor, EditRequest
from ..edits import LOCALITY_KINDS
from .statements import form_for, stated

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class GoldContextOptions:
    """statement: how an edit is put, with the fields ``{prompt}`` and ``{target}``; by default the backbone's own."""

    statement: str | None = None


class GoldContext(Editor):
    """The unedited model, asked with the right edit before the question. It keeps nothing: the runner remembers."""

    name = "gold-context"
    Options = GoldContextOptions
    bound = True
    first_layer_touched = None
    fixed_scores: ClassVar[Mapping[str, str]] = {
        kind: "no edit is about it, so the unedited model is asked as it was" for kind in LOCALITY_KINDS
    }

    def __init__(self, backbone: Backbone, options: GoldContextOptions | None = None, *, seed: int = 0) -> None:
        super().__init__(backbone, options, seed=seed)
        self.form = form_for(backbone, self.options.statement)

    def edit(self, request: EditRequest) -> None:
        """Nothing to do: the edit comes back with the questions that it decides."""

    def told(self, query: Query, edit: EditRequest | None) -> Query:
        """The statement of the edit, then the question."""
        if edit is None:
            return query
        return Query(query.image, f"{stated(self.form, edit)} {query.prompt}")

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Nothing was kept."""
        self.reset()
