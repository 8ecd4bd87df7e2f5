"""`data arrange`, and `--scenario` of `data build` and `run`."""

import json
from pathlib import Path

import fakes
import pytest
from small_streams import local, plain, small_edit, small_stream

from liveedit_bench import cli
from liveedit_bench.benchmark.edits import EditStream
from liveedit_bench.data_builders.emblems import build
from liveedit_bench.data_builders.scenarios import arrange

FAKE = ["--editor", f"{fakes.__file__}:Buckets", "--backbone", f"{fakes.__file__}:load"]


def call(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(map(str, words)))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.fixture
def given(tmp_path: Path) -> Path:
    plain(20).save(tmp_path / "given")
    return tmp_path / "given"


def test_arrange_stores_and_tells(given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    words = ["data", "arrange", given, "--scenario", "spread-twins", "--scenario", "superseding", "--seed", "3"]
    code, said, _ = call(capsys, *words, "--share", "0.5", "--out", out)
    assert code == 0
    expected = arrange(plain(20), ["spread-twins", "superseding"], seed=3, share=0.5)
    assert EditStream.load(out).sha256 == expected.sha256
    assert f"30 edits of small (spread-twins+superseding, seed 3) are in {out}\nsha256 {expected.sha256}" in said
    assert "superseding: second edits: 10" in said
    code, said, _ = call(capsys, "data", "arrange", given, "--scenario", "shuffled", "--out", tmp_path / "quiet")
    assert (code, len(said.splitlines())) == (0, 2)  # nothing was counted, and no empty line says so
    code, said, err = call(capsys, *words, "--out", out)
    assert (code, said) == (2, "")
    assert "not empty" in err


def test_arrange_as_json(given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    words = ["data", "arrange", given, "emblems", "--edits", "3", "--split", "test"]
    code, said, _ = call(capsys, *words[:3], "--scenario", "shuffled", "--out", out, "--json")
    assert code == 0
    found = json.loads(said)
    card = json.loads((out / "scenario.json").read_text())
    assert found.pop("sha256") == EditStream.load(out).sha256
    assert found.pop("out") == str(out)
    assert found == {name: value for name, value in card.items() if name != "origins"}


def test_clean_says_what_it_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    leak = local("text_locality", "where is paris", fact="paris/in")
    small_stream([small_edit(0, locality=[leak]), small_edit(1, locality=[leak])]).save(tmp_path / "given")
    small_stream([small_edit(8, locality=[leak])], split="train").save(tmp_path / "train")
    small_stream([small_edit(9, locality=[local("text_locality", "where is rome", fact="rome/in")])]).save(
        tmp_path / "pool"
    )
    words = ["data", "arrange", tmp_path / "given", "--scenario", "clean", "--train", tmp_path / "train"]
    code, said, _ = call(capsys, *words, "--pool", tmp_path / "pool", "--out", tmp_path / "out")
    assert code == 0
    assert "clean: text_locality, asked: 2" in said
    assert "clean: text_locality, replaced: stands in train: 1" in said
    assert "clean: text_locality, removed: stands in train, the pool is used up: 1" in said
    card = json.loads((tmp_path / "out" / "scenario.json").read_text())
    assert {card["train"]["split"], card["pool"]["split"]} == {"train", "test"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "no scenario is named"),
        (["--scenario", "spread-twin"], "did you mean 'spread-twins'"),
        (["--scenario", "superseding", "--share", "2"], "more than 0 and at most 1"),
        (["--scenario", "interleaved"], "give at least two"),
        (["--scenario", "shuffled", "--pool", "nowhere"], "for the scenario clean"),
        (["--scenario", "clean", "--pool", "nowhere"], "nowhere holds no stream"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
):
    code, out, err = call(capsys, "data", "arrange", given, *words, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_paper_protocol_arranges_nothing(capsys: pytest.CaptureFixture[str]):
    code, out, err = call(capsys, "run", *FAKE, "--protocol", "paper", "--scenario", "shuffled")
    assert (code, out) == (2, "")
    assert "--scenario belongs to the lifelong protocol" in err


def test_build_arranges(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    words = ["data", "build", "emblems", "--edits", "12", "--split", "validation", "--seed", "2", "--out", out]
    code, said, err = call(capsys, *words, "--scenario", "superseding", "--json")
    assert code == 0
    stream = EditStream.load(out)
    assert json.loads(said)["scenario"] == stream.source.scenario == "superseding"
    assert stream.sha256 == arrange(build(10, seed=2, split="validation"), ["superseding"], seed=2).sha256
    assert "second edits: 2" in err
    assert (out / "scenario.json").is_file()


def test_run_arranges(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    given = tmp_path / "given"
    whole = fakes.build(20)
    whole.save(given)
    words = ["run", *FAKE, "--steps", "12", "--seed", "4", "--json"]
    scenario = ["--scenario", "superseding", "--scenario", "shuffled"]
    code, said, err = call(capsys, *words, "--dataset", given, *scenario, "--out", tmp_path / "run")
    assert code == 0
    result = json.loads(said)
    expected = arrange(whole, ["superseding", "shuffled"], seed=4)[:12]
    assert result["stream"]["sha256"] == expected.sha256
    assert result["stream"]["scenario"] == "superseding+shuffled"
    assert "second edits: 4" in err
    assert "cut to 12 of 24 edits" in err
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "superseding+shuffled" in html
    assert "No pictures." not in html
