from pathlib import Path

import pytest
from submitted import make_run
from typer.testing import CliRunner

from liveedit_bench.cli import app, main
from liveedit_bench.errors import BenchError
from liveedit_bench.leaderboards.placement import misplaced, published_files, strays
from liveedit_bench.leaderboards.submission_making import submit
from liveedit_bench.leaderboards.submission_reading import read_submission


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One method under both protocols, where published results of the dataset `fake` lie."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "results" / "fake").mkdir(parents=True)
    for protocol, file in (("lifelong", "buckets.json"), ("paper", "buckets.paper.json")):
        runs = [make_run(folder / "runs" / f"{protocol}{seed}", seed=seed, protocol=protocol) for seed in (0, 1)]
        submit(runs, name="buckets", out=folder / "results" / "fake" / file)
    return folder / "results"


@pytest.fixture
def results(made: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    (tmp_path / "results" / "fake").mkdir(parents=True)
    for file in (made / "fake").iterdir():
        (tmp_path / "results" / "fake" / file.name).write_bytes(file.read_bytes())
    return tmp_path / "results"


def complaints(results: Path) -> list[str]:
    return strays(results) + misplaced(results, [(file, read_submission(file)) for file in published_files(results)])


def move(results: Path, name: str, to: str) -> None:
    for suffix in (".json", ".parquet"):
        target = results / f"{to}{suffix}"
        target.parent.mkdir(exist_ok=True)
        (results / f"{name}{suffix}").rename(target)


def test_what_lies_right_is_left_in_peace(results: Path):
    (results / "decisions.md").write_text("# Decisions\n")
    (results / "fake" / "sweep.toml").write_text("seeds = [0]\n")
    assert complaints(results) == []
    assert [file.name for file in published_files(results)] == ["buckets.json", "buckets.paper.json"]


@pytest.mark.parametrize(
    ("name", "to", "message"),
    [
        ("fake/buckets", "other/buckets", r"other/buckets\.json: results on fake lie in the folder fake"),
        ("fake/buckets", "buckets", r"buckets\.json: results on fake lie in the folder fake"),
        ("fake/buckets", "fake/again.paper", r"of the lifelong protocol; its name ought to be again\.json"),
        ("fake/buckets.paper", "fake/pails", r"of the paper protocol; its name ought to be pails\.paper\.json"),
        ("fake/buckets", "fake/my buckets", r"my buckets\.json: a file's name is made of letters"),
    ],
)
def test_a_wrong_place_is_named(results: Path, name: str, to: str, message: str):
    move(results, name, to)
    with pytest.raises(AssertionError, match=message):
        assert complaints(results) == []


def test_half_a_submission_is_named(results: Path):
    (results / "fake" / "buckets.parquet").unlink()
    (results / "fake" / "buckets.paper.json").unlink()
    assert complaints(results) == [
        "fake/buckets.json has no answers beside it: buckets.parquet is missing",
        "fake/buckets.paper.parquet belongs to no submission: buckets.paper.json is missing",
    ]


def test_strays_and_links_are_named(results: Path):
    (results / "fake" / "run.py").write_text("print()")
    (results / "fake" / "link.toml").symlink_to("/etc/hostname")
    (results / "fake" / "..hidden").mkdir()
    assert strays(results) == [
        "fake/..hidden: a folder's name is made of letters, digits, '.', '_', '+' and '-'",
        "fake/link.toml is a link; put the file itself there",
        "fake/run.py is neither a submission nor its answers",
    ]


def test_two_of_one_name_cannot_stand_in_one_table(results: Path):
    for suffix in (".json", ".parquet"):
        content = (results / "fake" / f"buckets{suffix}").read_bytes()
        (results / "fake" / f"copy{suffix}").write_bytes(content)
    (line,) = complaints(results)
    assert "both called buckets" in line


def test_evidence_lies_in_its_own_folder(results: Path):
    move(results, "fake/buckets.paper", "fake/evidence")  # makes nothing but the files: `evidence` is a folder
    assert len(complaints(results)) == 1
    (results / "fake" / "evidence").mkdir()
    move(results, "fake/evidence", "fake/evidence/else")
    assert complaints(results) == []


def test_no_folder_is_one_line(tmp_path: Path):
    with pytest.raises(BenchError, match="no folder"):
        published_files(tmp_path / "none")


def test_the_command_says_what_was_changed_and_what_lies_wrong(results: Path):
    command = ["leaderboard", "verify", "--results", str(results)]
    sound = CliRunner().invoke(app, command)
    (results / "fake" / "notes.txt").write_text("")
    path = results / "fake" / "buckets.json"
    path.write_text(path.read_text().replace('"name": "buckets"', '"name": "pails"', 1))
    changed = CliRunner().invoke(app, command)
    path.write_text("{")
    broken = CliRunner().invoke(app, command)
    assert sound.output.count("what was looked at holds") == 2, "a made-up dataset: its stream cannot be built"
    assert "notes.txt" not in sound.output
    assert "notes.txt is neither" in changed.output
    assert "changed after it was made" in changed.output
    assert changed.output.count("what was looked at holds") == 1
    assert broken.exit_code == 2
    assert "buckets.json" in broken.output


def test_the_exit_code_tells_of_strays(tmp_path: Path):
    command = ["leaderboard", "verify", "--results", str(tmp_path)]
    assert CliRunner().invoke(app, command).exit_code == 0
    (tmp_path / "lonely.parquet").write_bytes(b"")
    assert CliRunner().invoke(app, command).exit_code == 1


HOSTILE = (
    b'{"a": NaN}',
    b'{"a": 1e999}',
    b'{"a": ' + b"9" * 5000 + b"}",
    b"[" * 100_000,
    b"\xff",
    b'{"\\u001b[31m<script>": 1}',
    b"",
)


@pytest.mark.parametrize("content", HOSTILE, ids=["nan", "huge", "digits", "deep", "bytes", "script", "empty"])
def test_hostile_files_are_one_line_for_every_verb(
    results: Path, tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
):
    """Also under a name that would move the cursor or be read as a colour."""
    strange = results / "fake" / "a\x1b[31m[\u202eb].json"
    strange.write_bytes(content)
    where = ("--results", str(results))
    for words in (("verify", str(strange)), ("leaderboard", "build", *where, "--out", str(tmp_path / "site"))):
        with pytest.raises(SystemExit) as end:
            main(list(words))
        said = capsys.readouterr()
        assert (end.value.code, said.out) == (2, "")
        (line,) = said.err.splitlines()
        assert line.startswith("error: ")
        assert line.isprintable()
    with pytest.raises(SystemExit) as end:
        main(["leaderboard", "verify", *where])
    said = capsys.readouterr()
    assert end.value.code == 2
    assert all(line.startswith("error: ") and line.isprintable() for line in said.err.splitlines())
    assert not (tmp_path / "site").exists()


def test_a_name_that_looks_like_markup_is_only_a_name(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    move(results, "fake/buckets", "fake/a[-b]\x1b[31m")
    with pytest.raises(SystemExit) as end:
        main(["leaderboard", "build", "--results", str(results), "--out", str(tmp_path / "site")])
    said = capsys.readouterr().err
    assert end.value.code == 1, "its answers are said to lie elsewhere"
    assert "not shown: " in said
    assert "\x1b" not in said


def test_nothing_published_yet_is_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "results").mkdir()
    with pytest.raises(SystemExit) as end:
        main(["leaderboard", "verify", "--results", str(tmp_path / "results"), "--json"])
    assert (end.value.code, capsys.readouterr().out) == (0, "[]\n")
