"""Editors that go wrong, as a user's file would: `--editor tests/bad_editors.py:Name`.

The first ones fail in a run. From `NotJson` on, each breaks one promise of `runners.checks` and keeps all others.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from liveedit_bench.benchmark.backbone import Answer, Batch, Query
from liveedit_bench.benchmark.editor import Editor, EditRequest
from liveedit_bench.benchmark.editors.oracle import Oracle
from liveedit_bench.errors import EditError


class Base(Editor):
    """Counts its edits and changes nothing."""

    name = "bad"

    def __init__(self, backbone: Any, options: Any = None, *, seed: int = 0) -> None:
        super().__init__(backbone, options, seed=seed)
        self.edits = 0

    def edit(self, request: EditRequest) -> None:
        self.edits += 1

    def reset(self) -> None:
        super().reset()
        self.edits = 0

    def state_dict(self) -> dict[str, Tensor]:
        return {"edits": torch.tensor(self.edits)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.edits = int(state["edits"])


class Poison(Base):
    """Its third edit leaves NaN in the weights."""

    def edit(self, request: EditRequest) -> None:
        super().edit(request)
        if self.edits == 3:
            with torch.no_grad():
                next(self.backbone.layers[0].parameters()).fill_(float("nan"))


class Raises(Base):
    """Fails to answer from the third edit on."""

    def logits(self, batch: Batch) -> Tensor:
        if self.edits >= 3:
            raise IndexError("list index\nout of range")
        return super().logits(batch)


class Narrow(Base):
    """Forgets the vocabulary's end."""

    def logits(self, batch: Batch) -> Tensor:
        return super().logits(batch)[..., :1]


class Silent(Base):
    """Says nothing right where f_0 is asked to speak, and then gives too few answers."""

    def logits(self, batch: Batch) -> Tensor:
        return super().logits(batch).roll(1, dims=-1)

    def generate(self, queries: Sequence[Query], *, max_new_tokens: int | None = None) -> list[Answer]:
        return super().generate(queries, max_new_tokens=max_new_tokens)[1:]


class Broken(Base):
    """Cannot even be made."""

    def __init__(self, backbone: Any, options: Any = None, *, seed: int = 0) -> None:
        raise RuntimeError("no such luck")


class NotJson(Oracle):
    """An option that no result can hold."""

    @dataclass(frozen=True)
    class Options:
        layers: Any = frozenset({1})


class Thawed(Oracle):
    """Options that change under the run's feet."""

    @dataclass
    class Options:
        size: int = 3


class Unspeakable(Oracle):
    """An option that the command line cannot give."""

    @dataclass(frozen=True)
    class Options:
        sizes: tuple[tuple[int, int], ...] = ((1, 2),)


class Misspelt(Oracle):
    """Names a kind of probe that does not exist."""

    fixed_scores: ClassVar[Mapping[str, str]] = {"reliabilty": "it looks everything up"}


class Excused(Oracle):
    """Exempts itself from what nobody is exempt from."""

    exempt: ClassVar[Mapping[str, str]] = {"causal": "it cannot"}


class TooDeep(Oracle):
    """Names a block that the backbone does not have."""

    first_layer_touched = 1000


class Warm(Oracle):
    """Is not the unedited model before its first edit or reset."""

    def __init__(self, backbone: Any, options: Any = None, *, seed: int = 0) -> None:
        super().__init__(backbone, options, seed=seed)
        self.cold = False

    def edit(self, request: EditRequest) -> None:
        self.cold = True
        super().edit(request)

    def reset(self) -> None:
        self.cold = True
        super().reset()

    def logits(self, batch: Batch) -> Tensor:
        return super().logits(batch) + (0.0 if self.cold else 1e-6)


class NoLogits(Oracle):
    """Gives the last position only."""

    def logits(self, batch: Batch) -> Tensor:
        return super().logits(batch)[:, -1:]


class Idle(Oracle):
    """Leaves out every fourth edit, and says nothing."""

    def __init__(self, backbone: Any, options: Any = None, *, seed: int = 0) -> None:
        super().__init__(backbone, options, seed=seed)
        self.seen = 0

    def edit(self, request: EditRequest) -> None:
        self.seen += 1
        if self.seen % 4:
            super().edit(request)


