"""Asking probes fast: one teacher-forced pass each, and generation only where that pass cannot tell.

The forced pass feeds a path of answer tokens and reads the argmax before each of them. When every argmax along the
path, the end of the answer included, is the path's own next token, then by induction greedy decoding walks that
very path: its first token is the argmax after the question, and so on. Only the other probes are generated.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import Tensor

from ..benchmark.backbone import Answer, Backbone, Batch, Query
from ..benchmark.editor import Editor, EditRequest
from ..errors import BenchError
from .reuse import LayerReuse

CERTAIN = 1e30
"""Stands for the infinite margin of an answer that was looked up: JSON knows no infinity."""

Result = TypeVar("Result")
Key = tuple[str | None, str, tuple[int, ...], str | None, int | None]


class Answerer(Protocol):
    """An editor, or the unedited backbone."""

    def logits(self, batch: Batch) -> Tensor:
        """Teacher-forced logits, [B, T, vocabulary]."""
        ...

    def generate(self, queries: Sequence[Query], *, max_new_tokens: int | None = None) -> list[Answer]:
        """Greedy answers, one per query."""
        ...


@dataclass(frozen=True)
class Ask:
    """One question with the answer it is forced along.

    path: token ids, the end of the answer included.
    scored: how many of them are scored (the end is not, unless the path is f_0's own answer).
    label: names the probe in an error.
    target: the answer as a text instead, made into tokens together with its question; `path` is then empty.
    shown: of a target, only so many tokens.
    about: the edit that decides the answer. No method ever sees it; bounds do (`Editor.told`).
    """

    query: Query
    path: tuple[int, ...]
    scored: int
    label: str
    target: str | None = None
    shown: int | None = None
    about: EditRequest | None = field(default=None, compare=False)

    def before(self, token: int) -> Ask:
        """The same question with the answer up to that token and nothing behind it."""
        if self.target is not None:
            return replace(self, shown=token)
        return replace(self, path=self.path[:token], scored=token)

    @property
    def key(self) -> Key:
        """Equal keys are the same question."""
        picture = None if self.query.image is None else self.query.image.sha256
        return (picture, self.query.prompt, self.path, self.target, self.shown)


@dataclass(frozen=True)
class Reply:
    """What came back.

    teacher_ids: argmax at the scored positions of the forced pass; teacher_margin: the smallest gap between the best
    and the second logit there. ids, answer, margin: the free-running answer, as in `Answer`.
    """

    teacher_ids: tuple[int, ...]
    teacher_margin: float
    ids: tuple[int, ...]
    answer: str
    margin: float


@dataclass(frozen=True)
class Forced:
    """Argmax and gap before each token of a path, and the path as it was fed."""

    ids: tuple[int, ...]
    gaps: tuple[float, ...]
    path: tuple[int, ...] = ()


class Prober:
    """Asks one answerer. `name` and `step` stand in its errors.

    reuse: gives the logits of batches that come again; asked only for questions that `ask` is told come again.
    """

    def __init__(
        self,
        answerer: Answerer,
        backbone: Backbone,
        *,
        name: str,
        batch_size: int,
        max_new_tokens: int,
        reuse: LayerReuse | None = None,
    ) -> None:
        self._answerer, self._backbone, self._name = answerer, backbone, name
        self._reuse, self._again = reuse, False
        self._bound = answerer if isinstance(answerer, Editor) and answerer.bound else None
        self.batch_size = batch_size
        self.max_new_tokens = max_new_tokens
        self.step = 0

    def ask(
        self, asks: Sequence[Ask], *, again: bool = False, done: Callable[[int], None] | None = None
    ) -> list[Reply]:
        """One reply per question, in order. Equal questions are asked once; `done` hears how many more are answered.

        again: exactly these questions will be asked together again, at other steps.
        """
        self._again = again
        unique = list({ask.key: ask for ask in asks}.values())
        copies = Counter(ask.key for ask in asks)
        forced: dict[Key, Forced] = {}
        answers: dict[Key, Answer] = {}
        for chunk in self._chunks(unique):
            for ask, path in zip(chunk, self.force(chunk), strict=True):
                forced[ask.key] = path
                if path.ids == ask.path:
                    answers[ask.key] = Answer(ask.path, self._backbone.decode(ask.path), min(path.gaps))
            if done:
                done(sum(copies[ask.key] for ask in chunk if ask.key in answers))
        self._again = False
        rest = [ask for ask in asks if ask.key not in answers]
        answers |= {ask.key: answer for ask, answer in zip(rest, self.answer(rest, done=done), strict=True)}
        return [_reply(ask, forced[ask.key], answers[ask.key]) for ask in asks]

    def forced(self, asks: Sequence[Ask], *, done: Callable[[int], None] | None = None) -> list[Forced]:
        """The teacher-forced pass alone, one result per question, in order. Equal questions are asked once."""
        copies = Counter(ask.key for ask in asks)
        found: dict[Key, Forced] = {}
        for chunk in self._chunks(list({ask.key: ask for ask in asks}.values())):
            found |= zip((ask.key for ask in chunk), self.force(chunk), strict=True)
            if done:
                done(sum(copies[ask.key] for ask in chunk))
        return [found[ask.key] for ask in asks]

    def answer(self, asks: Sequence[Ask], *, done: Callable[[int], None] | None = None) -> list[Answer]:
        """One free-running answer per question, in order, whatever the paths say. Equal questions are asked once."""
        copies = Counter(ask.key for ask in asks)
        answers: dict[Key, Answer] = {}
        for chunk in self._chunks(list({ask.key: ask for ask in asks}.values())):
            for ask, answer in zip(chunk, self.generate(chunk), strict=True):
                answers[ask.key] = answer
            if done:
                done(sum(copies[ask.key] for ask in chunk))
        return [answers[ask.key] for ask in asks]

    def force(self, asks: Sequence[Ask]) -> list[Forced]:
        """The teacher-forced pass, as one batch."""
        return self._halving(self._force, asks)

    def generate(self, asks: Sequence[Ask]) -> list[Answer]:
        """Free-running answers, as one batch."""
        return self._halving(self._generate, asks)

    def next_tokens(self, asks: Sequence[Ask]) -> list[Forced]:
        """The argmax after each question and path, with nothing behind it that the answerer could peek at."""
        found: dict[Key, Forced] = {}
        for chunk in self._chunks(asks):
            found |= zip((ask.key for ask in chunk), self._halving(self._next_tokens, chunk), strict=True)
        return [found[ask.key] for ask in asks]

    def seconds_to_force(self, asks: Sequence[Ask]) -> float:
        """How long the forced passes over `asks` take once everything is warm: the smaller of two measurements."""
        measured: list[float] = []
        for _ in range(2):
            began = time.perf_counter()
            for chunk in self._chunks(asks):
                self.force(chunk)
            measured.append(time.perf_counter() - began)
        return min(measured)

    def _chunks(self, asks: Sequence[Ask]) -> Iterator[list[Ask]]:
        """Batches of questions of about equal length, with and without a picture apart: little is padded."""
        groups = (
            [ask for ask in asks if ask.query.image is None],
            [ask for ask in asks if ask.query.image is not None],
        )
        for group in groups:
            ordered = sorted(group, key=lambda ask: (len(ask.query.prompt.split()) + _length(ask), ask.query.prompt))
            start = 0
            while start < len(ordered):
                size = self.batch_size  # may shrink while the chunks are consumed
                yield ordered[start : start + size]
                start += size

    def _halving(self, work: Callable[[Sequence[Ask]], list[Result]], asks: Sequence[Ask]) -> list[Result]:
        """Does `work` in one batch, or in ever smaller ones where memory runs out."""
        try:
            with torch.no_grad():
                return work(asks)
        except BenchError:
            raise
        except Exception as error:
            if not _is_out_of_memory(error):
                raise BenchError(
                    f"{self._name} failed to answer at step {self.step} ({asks[0].label}): "
                    f"{type(error).__name__}: {error}; --debug shows where"
                ) from error
            if len(asks) == 1:
                raise BenchError(
                    f"{self._name} runs out of memory at step {self.step} on a single question ({asks[0].label}); "
                    "take a smaller model, another --dtype or another --device"
                ) from error
        # Outside the handler, so that the traceback no longer holds on to the tensors.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        half = len(asks) // 2
        self.batch_size = min(self.batch_size, len(asks) - half)
        return self._halving(work, asks[:half]) + self._halving(work, asks[half:])

    def _force(self, asks: Sequence[Ask]) -> list[Forced]:
        batch = self._encode(asks)
        rows, columns = batch.answer_mask.nonzero(as_tuple=True)
        fed = iter(_list(batch.input_ids[rows, columns]))
        counts = _list(batch.answer_mask.sum(dim=1))
        # The logits that predict the token at position i stand at position i - 1.
        read = self._read(batch, rows, columns - 1, asks, counts)
        return [replace(each, path=tuple(islice(fed, count))) for each, count in zip(read, counts, strict=True)]

    def _next_tokens(self, asks: Sequence[Ask]) -> list[Forced]:
        batch = self._encode(asks)
        last = batch.attention_mask.sum(dim=1) - 1  # padded on the right
        return self._read(batch, torch.arange(len(asks), device=last.device), last, asks, [1] * len(asks))

    def _encode(self, asks: Sequence[Ask]) -> Batch:
        """Questions with their answers, padded on the right; the asks are alike in how they give the answer."""
        queries = self._queries(asks)
        if asks[0].target is None:
            return self._backbone.encode_ids(queries, [ask.path for ask in asks])
        # An answerer sees an answer as tokens, which it must use causally, and never as a text.
        batch = replace(self._backbone.encode(queries, [ask.target or "" for ask in asks]), targets=None)
        if all(ask.shown is None for ask in asks):
            return batch
        return _cut(batch, [ask.shown for ask in asks], filler=self._backbone.eos_id)

    def _queries(self, asks: Sequence[Ask]) -> list[Query]:
        """The questions as the answerer is asked them: a bound is told which edit each is about."""
        if self._bound is None:
            return [ask.query for ask in asks]
        return [self._bound.told(ask.query, ask.about) for ask in asks]

    def _read(
        self, batch: Batch, rows: Tensor, columns: Tensor, asks: Sequence[Ask], counts: Sequence[int]
    ) -> list[Forced]:
        """Argmax and gap at the given places of the answerer's logits, `counts` of them for each question."""
        if self._again and self._reuse is not None:
            logits = self._reuse.logits(batch, tuple(ask.key for ask in asks))
        else:
            logits = self._answerer.logits(batch)
        self._check_shape(logits, batch, asks)
        picked = logits[rows.to(logits.device), columns.to(logits.device)]
        best = picked.topk(2, dim=1).values
        finite = _list(picked.isfinite().all(dim=1))
        ids = _list(picked.argmax(dim=1))
        gaps = _list(best[:, 0] - best[:, 1])
        found: list[Forced] = []
        start = 0
        for ask, count in zip(asks, counts, strict=True):
            stop = start + count
            if not all(finite[start:stop]):
                raise BenchError(f"{self._name} gave logits that are NaN or infinite at step {self.step} ({ask.label})")
            found.append(Forced(tuple(ids[start:stop]), tuple(gaps[start:stop])))
            start = stop
        return found

    def _generate(self, asks: Sequence[Ask]) -> list[Answer]:
        answers = self._answerer.generate(self._queries(asks), max_new_tokens=self.max_new_tokens)
        if len(answers) != len(asks):
            raise BenchError(
                f"{self._name} gave {len(answers)} answers to {len(asks)} questions at step {self.step} "
                f"({asks[0].label})"
            )
        for ask, answer in zip(asks, answers, strict=True):
            if math.isnan(answer.margin):
                raise BenchError(f"{self._name} gave an answer of margin NaN at step {self.step} ({ask.label})")
        return answers

    def _check_shape(self, logits: object, batch: Batch, asks: Sequence[Ask]) -> None:
        wanted = tuple(batch.input_ids.shape)
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        least = 1 + max((token for ask in asks for token in ask.path), default=0)
        fits = isinstance(found, tuple) and len(found) == 3 and found[:2] == wanted and found[2] >= max(2, least)
        if not fits:
            raise BenchError(
                f"{self._name} gave logits of shape {found} at step {self.step} ({asks[0].label}); "
                f"wanted ({wanted[0]}, {wanted[1]}, vocabulary)"
            )


def _cut(batch: Batch, shown: Sequence[int | None], *, filler: int) -> Batch:
    """The batch, padded on the right, with only the first so many tokens of each answer (None: all)."""
    width = batch.input_ids.shape[1]
    limits = torch.tensor([width if limit is None else limit for limit in shown], device=batch.input_ids.device)
    gone = batch.answer_mask & (batch.answer_mask.cumsum(dim=1) > limits[:, None])
    return replace(
        batch,
        input_ids=batch.input_ids.masked_fill(gone, filler),
        attention_mask=batch.attention_mask.masked_fill(gone, 0),
        answer_mask=batch.answer_mask & ~gone,
    )


def _length(ask: Ask) -> int:
    """About how long the answer is: tokens of a path, words of a target."""
    return len(ask.path) if ask.target is None else len(ask.target.split())


def _list(tensor: Tensor) -> list[Any]:
    return cast("Any", tensor).tolist()


def _reply(ask: Ask, forced: Forced, answer: Answer) -> Reply:
    return Reply(
        teacher_ids=forced.ids[: ask.scored],
        teacher_margin=min(forced.gaps[: ask.scored], default=0.0),
        ids=tuple(int(token) for token in answer.ids),
        answer=answer.text,
        margin=min(float(answer.margin), CERTAIN),
    )


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = ("out of memory", "can't allocate memory", "cannot allocate memory")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
