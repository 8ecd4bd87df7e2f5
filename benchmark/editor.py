"""What an editing method must offer: one method; everything else has a default.

```python
class MyEditor(Editor):
    name = "my-editor"

    def edit(self, request: EditRequest) -> None:
        ...  # change self.backbone, or remember something
```
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from .backbone import Answer, Backbone, Batch, Query
from .edits import EditStream, Picture
from .options import plain

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class EditRequest:
    """All an editor is told about an edit. Raise `errors.EditError` to refuse one; state must then be as before."""

    image: Picture | None
    prompt: str
    target: str


@dataclass(frozen=True)
class NoOptions:
    """An editor without options."""


class Editor(ABC):
    """A method that changes what a backbone answers, one edit after another.

    An editor either changes weights of ``self.backbone`` (then nothing but `edit` is needed) or
    remembers edits and acts when asked (then it overrides `logits` and `generate`, and the state methods).
    `logits` must be causal: changing answer token j leaves the logits at positions <= j as they were.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    Options: ClassVar[type[Any]] = NoOptions  # a frozen dataclass; each field is an `--option field=value`
    trainable: ClassVar[bool] = False
    first_layer_touched: int | None = 0
    """Index of the first decoder block whose output this editor may change; all below equals f_0. None: no block."""
    fixed_scores: ClassVar[Mapping[str, str]] = {}
    """Probe kinds whose score follows from how the method is built, with the reason ("ignores text-only input")."""
    exempt: ClassVar[Mapping[str, str]] = {}
    """Checks that the method fails by how it is built, ``effect`` or ``takes`` of `runners.checks`, with the reason."""
    bound: ClassVar[bool] = False
    """No method but a bound on methods: it may use what none can know (`told`). Results say so; it is never ranked."""

    def __init__(self, backbone: Backbone, options: Any = None, *, seed: int = 0) -> None:
        self.backbone = backbone
        self.options = self.Options() if options is None else options
        self.seed = seed

    @abstractmethod
    def edit(self, request: EditRequest) -> None:
        """Apply one edit."""

    def reset(self) -> None:
        """Forget every edit; weights and answers are bit-equal to the unedited model's afterwards."""
        self.backbone.restore()

    def logits(self, batch: Batch) -> Tensor:
        """Teacher-forced logits of the edited model, [B, T, vocabulary]."""
        return self.backbone.logits(batch)

    def generate(self, queries: Sequence[Query], *, max_new_tokens: int | None = None) -> list[Answer]:
        """Greedy answers of the edited model."""
        return self.backbone.generate(queries, max_new_tokens=max_new_tokens)

    def told(self, query: Query, edit: EditRequest | None) -> Query:
        """How a question is asked once it is known which edit decides its answer (None: no edit does).

        For bounds alone, and called by runners for nothing else: a method has to find that out by itself.
        """
        return query

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that edits have changed, as tensors (saved as safetensors; resume loads it)."""
        return self.backbone.changed_weights()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what `state_dict` gave, as if its edits had been applied here."""
        self.reset()
        self.backbone.load_weights(state)

    @property
    def state_bytes(self) -> int:
        """Memory that the edits so far occupy."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.state_dict().values())

    def fit(self, stream: EditStream, *, validation: EditStream | None = None, out: Path | None = None) -> None:
        """Train whatever the method trains before its first edit (trainable editors override this).

        Checkpoints, resume state and a log of every loss term go under `out`.
        """
        raise TypeError(f"editor {self.name!r} has nothing to train")

    def trained_on(self) -> list[dict[str, Any]]:
        """The streams this editor was trained on: dataset, split, seed, edits, sha256 each."""
        return []

    @property
    def weights_sha256(self) -> str | None:
        """Digest of the method's own trained modules, None when it has none."""
        return None

    @property
    def train_seconds(self) -> float | None:
        """How long `fit` took, None when nothing was trained."""
        return None

    def describe_options(self) -> dict[str, Any]:
        """The options as plain values, for `result.json`."""
        return plain(self.options)
