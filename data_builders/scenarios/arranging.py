"""Scenarios by name, one after another, over any streams."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...benchmark.edits import EditStream, Source
from ...errors import BenchError
from .by_entity import by_entity
from .clean import clean
from .interleaved import interleaved
from .orders import file_order, shuffled
from .slots import Arranging, Setting, Slot
from .spread import spread_twins
from .superseding import superseding

Notes = Mapping[str, object]
Scenario = Callable[[Sequence[Slot], Setting], tuple[list[Slot], Notes]]
SHARE = 0.2
CARD = "scenario.json"


def _order(arrange: Callable[[Sequence[Slot], Setting], list[Slot]]) -> Scenario:
    """A scenario that only moves edits. Of two edits of one fact the first stays first: their places are exchanged."""

    def scenario(slots: Sequence[Slot], setting: Setting) -> tuple[list[Slot], Notes]:
        row = arrange(slots, setting)
        first = {slot.origin: place for place, slot in enumerate(row) if slot.again is None}
        for place, slot in enumerate(row):
            if slot.again is not None and place < first[slot.origin]:
                row[place], row[first[slot.origin]] = row[first[slot.origin]], slot
        return row, {}

    return scenario


SCENARIOS: Mapping[str, Scenario] = {
    "file-order": _order(file_order),
    "shuffled": _order(shuffled),
    "by-entity": _order(by_entity),
    "spread-twins": _order(spread_twins),
    "interleaved": _order(interleaved),
    "superseding": superseding,
    "clean": clean,
}


@dataclass(frozen=True)
class Arranged:
    """An arranged stream and its card: from which streams, by which scenarios, and what these counted.

    The card's `origins` say for each position where its edit stood in the given streams, counted through; an edit that
    was edited again stands there twice.
    """

    stream: EditStream
    card: Mapping[str, Any]

    def first(self, edits: int) -> Arranged:
        """The first so many edits; the counts remain those of the whole."""
        if edits >= len(self.stream):
            return self
        cut = {"edits": edits, "cut_from": len(self.stream), "origins": self.card["origins"][:edits]}
        return Arranged(self.stream[:edits], {**self.card, **cut})

    @property
    def summary(self) -> dict[str, Any]:
        """The card without what there is of every edit."""
        return {name: value for name, value in self.card.items() if name != "origins"}

    @property
    def beside(self) -> dict[str, bytes]:
        """The card as a file beside the stored stream."""
        return {CARD: (json.dumps(self.card, ensure_ascii=False, allow_nan=False) + "\n").encode()}

    def save(self, path: str | Path, *, beside: Mapping[str, bytes] | None = None) -> None:
        """Store the stream with its card (`scenario.json`) and, by name, with further files."""
        self.stream.save(path, beside={**(beside or {}), **self.beside})


def arrange(
    streams: EditStream | Sequence[EditStream],
    scenarios: Sequence[str],
    *,
    seed: int = 0,
    train: EditStream | None = None,
    pool: EditStream | None = None,
    share: float = SHARE,
) -> EditStream:
    """The streams, arranged by the scenarios in the order given. `arranged` also says what they did.

    Same streams, scenarios and seed: same sha256. `Source.scenario` of the result names the scenarios joined by ``+``
    (behind those of a stream that was arranged before), `Source.seed` the seed. Pictures are not read.

    Args:
        streams: one stream or several; without ``interleaved`` they follow one another.
        scenarios: names out of `SCENARIOS`.
        seed: of everything that is drawn.
        train: what editors may be trained on, for ``clean``.
        pool: where ``clean`` takes other probes from.
        share: of the edits that ``superseding`` edits again.

    Raises:
        BenchError: an unknown scenario, no stream, or something a scenario cannot do.
    """
    return arranged(streams, scenarios, seed=seed, train=train, pool=pool, share=share).stream


def arranged(
    streams: EditStream | Sequence[EditStream],
    scenarios: Sequence[str],
    *,
    seed: int = 0,
    train: EditStream | None = None,
    pool: EditStream | None = None,
    share: float = SHARE,
) -> Arranged:
    """As `arrange`, with the card of what was done."""
    given = (streams,) if isinstance(streams, EditStream) else tuple(streams)
    check(scenarios, share=share, cleans=train is not None or pool is not None)
    if not given:
        raise BenchError("there is no stream to arrange; give one at least")
    source = replace(_source(given), seed=seed, scenario=_named(given, scenarios))
    setting = Setting(given, seed=seed, normalisation=source.normalisation, train=train, pool=pool, share=share)
    slots = setting.slots()
    done: list[dict[str, object]] = []
    for name in scenarios:
        slots, notes = SCENARIOS[name](slots, setting)
        done.append({"scenario": name, **notes})
    stream = EditStream(Arranging(slots, setting), source)
    card: dict[str, Any] = {
        "scenario": source.scenario,
        "seed": seed,
        "edits": len(stream),
        "streams": [_described(each) for each in given],
        **({} if train is None else {"train": _described(train)}),
        **({} if pool is None else {"pool": _described(pool)}),
        "done": done,
    }
    if len({each.source.normalisation for each in given}) > 1:
        card["normalisation"] = f"{source.normalisation}: the streams compare answers in different ways"
    if len({each.source.texts for each in given}) > 1:
        ways = sorted({each.source.texts or "not from annotations" for each in given})
        card["texts"] = f"prepared in different ways ({', '.join(ways)}), so that results name none"
    return Arranged(stream, {**card, "origins": [slot.origin for slot in slots]})


def check(scenarios: Sequence[str], *, share: float = SHARE, cleans: bool = False) -> None:
    """Raise `BenchError` for unknown names and for options that do not fit. cleans: train or pool was given."""
    from ...benchmark.plugins import near

    if not scenarios:
        raise BenchError(f"no scenario is named; known: {', '.join(SCENARIOS)}")
    for name in scenarios:
        if name not in SCENARIOS:
            raise BenchError(f"no scenario is called {name!r}{near(name, SCENARIOS)}; known: {', '.join(SCENARIOS)}")
    if not 0 < share <= 1:
        raise BenchError(f"a share of {share} cannot be edited again; give more than 0 and at most 1")
    if cleans and "clean" not in scenarios:
        raise BenchError("a training stream and a pool are for the scenario clean, which is not named; add it")


def _source(streams: Sequence[EditStream]) -> Source:
    """As ``+`` has it, without touching an edit."""
    joined = streams[0][:0]
    for stream in streams[1:]:
        joined = joined + stream[:0]
    return joined.source


def _named(streams: Sequence[EditStream], scenarios: Sequence[str]) -> str:
    before = list(dict.fromkeys(stream.source.scenario for stream in streams if stream.source.scenario))
    return "+".join([*(before if len(before) == 1 else ()), *scenarios])


def _described(stream: EditStream) -> dict[str, object]:
    return {**stream.source.canonical(), "edits": len(stream), "sha256": stream.sha256}
