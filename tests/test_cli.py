import json
import os
import subprocess
import sys
from pathlib import Path

import fakes
import pytest

from liveedit_bench import cli
from liveedit_bench.leaderboards.schema import Result

FAKES = fakes.__file__
FAKE = ["--dataset", f"{FAKES}:build", "--backbone", f"{FAKES}:load"]


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        cli.main(list(words))
    said = capsys.readouterr()
    return int(str(end.value.code)), said.out, said.err


def fails(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line of an error."""
    code, out, err = call(capsys, *words)
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert (code, out, len(errors)) == (2, "", 1), err
    assert "Traceback" not in err
    return errors[0]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "run"
    with pytest.raises(SystemExit) as end:
        cli.main(["run", "--editor", f"{FAKES}:Buckets", *FAKE, "--steps", "12", "--out", str(out)])
    assert end.value.code == 0
    return out


def test_help_is_fast_and_free_of_torch():
    code = (
        "import sys; from liveedit_bench import cli\ntry: cli.main(['--help'])\nfinally: print('torch' in sys.modules)"
    )
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = os.times()
    assert done.stdout.endswith("False\n")
    assert "Usage: liveedit-bench" in done.stdout
    # Processor time: the machine may be busy with something else.
    assert after.children_user + after.children_system - before.children_user - before.children_system < 0.5


def test_run_leaves_a_folder_with_a_report(done: Path, capsys: pytest.CaptureFixture[str]):
    names = {path.name for path in done.iterdir()}
    assert {
        "run.json",
        "probes.parquet",
        "journal.jsonl",
        "result.json",
        "report.html",
        "curve.png",
        "curve.svg",
    } <= names
    words = ["run", "--editor", f"{FAKES}:Buckets", *FAKE, "--steps", "12", "--out", str(done)]
    code, out, _ = call(capsys, *words, "--json")
    assert code == 0
    assert json.loads(out) == json.loads((done / "result.json").read_text())
    Result.model_validate_json(out)
    code, out, _ = call(capsys, *words)
    assert code == 0
    assert "score" in out
    assert "digest" in out


def test_score_and_report(done: Path, capsys: pytest.CaptureFixture[str]):
    result = json.loads((done / "result.json").read_text())
    code, out, _ = call(capsys, "score", str(done), "--json")
    assert code == 0
    again = json.loads(out)
    assert again["agrees_with_result"] is True
    assert again["curve"] == result["curve"]
    assert call(capsys, "score", str(done))[0] == 0
    (done / "report.html").unlink()
    code, out, _ = call(capsys, "report", str(done), "--json")
    assert code == 0
    assert (done / "report.html").exists()


def test_a_result_that_was_changed_is_found_out(done: Path, capsys: pytest.CaptureFixture[str]):
    path = done / "result.json"
    text = path.read_text()
    result = json.loads(text)
    result["score"]["value"] = 0.99
    path.write_text(json.dumps(result))
    code, _, err = call(capsys, "score", str(done))
    path.write_text(text)
    assert code == 2
    assert "says otherwise" in err


@pytest.mark.parametrize("what", ["editors", "datasets", "backbones"])
def test_list(what: str, capsys: pytest.CaptureFixture[str]):
    code, out, _ = call(capsys, "list", what, "--json")
    assert code == 0
    assert list(json.loads(out)) == [line.split()[0] for line in call(capsys, "list", what)[1].splitlines()]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run --editor livedit", "did you mean 'liveedit'"),
        ("run --editor none --dataset emblem", "did you mean 'emblems'"),
        ("run --editor none {fake} --backbone emblem-lava --steps 2", "did you mean 'emblem-llava'"),
        ("run --editor none {fake} --device nonsense --steps 2", "device 'nonsense' cannot be used here"),
        ("run --editor none {fake} --dtype int3 --steps 2", "unknown dtype 'int3'"),
        ("run --editor none {fake} --steps 0", "from 1 to 400"),
        ("run --editor none {fake} --steps 401", "the largest possible number is 400"),
        ("run --editor none {fake} --steps x", "--steps"),
        ("run --editor none {fake} --steps 9 --checkpoints 3,x", "is no list of steps"),
        ("run --editor none {fake} --steps 9 --checkpoints 12", "from 1 to 9"),
        ("run --editor none {fake} --steps 9 --block 3", "add --protocol paper"),
        ("run --editor none {fake} --steps 9 --protocol paper --checkpoints 3", "belongs to the lifelong protocol"),
        ("run --editor none {fake} --steps 9 --protocol paper --block 3,x", "is no list of sizes"),
        ("run --editor none {fake} --steps 9 --protocol paper --block 10", "--block 10 can be filled by no block"),
        ("run --editor none {fake} --steps 0 --protocol paper", "from 1 to 400"),
        ("run --editor none {fake} --steps 9 --protocol papers", "papers"),
        ("compare {out}/nothing", "finish the run first"),
        ("run --editor none {fake} --split nowhere --steps 2", "no split 'nowhere'"),
        ("run --editor {fakes}:Buckets {fake} --steps 2 --option bucket=3", "did you mean 'buckets'"),
        ("run --editor {fakes}:Buckets {fake} --steps 2 --option buckets=x", "is no whole number"),
        ("run --editor {fakes}:NotANumber {fake} --steps 2 --out {out}/a", "NaN or infinite at step 1"),
        ("run --editor {fakes}:WrongShape {fake} --steps 2 --out {out}/b", "shape"),
        ("run --editor {fakes}:Crasher {fake} --steps 2 --out {out}/c", "KeyError"),
        ("run --nonsense", "No such option"),
        ("train --editor {fakes}:Nothing", "nothing to train"),
        ("score {out}/nothing", "finish the run first"),
        ("report {out}/nothing", "cannot read"),
        ("list cats", "cats"),
        ("nonsense", "nonsense"),
    ],
)
def test_errors_are_one_line(words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    filled = words.format(fakes=FAKES, fake=" ".join(FAKE), out=tmp_path)
    assert said in fails(capsys, *filled.split())


def test_the_paper_protocol_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "run"
    words = ["run", "--editor", f"{FAKES}:Buckets", *FAKE, "--protocol", "paper", "--steps", "12", "--block", "1,5"]
    code, said, _ = call(capsys, *words, "--out", str(out))
    assert code == 0
    assert [line.split()[0] for line in said.splitlines()[1:]] == ["edits", "1", "5", "digest"]
    code, again, _ = call(capsys, "score", str(out))
    assert code == 0
    assert again.splitlines() == said.splitlines()[1:4]
    assert call(capsys, "score", str(out), "--json")[0] == 0
    assert {path.name for path in out.iterdir()} >= {"report.html", "curve.png", "curve.svg"}
    (out / "report.html").unlink()
    assert call(capsys, "report", str(out))[0] == 0
    assert "edits" in call(capsys, "compare", str(out))[1]


def test_debug_shows_the_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["run", "--editor", f"{FAKES}:Crasher", *FAKE, "--steps", "2", "--out", str(tmp_path / "run"), "--debug"]
    code, _, err = call(capsys, *words)
    assert code == 2
    assert "Traceback" in err
    assert "KeyError: 'lost'" in err


def test_a_bug_is_one_line_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("liveedit_bench.benchmark.plugins.names", lambda group: 1 / 0)
    code, _, err = call(capsys, "list", "editors")
    assert (code, err) == (1, "error: ZeroDivisionError: division by zero (--debug shows where)\n")


def test_a_void_run_has_its_own_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    code, out, err = call(
        capsys, "run", "--editor", f"{FAKES}:Peeker", *FAKE, "--steps", "9", "--out", str(tmp_path / "run"), "--json"
    )
    assert code == cli.VOID
    assert json.loads(out)["status"] == "void"
    assert "must be causal" in err


def test_a_terminal_that_lacks_a_letter_gets_a_question_mark():
    code = "from liveedit_bench import cli; cli.app.command('say')(lambda: print('a \\xb7 b')); cli.main(['say'])"
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "a ? b\n"
