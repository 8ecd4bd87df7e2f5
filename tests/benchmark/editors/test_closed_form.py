"""What none, vandal, oracle and majority score follows from the stream and f_0's answers; a run must find exactly that.

Everything is worked out here once more, without the runner, the ledger, the editors or the metrics.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest
from tiny_llava import picture, save_tiny_llava, word

from liveedit_bench.benchmark.backbone import Answer, Query
from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone, load_emblem
from liveedit_bench.benchmark.edits import Edit, EditStream, Facts, Kind, Picture, Probe, Source
from liveedit_bench.data_builders.emblems import build
from liveedit_bench.runners.lifelong import run

STEPS = 24
THINGS = 9
CLAN, REGION, WHERE = "Which clan is this?", "Where does it come from?", "Who lives in this place?"
REPHRASED = {CLAN: "This is which clan?", REGION: "It does come from where?"}

# An answer: its text, and whether f_0 gave it itself (then its ids are f_0's).
Said = tuple[str, bool]
Editor = Callable[[list[Edit], Query], str | None]


def views(thing: int) -> tuple[Picture, Picture]:
    return picture(10 * thing), picture(10 * thing + 1)


def hand_made_stream() -> EditStream:
    """Few things and many edits: facts are edited twice, share prompts and targets, and are what others rest on."""
    rng = random.Random(5)
    names = [word(rng, 1 + i % 3) for i in range(7)]
    edits: list[Edit] = []
    for position in range(STEPS):
        thing = rng.randrange(THINGS)
        prompt = CLAN if rng.random() < 0.6 else REGION
        task = "clan" if prompt == CLAN else "region"
        target = names[min(rng.randrange(7), rng.randrange(7))]
        key = f"thing{thing}/{task}"
        one, other = views(thing)
        stranger = (thing + 1) % THINGS

        def probe(
            kind: Kind, image: Picture | None, asked: str, right: str, fact: str = key, rests_on: tuple[str, ...] = ()
        ) -> Probe:
            return Probe(kind, image, asked, right, fact, rests_on)

        probes = (
            probe("reliability", one, prompt, target),
            probe("text_generality", one, REPHRASED[prompt], target),
            probe("image_generality", other, prompt, target),
            probe("portability", one, WHERE, names[3], f"{task}:{target}/ruler", (key,)),
            probe("image_locality", views(stranger)[0], prompt, names[1], f"thing{stranger}/{task}"),
            probe("image_locality", views(100 + position)[0], prompt, names[2], f"never{position}/{task}"),
            probe("text_locality", None, f"Who lives in {names[position % 7]}?", names[4], f"text{position}/ruler"),
            probe("locality_no_image", None, prompt, "unknown", f"none{position}/{task}"),
        )
        edits.append(Edit(one, prompt, target, probes, Facts(key, names[6], f"thing{thing}", task, "by hand", None)))
    return EditStream(edits, Source("by-hand", "test", 0))


def none(before: list[Edit], query: Query) -> str | None:
    return None


def vandal(before: list[Edit], query: Query) -> str | None:
    return before[-1].target


def oracle(before: list[Edit], query: Query) -> str | None:
    for edit in reversed(before):
        if edit.prompt == query.prompt and edit.image == query.image:
            return edit.target
    return None


def majority(before: list[Edit], query: Query) -> str | None:
    """Edits with the largest share of common words vote; the earliest of the commonest targets wins."""

    def split(text: str) -> set[str]:
        return set("".join(c if c.isalnum() else " " for c in text.lower()).split())

    def share(edit: Edit) -> float:
        return len(split(edit.prompt) & split(query.prompt)) / len(split(edit.prompt) | split(query.prompt))

    best = max(map(share, before))
    votes = [edit.target for edit in before if share(edit) == best]
    order = [edit.target for edit in before if edit.target in votes]
    return max(order, key=lambda target: (votes.count(target), -order.index(target)))


EDITORS: dict[str, Editor] = {"none": none, "vandal": vandal, "oracle": oracle, "majority": majority}


@dataclass(frozen=True)
class World:
    """A stream, a backbone, and f_0's own answer to every question of the stream."""

    edits: EditStream
    backbone: HuggingFaceBackbone
    f0: dict[tuple[Picture | None, str], Answer]


