"""The paper's replay: blocks of n edits, each applied to f_0 and asked once, from wherever the journal left off."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..benchmark.backbone import Query
from ..benchmark.edits import LOCALITY_KINDS, Edit, Kind
from ..errors import BenchError
from ..metrics.answers import conform
from ..metrics.curves import PAPER_COLUMNS
from .applying import Applied, Applier
from .asking import Row, request_of
from .environment import peak_memory_bytes
from .folder import RunFolder
from .journal import Event, Journal
from .opening import System
from .probing import Answerer, Ask, Forced, Prober
from .progress import Bar
from .randomness import undisturbed
from .replay import STATE_EVERY
from .schedule import Place
from .table import TableInfo, scored


@dataclass(frozen=True)
class Block:
    """`size` consecutive edits, the `number`-th such block of the stream."""

    size: int
    number: int

    @property
    def start(self) -> int:
        """Position of the first edit."""
        return self.size * self.number

    @property
    def positions(self) -> range:
        """Positions of the edits in the stream."""
        return range(self.start, self.start + self.size)


@dataclass(frozen=True)
class Outcome:
    """What became of an edit. kind, message: of a failure."""

    seconds: float
    kind: str | None = None
    message: str | None = None

    @classmethod
    def of(cls, applied: Applied) -> Outcome:
        """An outcome as the journal keeps it."""
        failure = applied.failure
        return cls(applied.seconds) if failure is None else cls(applied.seconds, failure.kind, failure.message)


class BlockReplay:
    """Applies and asks the blocks of every size.

    A block counts as done once its journal line is on disk; that line holds its outcomes and its answers. A block of
    more than `STATE_EVERY` edits leaves state and outcomes at least that often.
    """

    def __init__(self, system: System, sizes: Sequence[int], folder: RunFolder, journal: Journal, bar: Bar) -> None:
        self.system, self.sizes, self.folder, self.journal, self._bar = system, tuple(sizes), folder, journal, bar
        self.edits: Sequence[Edit] = list(system.stream)
        self.prober = self._prober(system.editor, f"editor {system.editor.name!r}")
        self._done = {(event.get("size"), event.get("block")): event for event in journal.of("block")}
        self._unedited: dict[int, Event] = {}
        self._standing: Block | None = None

    @property
    def info(self) -> TableInfo:
        """What stands in the metadata of the answers table."""
        stream = self.system.stream
        return TableInfo(stream_sha256=stream.sha256, normalisation=stream.source.normalisation, protocol="paper")

    def blocks(self, size: int) -> Iterator[Block]:
        """The complete blocks of one size, in file order."""
        return (Block(size, number) for number in range(len(self.edits) // size))

    def play(self) -> pd.DataFrame:
        """Everything that is still to be done. Returns the whole answers table."""
        # Before anything is edited: no editor can blur what f_0 said. An editor given as an object may have been used.
        self.system.backbone.restore()
        self.system.editor.reset()
        self._unedited = {size: self._ask_unedited(size) for size in self.sizes}
        for size in self.sizes:
            waiting = [block for block in self.blocks(size) if (size, block.number) not in self._done]
            for block in waiting:
                self._bar.edits(self._before(block))
                self._play(block)
            if waiting:
                self._bar.point(size, self._table([size]), self.info)
        return self._table(self.sizes)

    def outcomes(self, size: int) -> list[Outcome]:
        """What became of every edit of the blocks of one size, in order."""
        return [outcome for block in self.blocks(size) for outcome in self._outcomes(self._done[size, block.number])]

    def seconds(self, size: int) -> float:
        """Time that applying and asking the blocks of one size took, asking f_0 included."""
        events = [self._unedited[size], *(self._done[size, block.number] for block in self.blocks(size))]
        return sum(float(event["seconds"]) for event in events) + sum(each.seconds for each in self.outcomes(size))

    def last_block(self) -> list[tuple[Ask, Forced]]:
        """Questions and answers of the last block of the last size, with the editor brought back to its state."""
        block = list(self.blocks(self.sizes[-1]))[-1]
        event = self._done[block.size, block.number]
        if self._standing != block:
            self._applier(block, self._outcomes(event))
        places = self._places(block)
        return list(zip(map(self._ask, places), self._replies(event, len(places)), strict=True))

    def _play(self, block: Block) -> None:
        outcomes = [each for event in self._begun(block) for each in self._outcomes(event)]
        applier, kept = self._applier(block, outcomes), len(outcomes)
        while len(outcomes) < block.size:
            applied = applier.apply(len(outcomes))
            outcomes.append(Outcome.of(applied))
            self._bar.edits(self._before(block) + len(outcomes))
            # The state also goes before a crash could cost more, while thousands of probes are asked.
            full = len(outcomes) == block.size > STATE_EVERY
            if applied.crashed or full or len(outcomes) - applier.saved >= STATE_EVERY:
                # The outcomes go first: a state must never be ahead of them.
                self.journal.append({"event": "applied", **_named(block), "outcomes": _plain(outcomes[kept:])})
                applier.save(len(outcomes))
                kept = len(outcomes)
        self.prober.step = block.size
        self._bar.asking(len(self._places(block)), f"block {block.number + 1} of {block.size}")
        began = time.perf_counter()
        with undisturbed():
            replies = self._ask_block(block)
        self.journal.append(
            {
                "event": "block",
                **_named(block),
                "seconds": time.perf_counter() - began,
                "outcomes": _plain(outcomes),
                "replies": _as_lists(replies),
                "peak_memory_bytes": peak_memory_bytes(self.system.backbone.device),
            }
        )
        self._done[block.size, block.number] = self.journal.events[-1]

    def _applier(self, block: Block, outcomes: Sequence[Outcome]) -> Applier:
        """The editor where those outcomes had brought it: f_0, with every random generator at the seed, for none."""
        if not outcomes:
            self.folder.remove(self.folder.state)  # of an earlier block
        edits = [self.edits[position] for position in block.positions]
        applier = Applier(self.system.editor, edits, self.folder, seed=self.system.seed)
        applier.start_at(len(outcomes), {index for index, each in enumerate(outcomes) if each.kind is not None})
        self._standing = block
        return applier

    def _ask_block(self, block: Block) -> list[Forced]:
        """All questions of a block. Locality goes apart, so that its batches are those that f_0 was asked in."""
        places, local = self._places(block), self._places(block, LOCALITY_KINDS)
        others = [place for place in places if place not in set(local)]
        found = {
            place: reply
            for group in (local, others)
            for place, reply in zip(group, self._forced(self.prober, group), strict=True)
        }
        return [found[place] for place in places]

    def _ask_unedited(self, size: int) -> Event:
        kept = next((event for event in self.journal.of("f0") if event["size"] == size), None)
        if kept is not None:
            return kept
        blocks = [self._places(block, LOCALITY_KINDS) for block in self.blocks(size)]
        self._bar.asking(sum(map(len, blocks)), f"f_0, in blocks of {size}")
        prober = self._prober(self.system.backbone, "the unedited backbone")
        began = time.perf_counter()
        replies = [reply for places in blocks for reply in self._forced(prober, places)]
        seconds = time.perf_counter() - began
        self.journal.append({"event": "f0", "size": size, "seconds": seconds, "replies": _as_lists(replies)})
        return self.journal.events[-1]

    def _forced(self, prober: Prober, places: Sequence[Place]) -> list[Forced]:
        return prober.forced([self._ask(place) for place in places], done=self._bar.answered)

    def _prober(self, answerer: Answerer, name: str) -> Prober:
        return Prober(answerer, self.system.backbone, name=name, batch_size=self.system.batch_size, max_new_tokens=1)

    def _ask(self, place: Place) -> Ask:
        edit = self.edits[place.position]
        probe = edit.probes[place.probe]
        label = f"edit {edit.id} at position {place.position}, probe {place.probe}, {probe.kind}"
        about = None if probe.kind in LOCALITY_KINDS else request_of(edit)
        return Ask(Query(probe.image, probe.prompt), (), 0, label, target=probe.target, about=about)

    def _places(self, block: Block, kinds: Sequence[Kind] = PAPER_COLUMNS) -> list[Place]:
        """The probes of a block that are asked: those of the five columns, or of some of them."""
        return [
            Place(position, index)
            for position in block.positions
            for index, probe in enumerate(self.edits[position].probes)
            if probe.kind in PAPER_COLUMNS and probe.kind in kinds
        ]

    def _table(self, sizes: Sequence[int]) -> pd.DataFrame:
        rows = [row for size in sizes for row in self._rows(size)]
        # Nothing was generated, so there is no free-running score: not even 0.
        table: Any = scored(rows, self.info.normalisation)
        return conform(table.assign(free_running=np.nan))

    def _rows(self, size: int) -> Iterator[Row]:
        local = [place for block in self.blocks(size) for place in self._places(block, LOCALITY_KINDS)]
        f0 = dict(zip(local, self._replies(self._unedited[size], len(local)), strict=True))
        for block in self.blocks(size):
            event, places = self._done[size, block.number], self._places(block)
            outcomes = self._outcomes(event)
            for place, reply in zip(places, self._replies(event, len(places)), strict=True):
                failed = outcomes[place.position - block.start].kind is not None
                yield self._row(place, size, reply, f0.get(place), failed=failed)

    def _row(self, place: Place, size: int, reply: Forced, f0: Forced | None, *, failed: bool) -> Row:
        edit = self.edits[place.position]
        probe = edit.probes[place.probe]
        return {
            "step": size,
            "when": "checkpoint",
            "position": place.position,
            "edit": edit.id,
            "probe": place.probe,
            "kind": probe.kind,
            "thing": probe.thing,
            "task": edit.facts.task,
            "seen_target": edit.facts.seen_target,
            "seen_prompt": probe.seen,
            "status": "failed" if failed and f0 is None else "asked",
            "expected": probe.target,
            "leak": None,
            "expected_ids": list(reply.path if f0 is None else f0.ids),
            "teacher_ids": list(reply.ids),
            "teacher_margin": min(reply.gaps, default=0.0),
            "ids": [],
            "answer": None,
            "margin": None,
        }

    def _before(self, block: Block) -> int:
        """How many edits come before a block, those of the smaller sizes included."""
        smaller = sum(size * (len(self.edits) // size) for size in self.sizes if size < block.size)
        return smaller + block.start

    def _begun(self, block: Block) -> list[Event]:
        """What the journal tells of the edits of a block that was not asked yet."""
        return [event for event in self.journal.of("applied") if event.items() >= _named(block).items()]

    def _outcomes(self, event: Event) -> list[Outcome]:
        try:
            return [Outcome(**each) for each in event["outcomes"]]
        except (KeyError, TypeError) as error:
            raise self._damaged(event) from error

    def _replies(self, event: Event, count: int) -> list[Forced]:
        """The answers in a line of the journal; a reply keeps its smallest gap only."""
        try:
            replies = [Forced(tuple(ids), (float(gap),), tuple(path)) for path, ids, gap in event["replies"]]
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(event) from error
        if len(replies) != count:
            raise self._damaged(event)
        return replies

    def _damaged(self, event: Event) -> BenchError:
        return BenchError(f"{self.folder.journal} is damaged (event {event['event']}); start over with --fresh")


def _named(block: Block) -> dict[str, int]:
    return {"size": block.size, "block": block.number}


def _plain(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    return [{name: value for name, value in vars(each).items() if value is not None} for each in outcomes]


def _as_lists(replies: Sequence[Forced]) -> list[Any]:
    return [[list(reply.path), list(reply.ids), min(reply.gaps, default=0.0)] for reply in replies]
