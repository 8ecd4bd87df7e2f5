import hashlib
import json
import random
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_streams import local, numbers, plain, small_edit, small_stream

from liveedit_bench.benchmark.edits import LOCALITY_KINDS, Edit, EditStream, HasBytes, Picture, missing_picture
from liveedit_bench.benchmark.plugins import load_stream
from liveedit_bench.data_builders.emblems import build
from liveedit_bench.data_builders.scenarios import SCENARIOS, arrange, arranged
from liveedit_bench.errors import BenchError
from liveedit_bench.runners.ledger import Ledger

ONE_STREAM = sorted(set(SCENARIOS) - {"interleaved"})
DRAWN = ["shuffled", "by-entity", "spread-twins", "superseding"]


@pytest.mark.parametrize("name", ONE_STREAM)
def test_the_same_seed_gives_the_same_stream(name: str):
    stream = plain(30)
    one, again, other = (arrange(stream, [name], seed=seed) for seed in (1, 1, 2))
    assert one.sha256 == again.sha256 != other.sha256
    assert (one.source.scenario, one.source.seed) == (name, 1)
    assert ([edit.id for edit in one] != [edit.id for edit in other]) == (name in DRAWN)


def test_scenarios_are_used_in_the_order_given():
    stream = small_stream([small_edit(at, entity=f"e{at % 4}") for at in range(24)])
    one = arrange(stream, ["spread-twins", "superseding"], seed=3)
    other = arrange(stream, ["superseding", "spread-twins"], seed=3)
    assert one.source.scenario == "spread-twins+superseding"
    assert other.source.scenario == "superseding+spread-twins"
    assert [edit.id for edit in one] != [edit.id for edit in other]
    assert {edit.facts.key for edit in one} == {edit.facts.key for edit in other}


def test_an_arranged_stream_can_be_arranged_again():
    once = arrange(plain(9), ["shuffled"], seed=1)
    twice = arrange(once, ["by-entity"], seed=2)
    assert twice.source == replace(plain(1).source, seed=2, scenario="shuffled+by-entity")
    assert arrange([once, plain(3, "other")], ["interleaved"]).source.scenario == "shuffled+interleaved"
    mixed = arrange([once, arrange(plain(3), ["by-entity"])], ["interleaved"])
    assert mixed.source.scenario == "interleaved"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "no scenario is named; known: file-order"),
        (["spread-twin"], "did you mean 'spread-twins'"),
        (["shuffled", "supersede"], "did you mean 'superseding'"),
    ],
)
def test_names_are_looked_at_first(names: list[str], words: str):
    with pytest.raises(BenchError, match=words):
        arrange(plain(3), names)


def test_nothing_to_arrange():
    with pytest.raises(BenchError, match="no stream to arrange"):
        arrange([], ["shuffled"])


def test_streams_that_compare_answers_differently_say_so():
    found = arranged([plain(2), small_stream([small_edit(9)], "b", normalisation="casefold")], ["interleaved"])
    assert found.stream.source.normalisation == "exact"
    assert "different ways" in found.card["normalisation"]
    assert "texts" not in found.card


@pytest.mark.parametrize(("other", "words"), [("paper", "clean, paper"), (None, "clean, not from annotations")])
def test_streams_whose_texts_were_prepared_differently_say_so(other: str | None, words: str):
    given = [small_stream([small_edit(number)], texts=texts) for number, texts in enumerate(("clean", other))]
    found = arranged(given, ["interleaved"])
    assert found.stream.source.texts is None
    assert words in found.card["texts"]


def test_the_runner_keeps_the_order():
    stream = arrange(plain(20), ["shuffled"], seed=4)
    assert numbers(load_stream(stream, edits=20, seed=11)) == numbers(stream)


def test_the_card_is_stored_beside_the_stream(tmp_path: Path):
    found = arranged(plain(10), ["shuffled", "superseding"], seed=2, share=0.5)
    found.save(tmp_path / "out", beside={"notes.txt": b"more"})
    stored = EditStream.load(tmp_path / "out")
    assert stored.sha256 == found.stream.sha256
    assert stored.source == found.stream.source
    card = json.loads((tmp_path / "out" / "scenario.json").read_text())
    assert card == found.card
    assert (card["scenario"], card["seed"], card["edits"]) == ("shuffled+superseding", 2, 15)
    assert card["streams"] == [{**plain(1).source.canonical(), "edits": 10, "sha256": plain(10).sha256}]
    assert [plain(10)[origin].facts.key for origin in card["origins"]] == [edit.facts.key for edit in stored]
    assert (tmp_path / "out" / "notes.txt").read_bytes() == b"more"


def test_the_first_edits_of_an_arranged_stream():
    found = arranged(plain(10), ["superseding"], share=0.5)
    cut = found.first(7)
    assert [edit.id for edit in cut.stream] == [edit.id for edit in found.stream][:7]
    assert (cut.card["edits"], cut.card["cut_from"], len(cut.card["origins"])) == (7, 15, 7)
    assert found.first(15) is found
    assert "origins" not in cut.summary


