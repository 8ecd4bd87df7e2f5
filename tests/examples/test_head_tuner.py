"""The editor of twelve lines: one file, quoted by README and page, installed on its own, found in three ways."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from console import ROOT

import liveedit_bench
from liveedit_bench.benchmark.plugins import find_editor, names, place_of
from liveedit_bench.runners.checks.suite import CHECKS

EXAMPLE = ROOT / "examples" / "head-tuner"
SOURCE = (EXAMPLE / "head_tuner.py").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "write-an-editor.md").read_text(encoding="utf-8")


def blocks(language: str, document: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", document, flags=re.MULTILINE | re.DOTALL)


def test_twelve_lines() -> None:
    assert len([line for line in SOURCE.splitlines() if line.strip()]) == 12


def test_page_and_readme_quote_the_files() -> None:
    assert blocks("python", PAGE)[0] == SOURCE
    assert blocks("python", (ROOT / "README.md").read_text(encoding="utf-8"))[0] == SOURCE
    assert blocks("toml", PAGE) == [(EXAMPLE / "pyproject.toml").read_text(encoding="utf-8")]


def test_the_page_lists_every_check() -> None:
    (table,) = re.findall(r"<!-- checks -->\n(.*?)\n<!-- /checks -->", PAGE, re.DOTALL)
    rows = [f"| `{check.name}` | {check.promise} |" for check in CHECKS]
    assert table.splitlines()[2:] == rows


def test_found_by_file() -> None:
    assert find_editor(f"{EXAMPLE / 'head_tuner.py'}:HeadTuner").name == "head-tuner"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, installed into a folder of its own, without a network."""
    folder, copy = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("source") / "head-tuner"
    copy.mkdir()
    for file in ("head_tuner.py", "pyproject.toml"):  # building leaves folders behind
        (copy / file).write_bytes((EXAMPLE / file).read_bytes())
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    subprocess.run([*pip, "--target", str(folder), str(copy)], check=True)
    return folder


def test_found_by_module_and_by_entry_point(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(installed))
    assert "head-tuner" in names("editors")
    assert place_of("editors", "head-tuner") == "head_tuner:HeadTuner"
    by_name, by_module = find_editor("head-tuner"), find_editor("head_tuner:HeadTuner")
    assert by_name is by_module
    assert Path(str(sys.modules["head_tuner"].__file__)).parent == installed
    del sys.modules["head_tuner"]


@pytest.mark.slow
def test_the_installed_editor_is_checked_by_name(installed: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "liveedit_bench", "check", "head-tuner", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["editor"] == "head-tuner"
    assert found["passes"]
    assert [check["check"] for check in found["checks"]] == [check.name for check in CHECKS]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_example_of_the_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    scope: dict[str, object] = {}
    exec(blocks("python", PAGE)[1], scope)
    assert callable(scope["test_the_contract"])
    checks = liveedit_bench.editor_checks("examples/head-tuner/head_tuner.py:HeadTuner")
    assert [str(check) for check in checks] == [check.name for check in CHECKS]
