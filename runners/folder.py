"""The folder of a run: what stands where, written so that a crash or a full disk loses nothing."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import BenchError

OURS = (
    "run.json",
    "journal.jsonl",
    "f0.json",
    "editor/state.safetensors",
    "probes.parquet",
    "result.json",
    "report.html",
    "curve.png",
    "curve.svg",
    "parts/step-*.parquet",
    "tracking.json",
    "tensorboard/events.out.tfevents.*",
    "*.writing",
    "*/*.writing",
    ".*.draft",
)


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run folder, and the only ways in which files there come into being and go."""

    path: Path

    @property
    def run(self) -> Path:
        """What was asked for: spec, hashes, environment, status."""
        return self.path / "run.json"

    @property
    def journal(self) -> Path:
        """One line per thing done, in order."""
        return self.path / "journal.jsonl"

    @property
    def f0(self) -> Path:
        """The unedited model's answers to the locality panel."""
        return self.path / "f0.json"

    @property
    def state(self) -> Path:
        """The editor as it was at the last saved step."""
        return self.path / "editor" / "state.safetensors"

    @property
    def probes(self) -> Path:
        """The finished answers table."""
        return self.path / "probes.parquet"

    @property
    def result(self) -> Path:
        """The numbers."""
        return self.path / "result.json"

    @property
    def tracking(self) -> Path:
        """What trackers know this run by."""
        return self.path / "tracking.json"

    def part(self, step: int) -> Path:
        """The answers of one checkpoint, while the run goes on."""
        return self.path / "parts" / f"step-{step:06d}.parquet"

    def write(self, path: Path, content: bytes) -> str:
        """Put a whole file in place, or leave the old one as it is. Returns the sha256 of the content."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".writing")
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
        return hashlib.sha256(content).hexdigest()

    def remove(self, path: Path) -> None:
        """Delete one of our files, if it is there, for good."""
        if path.exists():
            path.unlink()
            _sync_folder(path.parent)

    def clear(self) -> None:
        """Delete what a run wrote here, and nothing else."""
        # run.json goes last: a folder that still has it is known as ours, whenever this is interrupted.
        for pattern in reversed(OURS):
            for path in self.path.glob(pattern):
                path.unlink()
        self.remove_empty()

    def remove_parts(self) -> None:
        """Delete the parts once `probes.parquet` holds them all."""
        for path in self.path.glob("parts/step-*.parquet"):
            path.unlink()
        self.remove_empty()

    def remove_empty(self) -> None:
        """Delete our sub-folders when nothing is left in them."""
        for name in ("editor", "parts", "tensorboard"):
            folder = self.path / name
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


@contextmanager
def opened(path: Path, *, fresh: bool = False) -> Generator[RunFolder]:
    """The folder at `path`, made when missing and locked against a second run.

    Raises `BenchError` when another run writes there, when it holds files but no run, and when the disk is full.
    """
    with readable_disk_errors(path):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise BenchError(f"{path} is a file; give another --out") from None
        handle = os.open(path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BenchError(f"another run is writing to {path}; wait for it or give another --out") from None
            folder = RunFolder(path)
            if fresh:
                folder.clear()
            elif not folder.run.exists() and (strangers := _strangers(folder)):
                raise BenchError(f"{path} holds {strangers[0]} but no run.json, so no run began it; give another --out")
            yield folder
        finally:
            os.close(handle)  # which also gives the lock back


@contextmanager
def readable_disk_errors(path: Path) -> Generator[None]:
    """A full or read-only disk becomes one line."""
    try:
        yield
    except OSError as error:
        reasons = {
            errno.ENOSPC: "no space is left",
            errno.EDQUOT: "the quota is used up",
            errno.EFBIG: "a file may grow no further (ulimit -f)",
            errno.EROFS: "the file system is read-only",
            errno.EACCES: "the folder may not be written to",
        }
        if error.errno not in reasons:
            raise
        raise BenchError(
            f"cannot write to {path}: {reasons[error.errno]}; mend that and give the same command again: it continues"
        ) from error


def read_bounded(path: Path, most: int) -> bytes:
    """The content of a file of no more than `most` bytes.

    Raises `BenchError` for a larger one and `OSError` for one that cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise BenchError(f"{path.name} is larger than {most // 2**20:,} MiB; it is not read")
    return content


def _strangers(folder: RunFolder) -> list[str]:
    ours = {path for pattern in OURS[-3:] for path in folder.path.glob(pattern)}
    return sorted(path.name for path in folder.path.iterdir() if path not in ours)


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
