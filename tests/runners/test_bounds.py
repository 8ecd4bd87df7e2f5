"""What runners tell bounds and nobody else, against the stream read by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeBackbone, Nothing, build

from liveedit_bench.benchmark.backbone import Query
from liveedit_bench.benchmark.editor import EditRequest
from liveedit_bench.benchmark.edits import Edit, EditStream
from liveedit_bench.leaderboards.schema import Result
from liveedit_bench.runners import lifelong, paper

EDITS = 90  # of 60 things: a third of the facts are edited again
Told = tuple[Query, EditRequest | None]


class Listener(Nothing):
    """Writes down what it is told after how many edits; asks with the target at hand."""

    name = "listener"
    bound = True

    def __init__(self, backbone: Any, options: Any = None, *, seed: int = 0) -> None:
        super().__init__(backbone, options, seed=seed)
        self.count, self.heard = 0, set[tuple[int, Query, EditRequest | None]]()

    def edit(self, request: EditRequest) -> None:
        self.count += 1

    def reset(self) -> None:
        self.count = 0

    def told(self, query: Query, edit: EditRequest | None) -> Query:
        self.heard.add((self.count, query, edit))
        return query if edit is None else Query(None, f"told {edit.target}")


class Method(Listener):
    """The same, but no bound."""

    name = "method"
    bound = False


class Parrot(FakeBackbone):
    """Believes what it is told."""

    def belief(self, query: Query) -> str:
        return query.prompt.removeprefix("told ") if query.prompt.startswith("told ") else super().belief(query)


def request(edit: Edit) -> EditRequest:
    return EditRequest(edit.image, edit.prompt, edit.target)


def replayed(kind: type[Listener], stream: EditStream, out: Path) -> tuple[Listener, dict[str, Any]]:
    editor = kind(Parrot())
    return editor, lifelong.run(editor=editor, stream=stream, steps=EDITS, out=out, progress=False, panel_size=20)


@pytest.fixture(scope="module")
def stream() -> EditStream:
    return build(EDITS)


def test_a_bound_is_told_the_newest_edit_of_the_fact_and_none_for_locality(stream: EditStream, tmp_path: Path):
    editor, result = replayed(Listener, stream, tmp_path / "run")
    edits = list(stream)
    newest = {edit.facts.key: edit for edit in edits}
    assert len(newest) < EDITS
    wanted: set[Told] = set()
    for edit in edits:
        last = newest[edit.facts.key]
        for probe in edit.probes:
            expired = probe.kind == "portability" and last.target != edit.target
            if "locality" not in probe.kind and not expired:
                wanted.add((Query(probe.image, probe.prompt), request(last)))
    heard = {(query, edit) for count, query, edit in editor.heard if count == EDITS}
    assert {each for each in heard if each[1] is not None} == wanted
    locality = {Query(p.image, p.prompt) for edit in edits for p in edit.probes if "locality" in p.kind}
    assert {query for query, edit in heard if edit is None} <= locality
    last = result["curve"][-1]["metrics"]
    for kind in ("reliability", "text_generality", "image_generality", "image_locality"):
        assert last[kind]["free_running"]["value"] == 1.0
    assert last["portability"]["free_running"]["value"] == 0.0  # what it is told is not what is asked for
    assert result["editor"]["bound"] is True
    assert Result.model_validate(result).editor.bound is True


def test_right_after_an_edit_it_is_told_that_edit(stream: EditStream, tmp_path: Path):
    editor, _ = replayed(Listener, stream, tmp_path / "run")
    for position, edit in enumerate(stream, start=1):
        assert (position, Query(edit.image, edit.prompt), request(edit)) in editor.heard


def test_a_method_is_told_nothing(stream: EditStream, tmp_path: Path):
    editor, result = replayed(Method, stream, tmp_path / "run")
    assert editor.heard == set()
    assert "bound" not in result["editor"]


@pytest.mark.parametrize(("kind", "told"), [(Listener, True), (Method, False)])
def test_the_paper_protocol_tells_each_record_its_own_edit(
    stream: EditStream, tmp_path: Path, kind: Callable[[Any], Listener], told: bool
):
    editor = kind(Parrot())
    paper.run(editor=editor, stream=stream, blocks=[30], out=tmp_path / "run", progress=False)
    heard = {(query, edit) for _, query, edit in editor.heard if edit is not None}
    wanted = {
        (Query(probe.image, probe.prompt), request(edit))
        for edit in stream
        for probe in edit.probes
        if probe.kind in ("reliability", "text_generality", "image_generality")
    }
    assert heard == (wanted if told else set())
