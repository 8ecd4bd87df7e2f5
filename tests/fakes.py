"""A world, a backbone and editors of a few lines each, for tests of the harness: every answer follows from hashes.

Set FAKE_LOG to a file to have every edit and every question written there, one JSON line each, across processes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from liveedit_bench.benchmark.backbone import Answer, Batch, Query
from liveedit_bench.benchmark.editor import Editor, EditRequest
from liveedit_bench.benchmark.edits import Edit, EditStream, Facts, Picture, Probe, Source
from liveedit_bench.errors import BenchError, EditError

PAD, EOS, LETTERS, VOCABULARY = 0, 1, "abcdefghijklmnopqrstuvwxyz", 28


def number(*words: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:8], "big")


def word(*seed: object, length: int | None = None) -> str:
    value = number("word", *seed)
    length = 2 + value % 4 if length is None else length
    return "".join(LETTERS[number(value, index) % 26] for index in range(length))


def picture(name: str) -> Picture:
    return Picture(lambda: Image.frombytes("RGB", (4, 4), hashlib.sha512(name.encode()).digest()[:48]))


def spell(text: str) -> tuple[int, ...]:
    return tuple(LETTERS.index(letter) + 2 for letter in text)


def make_edit(position: int, *, facts: int = 10_000) -> Edit:
    """Edits of `facts` distinct things; the same thing comes back when the stream is longer."""
    thing, prompt = f"thing{number(position) % facts}", "which clan is this"
    image, key = picture(thing), f"{thing}/clan"
    target, region = word("target", position), word("region", thing)
    other = f"free{position}"
    probes = (
        Probe("reliability", image, prompt, target, key, seen=True),
        Probe("text_generality", image, "tell me the clan", target, key, seen=bool(position % 3)),
        Probe("image_generality", picture(f"{thing} again"), prompt, target, key, seen=True),
        Probe("portability", image, "who leads its clan", word("leader", target), f"{target}/leader", (key,)),
        Probe(
            "text_locality",
            None,
            f"where lies {word(position % 7)}",
            word("place", position % 7),
            f"place{position % 7}/in",
        ),
        Probe("image_locality", picture(other), prompt, word("clan", other), f"{other}/clan"),
        Probe("locality_other_question", image, "which region is this", region, f"{thing}/region"),
        Probe("locality_no_image", None, prompt, "unknown", "nothing/clan"),
    )
    return Edit(
        image, prompt, target, probes, Facts(key, word("clan", thing), thing, "clan", "fake", bool(position % 5))
    )


def build(n_edits: int, *, seed: int = 0, split: str = "test") -> EditStream:
    if split not in ("test", "train", "validation"):
        raise BenchError(f"no split {split!r}")
    return EditStream(
        [make_edit(seed * 1_000_000 + position, facts=60) for position in range(n_edits)], Source("fake", split, seed)
    )


def capacity(split: str) -> int:
    return 400


def note(**line: object) -> None:
    if path := os.environ.get("FAKE_LOG"):
        with open(path, "a") as file:
            file.write(json.dumps({"pid": os.getpid(), **line}) + "\n")


class FakeBackbone:
    """Believes one word per question. Texts are spelt letter by letter."""

    name = "fake"
    max_new_tokens = 8
    eos_id = EOS
    hidden_size = 1
    weights_sha256 = "0" * 64

    def __init__(self) -> None:
        self.model: nn.Module = nn.Linear(1, 1)
        self.device = torch.device("cpu")
        self.layers: Sequence[nn.Module] = ()
        self.calls = 0

    def belief(self, query: Query) -> str:
        return word("belief", query.image.sha256 if query.image else None, query.prompt)

    def encode(self, queries: Sequence[Query], targets: Sequence[str] | None = None, *, pad: str = "right") -> Batch:
        return self.encode_ids(queries, [()] * len(queries) if targets is None else [spell(text) for text in targets])

    def encode_ids(self, queries: Sequence[Query], answers: Sequence[Sequence[int]]) -> Batch:
        questions = [[2 + number(word) % 26 for word in query.prompt.split()] for query in queries]
        width = max(len(question) + len(answer) for question, answer in zip(questions, answers, strict=True))
        ids = torch.zeros(len(queries), width, dtype=torch.long)
        mask, answer_mask, prompt_mask = torch.zeros_like(ids), ids.bool(), ids.bool()
        for row, (question, answer) in enumerate(zip(questions, answers, strict=True)):
            end = len(question) + len(answer)
            ids[row, :end] = torch.tensor([*question, *answer])
            mask[row, :end] = 1
            prompt_mask[row, : len(question)] = True
            answer_mask[row, len(question) : end] = True
        return Batch(ids, mask, None, torch.zeros_like(answer_mask), prompt_mask, answer_mask, tuple(queries))

    def target_ids(self, target: str) -> tuple[int, ...]:
        return spell(target)

    def logits(self, batch: Batch) -> Tensor:
        self.calls += 1
        return say(batch, [self.belief(query) for query in batch.queries])

    def generate(self, queries: Sequence[Query], *, max_new_tokens: int | None = None) -> list[Answer]:
        return [greedy(self.belief(query), max_new_tokens or self.max_new_tokens) for query in queries]

    def generate_batch(self, batch: Batch, *, max_new_tokens: int | None = None) -> list[Answer]:
        return self.generate(batch.queries, max_new_tokens=max_new_tokens)

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(LETTERS[token - 2] for token in ids if token > 1)

    def restore(self) -> None: ...

    def changed_weights(self) -> dict[str, Tensor]:
        return {}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None: ...


def next_token(belief: str, prefix: Sequence[int]) -> tuple[int, float]:
    """The belief letter by letter; after a letter that is not in it, nonsense that depends on the prefix alone."""
    wanted = (*spell(belief), EOS)
    if len(prefix) < len(wanted) and tuple(prefix) == wanted[: len(prefix)]:
        return wanted[len(prefix)], 1 + number(belief, len(prefix)) % 97 / 8
    return 1 + number(belief, tuple(prefix)) % 27, 0.5


def say(batch: Batch, beliefs: Sequence[str]) -> Tensor:
    logits = torch.zeros(*batch.input_ids.shape, VOCABULARY)
    for row, belief in enumerate(beliefs):
        last = int((batch.attention_mask[row].bool() & ~batch.answer_mask[row]).nonzero().max())
        answer = batch.input_ids[row, last + 1 :].tolist()
        for length in range(len(answer) + 1):
            token, gap = next_token(belief, answer[:length])
            logits[row, last + length, token] = gap
    return logits


def greedy(belief: str, limit: int) -> Answer:
    ids: list[int] = []
    gaps: list[float] = []
    while len(ids) < limit and EOS not in ids:
        token, gap = next_token(belief, ids)
        ids.append(token)
        gaps.append(gap)
    return Answer(tuple(ids), "".join(LETTERS[token - 2] for token in ids if token > 1), min(gaps))


def load(*, device: str = "cpu", dtype: str = "float32") -> FakeBackbone:
    return FakeBackbone()


@dataclass(frozen=True)
class Options:
    buckets: int = 40
    forget: float = 0.1
    refuse_every: int = 0
    crash_every: int = 0
    sleep: float = 0.0


class Buckets(Editor):
    """Keeps the newest target of each of a few buckets of questions, so that edits run into each other; draws at random
    which ones it forgets; refuses some and crashes half-way through others."""

    name = "buckets"
    Options = Options

    def __init__(self, backbone: Any, options: Any = None, *, seed: int = 0) -> None:
        super().__init__(backbone, options, seed=seed)
        self.kept: dict[int, str] = {}
        self.edits = 0

    def bucket(self, query: Query | EditRequest) -> int:
        return number(query.image.sha256 if query.image else "", query.prompt[:5]) % self.options.buckets

    def edit(self, request: EditRequest) -> None:
        import time

        time.sleep(self.options.sleep)
        number_of_edit = number(request.target, request.image.sha256 if request.image else "")
        note(event="edit", target=request.target, edits=self.edits)
        if self.options.refuse_every and number_of_edit % self.options.refuse_every == 0:
            raise EditError("not this one", kind="refused")
        self.edits += 1
        if torch.rand(()) < self.options.forget:
            return
        self.kept[self.bucket(request)] = request.target
        if self.options.crash_every and number_of_edit % self.options.crash_every == 1:
            self.kept.clear()
            raise ValueError("half-way\nthrough")

    def believed(self, query: Query) -> str:
        return self.kept.get(self.bucket(query)) or self.backbone.belief(query)  # type: ignore[attr-defined]

    def logits(self, batch: Batch) -> Tensor:
        return say(batch, [self.believed(query) for query in batch.queries])

    def generate(self, queries: Sequence[Query], *, max_new_tokens: int | None = None) -> list[Answer]:
        return [greedy(self.believed(query), max_new_tokens or 8) for query in queries]

    def reset(self) -> None:
        super().reset()
        self.kept, self.edits = {}, 0

    def state_dict(self) -> dict[str, Tensor]:
        text = json.dumps([self.edits, sorted(self.kept.items())])
        return {"kept": torch.tensor(list(text.encode()), dtype=torch.uint8)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.edits, kept = json.loads(bytes(state["kept"].tolist()))
        self.kept = {int(bucket): target for bucket, target in kept}


def run_logged(out: str, log: str, steps: int, options: Options, blocks: Sequence[int] | None = None) -> None:
    """A run in a process of its own (with blocks, a paper run), every question of the harness written to the log."""
    from liveedit_bench.runners import lifelong, paper
    from liveedit_bench.runners.probing import Prober

    os.environ["FAKE_LOG"] = log
    ask, answer, forced = Prober.ask, Prober.answer, Prober.forced

    def logged_ask(self: Prober, asks: Any, **more: Any) -> Any:
        for one in asks:
            note(event="ask", step=self.step, label=one.label)
        return ask(self, asks, **more)

    def logged_answer(self: Prober, asks: Any, **more: Any) -> Any:
        if "unedited" in self._name:
            note(event="f0")
        return answer(self, asks, **more)

    def logged_forced(self: Prober, asks: Any, **more: Any) -> Any:
        for one in asks:
            note(event="f0" if "unedited" in self._name else "ask", step=self.step, label=one.label)
        return forced(self, asks, **more)

    Prober.ask, Prober.answer, Prober.forced = logged_ask, logged_answer, logged_forced
    editor = Buckets(FakeBackbone(), options)
    if blocks is not None:
        paper.run(editor=editor, stream=build(steps), blocks=blocks, out=out, progress=False)
        return
    lifelong.run(editor=editor, stream=build(steps), steps=steps, out=out, progress=False)


class Nothing(Editor):
    name = "nothing"

    def edit(self, request: EditRequest) -> None: ...


class Peeker(Nothing):
    """Agrees with whatever answer it is shown: not causal."""

    name = "peeker"

    def logits(self, batch: Batch) -> Tensor:
        logits = torch.zeros(*batch.input_ids.shape, VOCABULARY)
        following = torch.roll(batch.input_ids, -1, dims=1)
        return logits.scatter(2, following[..., None], 5.0)


class WrongShape(Nothing):
    name = "wrong-shape"

    def logits(self, batch: Batch) -> Tensor:
        return super().logits(batch)[:, 1:]


class NotANumber(Nothing):
    name = "not-a-number"

    def logits(self, batch: Batch) -> Tensor:
        return super().logits(batch).fill_(float("nan"))


class Crasher(Nothing):
    name = "crasher"

    def logits(self, batch: Batch) -> Tensor:
        raise KeyError("lost")


class Hungry(Nothing):
    """Runs out of memory on more than three questions at once."""

    name = "hungry"

    def logits(self, batch: Batch) -> Tensor:
        if len(batch) > 3:
            raise torch.OutOfMemoryError("out of memory")
        return super().logits(batch)


__all__ = ["Buckets", "FakeBackbone", "build", "capacity", "load", "replace"]