def test_edits_are_made_when_they_are_asked_for():
    read: list[int] = []

    class Counting(list[Edit]):
        def __getitem__(self, index: Any) -> Any:
            read.append(index)
            return super().__getitem__(index)

    whole = EditStream(Counting(plain(20)), plain(1).source)
    stream = arrange(whole, ["shuffled"], seed=1)
    read.clear()
    part = stream[:5]
    assert not read
    found = [edit.id for edit in part]
    assert len(read) == 5
    assert found == [edit.id for edit in stream][:5]
    assert [edit.id for edit in stream[3:9:2]] == [stream[at].id for at in (3, 5, 7)]


def test_stored_pictures_are_copied_as_they_are(tmp_path: Path):
    build(12, seed=0, split="validation").save(tmp_path / "given")
    given = EditStream.load(tmp_path / "given")
    arranged(given, ["spread-twins", "superseding", "shuffled"], seed=1).save(tmp_path / "out")
    found = EditStream.load(tmp_path / "out")

    def encoded(stream: EditStream) -> dict[str, bytes]:
        pictures = [one.image for edit in stream for one in (edit, *edit.probes) if one.image is not None]
        return {picture.sha256: cast("HasBytes", picture.opener).encoded() for picture in pictures}

    assert encoded(found) == encoded(given)
    assert found.sha256 == arrange(given, ["spread-twins", "superseding", "shuffled"], seed=1).sha256


def test_missing_pictures_stay_missing(tmp_path: Path):
    lost = replace(small_edit(1), image=missing_picture("somewhere/1.jpg"))
    stream = arrange(small_stream([small_edit(0), lost, small_edit(2)]), ["shuffled", "superseding"], share=1.0)
    stream.save(tmp_path / "out")
    assert [one.path for one in EditStream.load(tmp_path / "out").missing_pictures()] == ["somewhere/1.jpg"]


MEMORY = """
import sys
from pathlib import Path
from liveedit_bench.benchmark.edits import EditStream
from liveedit_bench.data_builders.scenarios import arranged
import datasets, pyarrow, PIL.Image, liveedit_bench.metrics.answers

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024

stream = EditStream.load(sys.argv[1])
before = anonymous()
arranged(stream, ["spread-twins", "superseding", "clean"], seed=1, pool=stream).save(sys.argv[2])
print(anonymous() - before)
"""


def test_memory_does_not_grow_with_the_pictures(tmp_path: Path):
    """150 MB of pictures pass through; they are never in memory together."""

    @dataclass(frozen=True)
    class Noise:
        number: int

        def encoded(self) -> bytes:
            return random.Random(self.number).randbytes(500_000)

        def __call__(self) -> Any:
            raise AssertionError("nobody looks at a picture that is only copied")

    def noise(number: int) -> Picture:
        return Picture(Noise(number), hashlib.sha256(Noise(number).encoded()).hexdigest())

    edits = []
    for number in range(150):
        one, other = noise(2 * number), noise(2 * number + 1)
        edit = small_edit(number)
        probes = [replace(probe, image=other if probe.kind == "image_generality" else one) for probe in edit.probes]
        edits.append(replace(edit, image=one, probes=tuple(probes)))
    small_stream(edits).save(tmp_path / "given")
    size = sum(file.stat().st_size for file in (tmp_path / "given").iterdir())
    assert size > 140e6
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "given"), str(tmp_path / "out")]
    grown = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert grown < 60


KEYS = st.sampled_from([f"t{thing}/{attribute}" for thing in range(4) for attribute in "xy"])


@given(
    st.lists(st.tuples(KEYS, st.integers(0, 2), KEYS), min_size=1, max_size=14),
    st.lists(st.sampled_from(ONE_STREAM), min_size=1, max_size=3),
    st.integers(0, 5),
)
def test_the_ledger_knows_the_arranged_world(given_edits: list[tuple[str, int, str]], names: list[str], seed: int):
    """Every stream, arranged in any way: what the ledger expects is what a replayed dict of answers holds."""
    edits = [
        small_edit(
            number,
            entity=key.partition("/")[0],
            key=key,
            target=f"target{target}",
            portable=True,
            locality=[local("text_locality", f"what of {about}", fact=about)],
        )
        for number, (key, target, about) in enumerate(given_edits)
    ]
    stream = arrange(small_stream(edits), names, seed=seed, share=0.5)
    ledger = Ledger(stream)
    world: dict[str, str] = {}
    since: dict[str, int] = {}  # when each answer last became another one
    for step, newest in enumerate(stream, start=1):
        if world.get(newest.facts.key) != newest.target:
            since[newest.facts.key] = step
        world[newest.facts.key] = newest.target
        for position, past in enumerate(stream[:step]):
            changed = since[past.facts.key] > position + 1
            for probe in past.probes:
                expected = ledger.expected(position, probe, step)
                if probe.kind in LOCALITY_KINDS:
                    assert expected == (None if probe.fact in world else probe.target)
                elif probe.kind == "portability":
                    assert expected == (None if changed else probe.target)
                else:
                    assert expected == world[past.facts.key]
                    assert ledger.superseded(position, probe, step) == changed
