"""The backbone as it was before any editor came, and the way back to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ...benchmark.backbone import Backbone
from ...benchmark.backbones.pristine import same_bits
from ...benchmark.editor import Editor
from ...errors import BenchError
from .questions import Answers

_TABLES = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@dataclass(frozen=True)
class Unedited:
    """What a backbone answers, and digests of what its blocks give meanwhile, while nobody has touched it."""

    answers: Answers
    blocks: list[list[str]]


class Clean:
    """Holds a backbone and puts it back between editors, whatever they leave behind.

    load: gives the backbone; called again when it cannot be put back. look: asks it.
    """

    def __init__(self, load: Callable[[], Backbone], look: Callable[[Backbone], Unedited]) -> None:
        self._load, self._look = load, look
        self._take(load())

    def _take(self, backbone: Backbone) -> None:
        backbone.restore()
        self.backbone = backbone
        self._names = _names(backbone)
        self._hooks = [hook for _, _, hook in _hooks(backbone)]
        self._buffers = {name: value.detach().cpu().clone() for name, value in backbone.model.named_buffers()}
        self.unedited = self._look(backbone)

    def left_behind(self) -> str | None:
        """In words, what of weights and modules is not as it was; None when all is."""
        now = _names(self.backbone)
        for name in sorted(self._names ^ now):
            return f"parameter {name!r} was {'added' if name in now else 'removed'}"
        for name in self.backbone.changed_weights():
            return f"parameter {name!r} differs"
        buffers = dict(self.backbone.model.named_buffers())
        for name, value in self._buffers.items():
            if name not in buffers or not same_bits(value, buffers[name].detach().cpu()):
                return f"buffer {name!r} differs"
        return None

    def put_back(self, editors: Iterable[Editor]) -> None:
        """Undo what editors did, by their own means first. Raises `BenchError` when nothing helps."""
        for editor in editors:
            with suppress(Exception):  # `reset` has a check of its own
                editor.reset()
        for table, key, hook in list(_hooks(self.backbone)):
            if not any(hook is known for known in self._hooks):
                del table[key]
        with suppress(BenchError):
            self.backbone.restore()
        left = self.left_behind()
        if left is None:
            return
        again = self._load()
        if again is self.backbone:
            raise BenchError(
                f"{again.name} cannot be put back ({left}); give the name of a backbone, so that it can be loaded again"
            )
        self._take(again)


def _names(backbone: Backbone) -> set[str]:
    return {name for name, _ in backbone.model.named_parameters()}


def _hooks(backbone: Backbone) -> Iterator[tuple[dict[Any, Any], Any, object]]:
    """Table, key and hook of every hook, but for those that transformers hangs in to collect hidden states."""
    for module in backbone.model.modules():
        for name in _TABLES:
            table: dict[Any, Any] = module.__dict__.get(name, {})
            for key, hook in table.items():
                if getattr(hook, "__module__", None) != "transformers.utils.output_capturing":
                    yield table, key, hook