class Crashes(Oracle):
    """Does not refuse its second edit, but breaks."""

    def edit(self, request: EditRequest) -> None:
        if self.records:
            raise IndexError("list index\nout of range")
        super().edit(request)


class Choosy(Oracle):
    """Refuses everything."""

    def edit(self, request: EditRequest) -> None:
        raise EditError("not today")


class Late(Oracle):
    """Learns the target of the edit before."""

    previous = "unknown"

    def edit(self, request: EditRequest) -> None:
        super().edit(replace(request, target=self.previous))
        self.previous = request.target

    def reset(self) -> None:
        super().reset()
        self.previous = "unknown"

    def state_dict(self) -> dict[str, Tensor]:
        return super().state_dict() | {"previous": torch.tensor(list(self.previous.encode()), dtype=torch.uint8)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        super().load_state_dict(state)
        self.previous = bytes(state["previous"].tolist()).decode()


class NeedsPictures(Oracle):
    """Cannot be asked without a picture."""

    def edit(self, request: EditRequest) -> None:
        if request.image is None:
            raise EditError("no picture")
        super().edit(request)

    def logits(self, batch: Batch) -> Tensor:
        if not all(query.image for query in batch.queries):
            raise ValueError("a picture is missing")
        return super().logits(batch)


class Peeks(Oracle):
    """Agrees with the answer that it is shown, where it would have said something else."""

    def logits(self, batch: Batch) -> Tensor:
        logits = super().logits(batch)
        if not self.records:
            return logits
        shown = batch.input_ids.roll(-1, dims=1)
        otherwise = batch.answer_mask.roll(-1, dims=1) & (logits.argmax(dim=2) != shown)
        return logits.scatter_add(2, shown[..., None], 0.1 * otherwise[..., None].to(logits.dtype))


class KnowsTheLength(Oracle):
    """Looks at how long the answer is that it is shown."""

    def logits(self, batch: Batch) -> Tensor:
        logits = super().logits(batch)
        if self.records:
            logits += 0.1 * batch.answer_mask.sum(dim=1)[:, None, None]
        return logits


class Mumbles(Oracle):
    """Says the first token of what its logits are for."""

    def generate(self, queries: Sequence[Query], *, max_new_tokens: int | None = None) -> list[Answer]:
        answers = super().generate(queries, max_new_tokens=max_new_tokens)
        if not self.records:
            return answers
        return [
            one if self.answer(query) else replace(one, ids=one.ids[:1], text=self.backbone.decode(one.ids[:1]))
            for one, query in zip(answers, queries, strict=True)
        ]


class Sure(Oracle):
    """Claims a margin that it does not have."""

    def generate(self, queries: Sequence[Query], *, max_new_tokens: int | None = None) -> list[Answer]:
        answers = super().generate(queries, max_new_tokens=max_new_tokens)
        return [replace(one, margin=99.0) for one in answers]


class Talks(Oracle):
    """Does not stop when it is told to."""

    def generate(self, queries: Sequence[Query], *, max_new_tokens: int | None = None) -> list[Answer]:
        return super().generate(queries)


class FollowsTheFirst(Oracle):
    """Treats questions without a picture otherwise when the first one in the batch has one."""

    def logits(self, batch: Batch) -> Tensor:
        logits = super().logits(batch)
        if self.records and batch.queries[0].image is not None:
            without = torch.tensor([query.image is None for query in batch.queries])
            logits[without] += 0.1
        return logits


class Counts(Oracle):
    """Keeps a count of what it was asked."""

    asked = 0

    def logits(self, batch: Batch) -> Tensor:
        self.asked += len(batch)
        return super().logits(batch)

    def state_dict(self) -> dict[str, Tensor]:
        return super().state_dict() | {"asked": torch.tensor(self.asked)}


class Deeper(Oracle):
    """Says that it touches no block, and changes the last one."""

    def logits(self, batch: Batch) -> Tensor:
        def act(_module: object, _args: object, output: Tensor) -> Tensor:
            return output * (1 + 1e-6 * len(self.records))

        hook = self.backbone.layers[-1].register_forward_hook(act)
        try:
            return super().logits(batch)
        finally:
            hook.remove()


class Forgets(Oracle):
    """Comes back without the last edit."""

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        super().load_state_dict(state)
        records = self.records[:-1]
        self.forget()
        for record in records:
            self.remember(record)


class KeepsAList(Oracle):
    """A state that no safetensors file holds."""

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"prompts": [record.prompt for record in self.records]}

    @property
    def state_bytes(self) -> int:
        return 0


