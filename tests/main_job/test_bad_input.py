"""Bad input, from the installed console script: one line, a code that is not zero, no traceback, nothing lost."""

import json
import resource
from pathlib import Path

import bad_editors
import pytest
from console import Finished, liveedit_bench
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import liveedit_bench as package

pytestmark = pytest.mark.slow

BAD = Path(bad_editors.__file__)
SHIPPED = Path(package.__file__).parent / "benchmark" / "editors" / "liveedit" / "weights" / "emblem-llava.safetensors"
FIVE = ("--steps", "5", "--checkpoints", "2,5", "--split", "validation")


def one_line(done: Finished, *said: str, code: int = 2) -> None:
    assert done.code == code, done.err
    assert done.out == ""
    assert "Traceback" not in done.err
    assert len(done.errors) == 1, done.err
    for words in said:
        assert words in done.errors[0]


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        ("run --editor livedit", ["no editor is called 'livedit'", "did you mean 'liveedit'"], 2),
        ("run --editor none --dataset emblem", ["no dataset", "did you mean 'emblems'"], 2),
        ("run --editor none --backbone emblem-lava", ["no backbone", "did you mean 'emblem-llava'"], 2),
        ("run --editor none --device nonsense", ["device 'nonsense'", "--device cpu"], 2),
        ("run --editor none --steps 0", ["--steps 0", "give a number from 1 to"], 2),
        ("run --editor none --steps 9999999", ["more than emblems (test) holds", "largest possible number is"], 2),
        ("run --editor {bad}:Broken", ["RuntimeError: no such luck", "--debug"], 1),
        ("run --editor {bad}:Raises", ["editor 'bad' failed to answer at step 3", "IndexError", "--debug"], 2),
        ("run --editor {bad}:Poison", ["NaN or infinite at step 3", "edit "], 2),
        ("run --editor {bad}:Narrow", ["logits of shape", "wanted"], 2),
        ("run --editor {bad}:Silent", ["answers to", "questions at step 1"], 2),
        ("run --editor liveedit --option weights={tmp}/other", ["trained for another backbone", "train LiveEdit"], 2),
        ("run --editor liveedit --option weights={tmp}/half", ["holds no LiveEdit modules", "train them again"], 2),
        ("run --editor liveedit --option weights={tmp}/none", ["not there", "--option weights=FILE"], 2),
        ("run --editor liveedit --option layer=9", ["not a block", "from 0 to"], 2),
    ],
)
def test_one_line(words: str, said: list[str], code: int, tmp_path: Path) -> None:
    if "weights" in words:
        tensors, header = load_file(SHIPPED), safe_open(SHIPPED, "np").metadata()
        save_file(tensors, tmp_path / "other", {**header, "backbone": "elsewhere", "backbone_sha256": "f" * 64})
        (tmp_path / "half").write_bytes(SHIPPED.read_bytes()[: SHIPPED.stat().st_size // 2])
    out = tmp_path / "run"
    given = words.format(bad=BAD, tmp=tmp_path).split()
    steps = () if "--steps" in given else FIVE
    done = liveedit_bench(*given, *steps, "--out", out)
    one_line(done, *said, code=code)
    if "step 3" in said[0]:  # what was done before is still there, and the same command comes to the same point
        journal = (out / "journal.jsonl").read_text()
        assert journal.count('"checkpoint"') == 1
        one_line(liveedit_bench(*given, *steps, "--out", out), *said, code=code)
        assert (out / "journal.jsonl").read_text().startswith(journal)


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = liveedit_bench("run", "--editor", f"{BAD}:Raises", *FIVE, "--out", tmp_path / "run", "--debug")
    assert done.code == 2
    assert "Traceback" in done.err
    assert "IndexError" in done.err
    assert len(done.errors) == 1


@pytest.mark.parametrize("kilobytes", [2, 12])
def test_a_full_disk(kilobytes: int, tmp_path: Path) -> None:
    """The kernel cuts a write short at a limit of the file's size; a disk without space does the same."""
    words = ["run", "--editor", "oracle", *FIVE]
    limit = kilobytes * 1024

    def set_limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    whole = liveedit_bench(*words, "--out", tmp_path / "whole")
    assert whole.code == 0, whole.err
    full = liveedit_bench(*words, "--out", tmp_path / "run", before=set_limit)
    one_line(full, "cannot write to", "give the same command again")
    assert all(path.stat().st_size <= limit for path in (tmp_path / "run").rglob("*"))
    again = liveedit_bench(*words, "--out", tmp_path / "run")
    assert again.code == 0, again.err
    digests = [json.loads((tmp_path / name / "result.json").read_text())["digest"] for name in ("whole", "run")]
    assert digests[0] == digests[1]
    assert (tmp_path / "run" / "probes.parquet").read_bytes() == (tmp_path / "whole" / "probes.parquet").read_bytes()
