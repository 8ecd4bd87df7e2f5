"""SIGKILL at random moments, then the same command: equal digest, equal answers, few edits repeated.

    python perf/resume_check.py                                   # the release check, evidence in perf/results/
    python perf/resume_check.py --steps 30 --kills 3 --folders 1  # a short form

A whole run goes first. Then, in each of `--folders` fresh folders, the same run is killed (`--kills` in all) and
continued to its end. The editor keeps count of what it is given (counted.py): an edit is repeated when an earlier
process had applied it, a probe is asked again when the journal held its answer.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SCRIPT = Path(sysconfig.get_path("scripts")) / "liveedit-bench"


@dataclass(frozen=True)
class Kill:
    """At which line of the journal, at which journalled edit, and what the next process did once more."""

    line: int
    edits: int
    repeated_edits: int
    probes_asked_again: int


@dataclass(frozen=True)
class Run:
    """One folder and the command that fills it."""

    out: Path
    steps: int
    checkpoints: str | None = None

    @property
    def log(self) -> Path:
        """What the editor was given."""
        return self.out.with_suffix(".log")

    def start(self) -> subprocess.Popen[bytes]:
        """Give the command."""
        words = ["run", "--editor", f"{HERE / 'counted.py'}:Counted", "--split", "validation"]
        if self.checkpoints:
            words += ["--checkpoints", self.checkpoints]
        with self.out.with_suffix(".err").open("ab") as err:
            return subprocess.Popen(
                [SCRIPT, *words, "--steps", str(self.steps), "--out", self.out],
                stdout=subprocess.DEVNULL,
                stderr=err,
                env={**os.environ, "COUNTED": str(self.log)},
            )

    def finish(self) -> tuple[str, bytes]:
        """Run to the end. Returns digest and answers."""
        if self.start().wait():
            sys.exit(self.out.with_suffix(".err").read_text())
        result = json.loads((self.out / "result.json").read_text(encoding="utf-8"))
        return result["digest"], (self.out / "probes.parquet").read_bytes()

    def kill(self, line: int, seconds: float) -> bool:
        """Start, wait until the journal is so long, wait a little longer, kill. False: the run had ended before."""
        process = self.start()
        while process.poll() is None and len(self.journal()) < line:
            time.sleep(0.01)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL

    def journal(self) -> list[dict[str, Any]]:
        """The whole lines of the journal."""
        return _lines(self.out / "journal.jsonl")


def repeated(
    journal: list[dict[str, Any]], before: list[dict[str, int]], after: list[dict[str, int]], steps: int
) -> tuple[int, int]:
    """Edits repeated and probes asked again by a process.

    journal: what it found. before, after: what its predecessors and itself gave to the editor.
    """
    applied = {line["edit"] for line in before if "edit" in line}
    done = sum(event["event"] == "edit" for event in journal)
    asked = {event["step"] for event in journal if event["event"] == "checkpoint"}
    if not any(event["event"] == "checked" for event in journal):
        asked -= {steps}  # the causality check asks there once more by its nature
    again = 0
    for line in after:
        # A checkpoint that is not journalled is asked as a whole, the question of the last edit among the rest.
        if "asked" in line and (line["step"] < done or (line["step"] == done and done in asked)):
            again += line["asked"]
    return sum(line.get("edit") in applied for line in after), again


def check(
    folder: Path, *, steps: int, checkpoints: str | None, kills: int, folders: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Do it all. Yields the evidence so far after each folder."""
    dice = random.Random(seed)
    whole = Run(folder / "whole", steps, checkpoints)
    wanted = whole.finish()
    longest = len(whole.journal())
    found: list[Kill] = []
    equal = 0
    for number in range(folders):
        run = Run(folder / f"killed-{number}", steps, checkpoints)
        moments: list[tuple[list[dict[str, Any]], int]] = []
        for line in sorted(dice.randint(1, longest) for _ in range(kills // folders)):
            if run.kill(line, dice.uniform(0, 2)):
                moments.append((run.journal(), len(_lines(run.log))))
        equal += run.finish() == wanted
        log = _lines(run.log)
        ends = [start for _, start in moments[1:]] + [len(log)]
        for (journal, start), end in zip(moments, ends, strict=True):
            edits = sum(event["event"] == "edit" for event in journal)
            found.append(Kill(len(journal), edits, *repeated(journal, log[:start], log[start:end], steps)))
        yield {
            "steps": steps,
            "checkpoints": checkpoints or "default",
            "seed": seed,
            "digest": wanted[0],
            "folders": number + 1,
            "folders_equal": equal,
            "most_edits_repeated": max((kill.repeated_edits for kill in found), default=0),
            "probes_asked_again": sum(kill.probes_asked_again for kill in found),
            "kills": [asdict(kill) for kill in found],
        }


def _lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--checkpoints")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--folders", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "resume.json")
    given = vars(parser.parse_args())
    out: Path = given.pop("out")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for evidence in check(Path(folder), **given):
            out.write_text(json.dumps(evidence, indent=2) + "\n", encoding="utf-8")
            last = evidence["kills"][-1:]
            print(f"{evidence['folders_equal']} of {evidence['folders']} folders equal; {last}", file=sys.stderr)
            repeats_little = evidence["most_edits_repeated"] <= 50 and not evidence["probes_asked_again"]
            if evidence["folders_equal"] < evidence["folders"] or not repeats_little:
                sys.exit(f"not equal, or too much repeated: see {out}")


if __name__ == "__main__":
    main()
