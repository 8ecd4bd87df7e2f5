"""`liveedit-bench data audit` on stored streams (on emblems: see the tests of `data`)."""

import json
import sys
from pathlib import Path

import pytest
from made_up_edits import Draft, clean, gone, made, stream

from liveedit_bench import cli
from liveedit_bench.benchmark.edits import Edit


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(["data", "audit", *map(str, words)])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Streams whose pictures are missing, as annotations without pictures make them."""
    names = ("image", "second", "other")

    def without(number: int, side: str, **texts: str) -> Edit:
        draft = Draft(number, side, dict(texts))
        draft.pictures = {name: gone(draft[name]) for name in names}
        return draft.edit()

    leak = {"other": "eval/elsewhere1.jpg", "other_prompt": "How many birds sit in eval tree 1?"}
    stream([without(n, "eval") for n in range(4)]).save(tmp_path / "eval")
    stream([without(0, "train", **leak)], split="train").save(tmp_path / "train")
    return tmp_path / "eval", tmp_path / "train"


def test_terminal_json_and_page(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    evaluation, train = folders
    code, out, _ = run(capsys, evaluation)
    assert code == 0
    assert "needs --train" in out
    target = evaluation.parent / "deep" / "audit.html"
    code, out, _ = run(capsys, evaluation, "--train", train, "--html", target)
    assert code == 0
    assert "needs --train" not in out
    assert str(target) in out.replace("\n", "")
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")
    code, out, _ = run(capsys, evaluation, "--train", train, "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["stream"]["edits"], found["train"]["edits"], "hardness" in found) == (4, 1, False)
    [check] = [check for check in found["checks"] if check["name"] == "train-image-locality"]
    assert (check["family"], check["count"], check["of"], check["state"]) == ("Train and evaluation", 1, 4, "grave")
    [record] = check["records"]
    assert (record["position"], record["train"], record["probe"]) == (1, 0, 4)


def test_no_model_is_loaded_for_other_streams(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "liveedit_bench.benchmark.backbones.huggingface", None)
    assert run(capsys, folders[0], "--backbone", "nothing")[0] == 0
    code, _, err = run(capsys, "emblems", "--edits", "2", "--backbone", "nothing")
    assert (code, "nothing" in err or "huggingface" in err) != (0, False)


def test_part_of_a_stream(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, folders[0], "--edits", "2", "--json")
    assert (code, json.loads(out)["stream"]["edits"]) == (0, 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("{eval} --html {eval}", "is a folder; give a file with --html"),
        ("{eval} --html {eval}/stream.json/x.html", "cannot write"),
        ("{eval} --train {eval}/nothing", "nothing"),
        ("{eval} --edits 5", "from 1 to 4"),
        ("{eval}/nothing", "nothing"),
    ],
)
def test_errors(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], words: str, said: str) -> None:
    code, out, err = run(capsys, *words.format(eval=folders[0]).split())
    assert (code, out, len(err.strip().splitlines())) == (2, "", 1)
    assert said in err


def test_helpers_are_what_they_say() -> None:
    assert made(1).facts.entity == "thing1"
    assert len({edit.id for edit in clean(9)}) == 9
