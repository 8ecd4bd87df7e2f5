"""The page that leads from an editor to a published result: its commands are given in order, with fewer edits."""

import json
import shlex
from pathlib import Path

import pytest
from test_readme import ROOT, blocks, commands, execute, parse

from liveedit_bench.leaderboards.standings import read_folder, standings

PAGE = (ROOT / "docs" / "add-a-method.md").read_text(encoding="utf-8")
SMALLER = {"steps = 1000": "steps = 3", "seeds = [0, 1, 2]": "seeds = [0]"}
"""What is made smaller in the sweep file of the page."""
BY_THE_README = "liveedit-bench check my_editor.py:HeadTuner"
"""The README gives this command too, and its test runs it."""


def unglobbed(command: str) -> str:
    """The command as a shell would pass it on, with the names of folders in place of patterns."""
    words = [
        str(path) for word in shlex.split(command) for path in (sorted(Path().glob(word)) if "*" in word else [word])
    ]
    return shlex.join(words)


def test_every_command_is_understood_as_it_stands():
    assert BY_THE_README in commands(PAGE)
    for command in commands(PAGE):
        program, *words = shlex.split(command)
        assert program == "liveedit-bench"
        parse(words)


@pytest.mark.slow
def test_an_editor_becomes_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my_editor.py").write_text(blocks("python")[0])
    (sweep,) = blocks("toml", PAGE)
    for usual, smaller in SMALLER.items():
        assert usual in sweep
        sweep = sweep.replace(usual, smaller)
    Path("head-tuner.toml").write_text(sweep)
    for command in commands(PAGE):
        if command != BY_THE_README:
            execute(unglobbed(command), monkeypatch)
    told = capsys.readouterr().out
    assert told.count("not official\n  1 of 3 seeds") == 2
    assert "limited: 3 edits of 1,000" in told
    assert told.count("self-consistent") == 4, "by `verify` and by `leaderboard verify`"
    tables = standings(read_folder(Path("leaderboards/results")))
    assert [(table.protocol, [entry.submission.name for entry in table.entries]) for table in tables] == [
        ("lifelong", ["Head tuner"]),
        ("paper", ["Head tuner"]),
    ]
    assert "Head tuner" in Path("site/index.html").read_text(encoding="utf-8")
    made = json.loads(Path("leaderboards/results/emblems/head-tuner.json").read_text())
    assert made["runs"][0]["result"]["editor"]["source_sha256"]
    assert Path(".eval_results/emblems.yaml").is_file()
    assert json.loads(Path("head-tuner.eee.json").read_text())["evaluation_results"]
