"""A paper run that dies after any write, or is killed for real, continues to the same bytes and repeats little."""

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import Buckets, FakeBackbone, Options, build, run_logged

from liveedit_bench.runners import blocks, paper
from liveedit_bench.runners.folder import RunFolder
from liveedit_bench.runners.journal import Journal

RECORDS, SIZES, EVERY = 14, (1, 3, 12), 5
CALM = Options(buckets=200, refuse_every=7)
WILD = Options(buckets=200, refuse_every=7, crash_every=11)
SLOW = Options(buckets=200, refuse_every=11, sleep=0.005)


class DeadError(BaseException):
    """Stands for the process being gone."""


def run(out: Path, options: Options) -> dict[str, Any]:
    editor = Buckets(FakeBackbone(), options)
    return paper.run(editor=editor, stream=build(RECORDS), blocks=SIZES, out=out, progress=False)


def outcome(out: Path) -> tuple[str, bytes]:
    return json.loads((out / "result.json").read_text())["digest"], (out / "probes.parquet").read_bytes()


def dies(patch: pytest.MonkeyPatch, kind: type, name: str, at: int, *, before: bool) -> None:
    """The `at`-th call of a method is the last thing the process does, or was about to do."""
    real: Callable[..., Any] = getattr(kind, name)
    calls = [0]

    def mortal(*args: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] == at and before:
            raise DeadError
        found = real(*args, **more)
        if calls[0] == at:
            raise DeadError
        return found

    patch.setattr(kind, name, mortal)


@pytest.fixture
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "STATE_EVERY", EVERY)
    # Nobody changes the code between two lives of these processes; looking at all of it takes most of the time.
    monkeypatch.setattr("liveedit_bench.runners.identity.code_sha256", lambda editor: "0" * 64)
    monkeypatch.setattr("liveedit_bench.runners.environment.describe", lambda backbone=None: {"versions": {}})


@pytest.mark.slow
@pytest.mark.usefixtures("_often")
@pytest.mark.parametrize("options", [CALM, WILD], ids=["refuses", "crashes"])
@pytest.mark.parametrize(("kind", "name"), [(Journal, "append"), (RunFolder, "write"), (Buckets, "edit")])
def test_dying_at_any_moment(kind: type, name: str, options: Options, tmp_path: Path):
    run(tmp_path / "whole", options)
    wanted = outcome(tmp_path / "whole")
    moments = range(1, 1000, {"append": 4, "write": 1, "edit": 7}[name])
    died = 0
    for before in (True, False):
        for at in moments:
            out = tmp_path / f"{before}{at}"
            with pytest.MonkeyPatch.context() as patch:
                dies(patch, kind, name, at, before=before)
                try:
                    run(out, options)
                    break
                except DeadError:
                    died += 1
            run(out, options)
            assert outcome(out) == wanted, (before, at)
    assert died > 8


@pytest.mark.usefixtures("_often")
def test_dying_again_and_again(tmp_path: Path):
    """Every process lives for three lines of the journal."""
    run(tmp_path / "whole", WILD)
    for life in range(200):
        with pytest.MonkeyPatch.context() as patch:
            dies(patch, Journal, "append", 4, before=bool(life % 2))
            try:
                run(tmp_path / "run", WILD)
                break
            except DeadError:
                continue
    assert life > 8
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a JSON lines file."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def told(journal: list[dict[str, Any]]) -> int:
    """Of how many edits a journal tells the outcome."""
    asked = {(event["size"], event["block"]): len(event["outcomes"]) for event in journal if event["event"] == "block"}
    begun = [event for event in journal if event["event"] == "applied" and (event["size"], event["block"]) not in asked]
    return sum(asked.values()) + sum(len(event["outcomes"]) for event in begun)


def killed(out: Path, log: Path, seconds: float | None) -> bool:
    """Run in a process of its own; kill it so long after its first new line of the journal, or let it finish."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["liveedit_bench.runners.paper", "fakes"])
    before = len(lines(out / "journal.jsonl"))
    process = context.Process(target=run_logged, args=(str(out), str(log), 130, SLOW, (1, 60)))
    process.start()
    if seconds is not None:
        while process.is_alive() and len(lines(out / "journal.jsonl")) == before:
            time.sleep(0.002)
        time.sleep(seconds)
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode == -signal.SIGKILL


def test_sigkill_repeats_at_most_fifty_edits_and_no_journalled_block(tmp_path: Path):
    whole, out, log = tmp_path / "whole", tmp_path / "run", tmp_path / "log"
    killed(whole, tmp_path / "whole.log", None)
    rng, kills = random.Random(3), 0
    for life in range(6):
        journalled, logged = lines(out / "journal.jsonl"), len(lines(log))
        kills += (was_killed := killed(out, log, rng.uniform(0, 0.7) if life < 5 else None))
        again = lines(log)[logged:]
        done = {(event["size"], event["block"]) for event in journalled if event["event"] == "block"}
        for event in again:
            if event["event"] == "ask":
                position = int(event["label"].split()[4].rstrip(","))
                assert (event["step"], position // event["step"]) not in done
        if any(event["event"] == "f0" and event["size"] == 60 for event in journalled):
            assert not any(event["event"] == "f0" for event in again)
        new = told(lines(out / "journal.jsonl")) - told(journalled)
        applied = sum(event["event"] == "edit" for event in again)
        assert applied - new <= 50 + 50 * was_killed  # what it repeats, and what dies with it before it is journalled
    assert kills >= 2
    assert outcome(out) == outcome(whole)
