"""The examples in docstrings, run where they are installed."""

import doctest
import importlib
from pathlib import Path

import pytest

import liveedit_bench

PACKAGE = Path(liveedit_bench.__file__).parent
ROOT = Path(__file__).parents[1]
FOLDERS = [PACKAGE, *(PACKAGE / name for name in ("benchmark", "data_builders", "leaderboards", "metrics", "runners"))]
FILES = [*PACKAGE.glob("*.py"), *(path for folder in FOLDERS[1:] for path in folder.rglob("*.py"))]
WITH_EXAMPLES = sorted(path.relative_to(PACKAGE) for path in FILES if ">>> " in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=str)
def test_examples(path: Path) -> None:
    parts = [part for part in path.with_suffix("").parts if part != "__init__"]
    module = importlib.import_module(".".join(("liveedit_bench", *parts)))
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0
    assert outcome.failed == 0