class Boasts(Oracle):
    """Costs next to nothing, it says."""

    def state_dict(self) -> dict[str, Tensor]:
        return super().state_dict() | {"cache": torch.zeros(2048)}

    @property
    def state_bytes(self) -> int:
        return 8 * len(self.records)


def nudge(editor: Editor, by: float) -> None:
    """Change the weights of the head."""
    with torch.no_grad():
        cast(Any, editor.backbone.model).get_output_embeddings().weight[:, 0] += by


class Clings(Oracle):
    """Keeps its first edit through every reset."""

    def reset(self) -> None:
        kept = self.records[:1]
        super().reset()
        for record in kept:
            self.remember(record)


class Leaks(Oracle):
    """Does not put the weights back."""

    def edit(self, request: EditRequest) -> None:
        super().edit(request)
        nudge(self, 1e-6)

    def reset(self) -> None:
        self.forget()


class Tires(Oracle):
    """Learns less once it was reset."""

    tired = False

    def edit(self, request: EditRequest) -> None:
        if not self.tired or not self.records:
            super().edit(request)
        else:
            super().edit(replace(request, target=self.records[0].target))

    def reset(self) -> None:
        self.tired = bool(self.records)
        super().reset()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        super().load_state_dict(state)
        self.tired = False


class Crowded(Oracle):
    """The last one that was made answers for all."""

    newest: ClassVar[Any] = None

    def __init__(self, backbone: Any, options: Any = None, *, seed: int = 0) -> None:
        super().__init__(backbone, options, seed=seed)
        Crowded.newest = self

    def answer(self, query: Query) -> str | None:
        return Oracle.answer(Crowded.newest, query)


class PeeksAtProbes(Oracle):
    """Looks around where it was called from, and learns the answers to the probes."""

    def edit(self, request: EditRequest) -> None:
        super().edit(request)
        around = sys._getframe(1).f_locals.get("edit")
        for probe in getattr(around, "probes", ()):
            if probe.kind == "text_generality":
                super().edit(EditRequest(probe.image, probe.prompt, probe.target))


class NeedsAnImage(Oracle):
    """Takes it for granted that an edit has a picture."""

    def edit(self, request: EditRequest) -> None:
        _ = cast(Any, request.image).sha256
        super().edit(request)


class RefusesTooLate(Oracle):
    """Refuses an edit once it is in the table."""

    def edit(self, request: EditRequest) -> None:
        super().edit(request)
        if request.image is None:
            raise EditError("no picture")


class LeavesARest(Oracle):
    """An edit that breaks off leaves the weights half-way, for good."""

    half = False

    def edit(self, request: EditRequest) -> None:
        self.half = True
        super().edit(request)
        self.half = False

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        super().load_state_dict(state)
        if self.half:
            nudge(self, 1.0)


class Litters(Oracle):
    """Writes where it stands."""

    def edit(self, request: EditRequest) -> None:
        super().edit(request)
        Path("cache.bin").write_bytes(b"")


BREAKS: Mapping[str, tuple[type[Editor], ...]] = {
    "made": (Broken,),
    "options": (NotJson, Thawed, Unspeakable),
    "declarations": (Misspelt, Excused, TooDeep),
    "answers": (Warm, NoLogits),
    "effect": (Idle, Crashes, Choosy),
    "takes": (Late,),
    "text-query": (NeedsPictures,),
    "causal": (Peeks, KnowsTheLength),
    "generate": (Mumbles, Sure, Talks),
    "batch": (FollowsTheFirst,),
    "asking": (Counts,),
    "first-layer": (Deeper,),
    "state": (Forgets, KeepsAList),
    "state-bytes": (Boasts,),
    "reset": (Clings, Leaks),
    "fresh": (Tires,),
    "two-editors": (Crowded,),
    "requests": (PeeksAtProbes,),
    "text-edit": (NeedsAnImage,),
    "failing-edit": (RefusesTooLate, LeavesARest),
    "files": (Litters,),
}
"""By check: editors that fail this one and no other."""
