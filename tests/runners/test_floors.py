from pathlib import Path

import pytest
from fakes import FakeBackbone, Nothing, build

from liveedit_bench.benchmark.editors.majority import Majority
from liveedit_bench.benchmark.edits import LOCALITY_KINDS
from liveedit_bench.runners import lifelong

STEPS = 80


@pytest.mark.parametrize("editor", [Nothing, Majority])
def test_a_floor_is_what_a_run_of_that_editor_gets(tmp_path: Path, editor: type):
    """With no more probes of a kind than the sample holds, both must be equal."""
    stream = build(STEPS)
    result = lifelong.run(
        editor=editor(FakeBackbone()), stream=stream, steps=STEPS, out=tmp_path / "run", progress=False
    )
    name = "none" if editor is Nothing else "majority"
    measured = {kind: scores["free_running"]["value"] for kind, scores in result["curve"][-1]["metrics"].items()}
    assert set(result["floors"]) == {"none", "majority"}
    assert result["floors"][name]["metrics"] == pytest.approx(measured)
    assert result["floors"][name]["score"] == pytest.approx(result["score"]["value"])
    if name == "none":
        assert all(share == 1 for kind, share in result["floors"]["none"]["metrics"].items() if kind in LOCALITY_KINDS)
