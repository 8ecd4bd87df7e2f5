"""SIGKILL at random moments, then the same again: equal digest, few edits repeated, no journalled probe asked twice."""

import json
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fakes import Options, run_logged

STEPS = 130
CHECKPOINTS = (1, 2, 5, 10, 20, 50, 100, 130)
CALM = Options(buckets=200, refuse_every=11, sleep=0.005)
WILD = Options(buckets=200, refuse_every=11, crash_every=13, sleep=0.005)


@pytest.fixture(scope="module")
def processes() -> Any:
    context = multiprocessing.get_context("forkserver")  # importing torch once is enough
    context.set_forkserver_preload(["liveedit_bench.runners.lifelong", "fakes"])
    return context


def lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a JSON lines file."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def finish(processes: Any, out: Path, log: Path, options: Options) -> tuple[str, bytes]:
    process = processes.Process(target=run_logged, args=(str(out), str(log), STEPS, options))
    process.start()
    process.join()
    assert process.exitcode == 0
    return json.loads((out / "result.json").read_text())["digest"], (out / "probes.parquet").read_bytes()


def kill_after(processes: Any, seconds: float, out: Path, log: Path, options: Options) -> bool:
    """Start, wait until the run writes, wait a little longer, kill. Was it killed before it was through?"""
    before = len(lines(out / "journal.jsonl"))
    process = processes.Process(target=run_logged, args=(str(out), str(log), STEPS, options))
    process.start()
    while process.is_alive() and len(lines(out / "journal.jsonl")) == before:
        time.sleep(0.002)
    time.sleep(seconds)
    if process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode == -signal.SIGKILL


def check_repeats(journalled: list[dict[str, Any]], again: list[dict[str, Any]]) -> None:
    """What a process did, given what the journal held when it began."""
    done = [event for event in journalled if event["event"] == "edit"]
    checkpoints = {event["step"] for event in journalled if event["event"] == "checkpoint"}
    edits = Counter(event["target"] for event in again if event["event"] == "edit")
    assert max(edits.values(), default=0) <= 1
    applied = [event for event in again if event["event"] == "edit"]
    asked = [(event["step"], event["label"]) for event in again if event["event"] == "ask"]
    fresh_edits = len(
        {label for step, label in asked if f"position {step - 1}, probe 0," in label and step > len(done)}
    )
    assert len(applied) - fresh_edits <= 50
    for step, label in asked:
        assert step >= len(done)
        assert step not in checkpoints
        if step == len(done):  # its own question is journalled, so only a checkpoint may ask there
            assert step in CHECKPOINTS, label
    if any(event["event"] == "f0" for event in journalled):
        assert not any(event["event"] == "f0" for event in again)


@pytest.mark.parametrize(("seed", "options"), [(0, CALM), (1, WILD)])
def test_kill_and_continue(seed: int, options: Options, tmp_path: Path, processes: Any):
    whole = finish(processes, tmp_path / "whole", tmp_path / "whole.log", options)
    rng, kills = random.Random(seed), 0
    out, log = tmp_path / "run", tmp_path / "log"
    for _ in range(8):
        journalled, logged = lines(out / "journal.jsonl"), len(lines(log))
        kills += kill_after(processes, rng.uniform(0, 0.4), out, log, options)
        if options is CALM:  # a crashed edit reloads the last state, which repeats edits by itself
            check_repeats(journalled, lines(log)[logged:])
    journalled, logged = lines(out / "journal.jsonl"), len(lines(log))
    assert finish(processes, out, log, options) == whole
    if options is CALM:
        check_repeats(journalled, lines(log)[logged:])
    assert kills >= 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_kill_at_twenty_moments(seed: int, tmp_path: Path, processes: Any):
    whole = finish(processes, tmp_path / "whole", tmp_path / "whole.log", CALM)
    out, log = tmp_path / "run", tmp_path / "log"
    kill_after(processes, random.Random(f"moment {seed}").uniform(0, 2), out, log, CALM)
    assert finish(processes, out, log, CALM) == whole
