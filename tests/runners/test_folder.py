import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from liveedit_bench.errors import BenchError
from liveedit_bench.runners.folder import OURS, RunFolder, opened, readable_disk_errors


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = RunFolder(tmp_path)
    sha256 = folder.write(folder.part(10), b"first")
    assert len(sha256) == 64
    assert folder.part(10).read_bytes() == b"first"

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BenchError, match=r"no space is left.*same command again"), readable_disk_errors(tmp_path):
        folder.write(folder.part(10), b"second")
    assert folder.part(10).read_bytes() == b"first"


def test_other_disk_errors_stay_what_they_are(tmp_path: Path):
    with pytest.raises(OSError, match="strange"), readable_disk_errors(tmp_path):
        raise OSError(errno.EIO, "strange")


def test_two_runs_cannot_share_a_folder(tmp_path: Path):
    code = (
        "import sys; from pathlib import Path; from liveedit_bench.runners.folder import opened\n"
        "try:\n with opened(Path(sys.argv[1])): pass\n"
        "except Exception as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    with opened(tmp_path / "run"):
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "another run is writing" in said
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""


def test_fresh_deletes_what_a_run_wrote_and_nothing_else(tmp_path: Path):
    names = [name.replace("*", "000010") for name in OURS]
    mine = [*names, "notes.txt", "parts/mine.txt", "editor/other.bin"]
    for name in mine:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    with opened(tmp_path, fresh=True):
        pass
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["editor/other.bin", "notes.txt", "parts/mine.txt"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(BenchError, match=r"thesis\.tex but no run\.json"), opened(tmp_path):
        pass
    with pytest.raises(BenchError, match="is a file"), opened(tmp_path / "thesis.tex"):
        pass


def test_a_folder_that_a_crash_left_before_it_had_a_run_is_taken(tmp_path: Path):
    (tmp_path / "run.json.writing").write_text("{")
    with opened(tmp_path) as folder:
        assert folder.path == tmp_path
