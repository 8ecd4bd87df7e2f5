"""A skipped test fails CI unless tests/skips.txt lists it with its reason."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SKIPS = {
    "test_call.py": "import pytest\ndef test_it(): pytest.skip('no GPU')",
    "test_mark.py": "import pytest\n@pytest.mark.skip\ndef test_it(): ...",
    "test_module.py": "import pytest\npytest.importorskip('no_such_module')\ndef test_it(): ...",
    "test_expected.py": "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False",
}


def run_pytest(folder: Path, listed: str, *, ci: bool = True) -> tuple[int, str]:
    """Exit code and output of a run over every way to skip and one test that passes."""
    for name in ("conftest.py", "console.py"):  # the second is what the first imports
        shutil.copy(HERE / name, folder)
    (folder / "skips.txt").write_text(f"# tests\n\n{listed}\n")
    for name, source in {**SKIPS, "test_good.py": "def test_it(): ..."}.items():
        (folder / name).write_text(source)
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | ({"CI": "true"} if ci else {})
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "pythonpath=.",
        "--rootdir",
        str(folder),
        str(folder),
    ]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_unlisted_skips_fail_ci_and_are_named(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, "test_call.py::test_it : needs a GPU")
    assert code == 1
    _, _, summary = output.partition("skipped without a reason in tests/skips.txt")
    assert "1 passed" in output
    assert [name in summary for name in SKIPS] == [False, True, True, True]


def test_listed_skips_pass(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, "\n".join(f"{name} : needs a GPU" for name in SKIPS))
    assert code == 0, output


def test_elsewhere_a_skip_is_a_skip_but_needs_a_reason_when_listed(tmp_path: Path) -> None:
    assert run_pytest(tmp_path, "", ci=False)[0] == 0
    code, output = run_pytest(tmp_path, "test_call.py::test_it", ci=False)
    assert code != 0
    assert "gives no reason for test_call.py::test_it" in output