def world(edits: EditStream, backbone: HuggingFaceBackbone) -> World:
    asked = {(probe.image, probe.prompt) for edit in edits for probe in edit.probes}
    return World(edits, backbone, {key: backbone.generate([Query(*key)])[0] for key in asked})


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> World:
    return world(hand_made_stream(), HuggingFaceBackbone.load(save_tiny_llava(tmp_path_factory.mktemp("tiny"))))


@pytest.fixture(scope="module")
def emblems() -> World:
    return world(build(STEPS, seed=0, split="validation"), load_emblem())


def right_answer(edits: list[Edit], position: int, probe: Probe, step: int) -> str | None:
    """Walk the world from the beginning; None when the probe rests on what another edit has changed."""
    world = {edit.facts.key: edit.target for edit in edits[:step]}
    own = edits[position].facts.key
    if "locality" not in probe.kind and probe.fact == own:
        return world[own]
    for key in (probe.fact, *probe.facts_used):
        mine = key == own and "locality" not in probe.kind
        if key in world and not (mine and not overridden(edits, position, step)):
            return None
    return probe.target


def overridden(edits: list[Edit], position: int, step: int) -> bool:
    """Did the fact get another target since? (The same target again changes nothing.)"""
    one = edits[position]
    return any(edit.facts.key == one.facts.key and edit.target != one.target for edit in edits[position + 1 : step])


@pytest.mark.parametrize("name", list(EDITORS))
@pytest.mark.parametrize("where", ["by_hand", "emblems"])
def test_a_run_finds_the_closed_form(where: str, name: str, request: pytest.FixtureRequest, tmp_path: Path):
    here: World = request.getfixturevalue(where)
    backbone, edits = here.backbone, list(here.edits)
    result = run(editor=name, backbone=backbone, stream=here.edits, steps=STEPS, out=tmp_path / "run", progress=False)
    table = pd.read_parquet(tmp_path / "run" / "probes.parquet")
    expired = superseded = 0
    scores: dict[str, list[list[float]]] = {}
    for row in cast(Any, table.itertuples()):
        probe = edits[row.position].probes[row.probe]
        step = int(row.step)
        right = right_answer(edits, row.position, probe, step)
        if right is None:
            assert row.status == "expired"
            assert pd.isna(row.free_running)
            expired += 1
            continue
        if row.when == "checkpoint" and "locality" not in probe.kind and overridden(edits, row.position, step):
            said = EDITORS[name](edits[:step], Query(probe.image, probe.prompt))
            assert (row.status, row.expected, row.leak) == ("superseded", right, edits[row.position].target)
            assert pd.isna(row.free_running)
            assert pd.isna(row.teacher_forced)
            assert row.answer == (here.f0[probe.image, probe.prompt].text if said is None else said)
            superseded += 1
            continue
        assert row.status == "asked"
        own = here.f0[probe.image, probe.prompt]
        said = EDITORS[name](edits[:step], Query(probe.image, probe.prompt))
        if "locality" in probe.kind:
            same = said is None or (*backbone.target_ids(said), backbone.eos_id) == own.ids
            expected = float(same)
        else:
            expected = float((own.text if said is None else said) == right)
        assert row.free_running == expected, (step, probe.kind)
        assert row.answer == (own.text if said is None else said)
        if row.when == "checkpoint" and step == STEPS:
            scores.setdefault(probe.kind, [[] for _ in edits])[row.position].append(expected)
    assert min(expired, superseded) > 0 or where == "emblems"
    assert ("superseded" in result) == (superseded > 0)
    steps = set(table["step"])
    assert {1, 2, 5, 10, 20, STEPS} <= steps
    assert list(table["when"]).count("after_edit") == STEPS
    last = result["curve"][-1]
    assert last["step"] == STEPS
    for kind, by_edit in scores.items():
        means = [sum(each) / len(each) for each in by_edit if each]
        measured = last["metrics"][kind]["free_running"]
        assert measured["value"] == pytest.approx(sum(means) / len(means), abs=1e-12), kind


def test_the_stream_by_hand_tells_the_editors_apart():
    """Or the equality above would show little."""
    edits = list(hand_made_stream())
    asked = [Query(probe.image, probe.prompt) for edit in edits for probe in edit.probes]
    said = {name: [editor(edits, query) for query in asked] for name, editor in EDITORS.items()}
    assert len({tuple(answers) for answers in said.values()}) == 4
    assert len({edit.facts.key for edit in edits}) < STEPS - 5
    assert len(set(said["majority"])) > 1
