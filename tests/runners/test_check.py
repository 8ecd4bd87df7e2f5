import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import bad_editors
import pytest
import tiny_emblem

import liveedit_bench
from liveedit_bench import cli
from liveedit_bench.benchmark.backbone import Backbone
from liveedit_bench.benchmark.editor import Editor
from liveedit_bench.benchmark.editors.none import NoEdit
from liveedit_bench.benchmark.editors.oracle import Oracle
from liveedit_bench.benchmark.plugins import BUNDLED
from liveedit_bench.errors import BenchError
from liveedit_bench.runners.checks.suite import CHECKS, CheckFailure, Examination, editor_checks, examine

BAD = Path(bad_editors.__file__)
TINY = f"{Path(tiny_emblem.__file__)}:load"
FAULTS = [
    pytest.param(name, kind, marks=() if kind is kinds[0] else pytest.mark.slow)
    for name, kinds in bad_editors.BREAKS.items()
    for kind in kinds
]
QUICK = ("ft-l", "oracle", "vandal")
"""Whose check takes seconds; those of the others are marked slow."""


@pytest.fixture(scope="module")
def tiny() -> Backbone:
    return tiny_emblem.load()


@pytest.fixture(scope="module")
def emblem() -> Backbone:
    return liveedit_bench.load_backbone(device="cpu")


def failed(examination: Examination) -> dict[str, str]:
    return {outcome.check: outcome.why for outcome in examination if outcome.verdict == "failed"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in BUNDLED["editors"]]
)
def test_every_bundled_editor_passes(name: str, emblem: Backbone) -> None:
    began = time.process_time()  # on a busy machine the clock on the wall measures the neighbours
    assert failed(examine(name, backbone=emblem)) == {}
    assert time.process_time() - began < 60


def test_every_check_can_fail() -> None:
    assert set(bad_editors.BREAKS) == {check.name for check in CHECKS}


@pytest.mark.parametrize(("check", "kind"), FAULTS, ids=lambda each: getattr(each, "__name__", each))
def test_a_fault_fails_its_check_and_no_other(
    check: str, kind: type[Editor], tiny: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = failed(examine(kind, backbone=tiny))
    assert set(found) == {check}, found
    assert "\n" not in found[check]


def test_the_editor_that_the_faulty_ones_are_made_of_has_none(tiny: Backbone) -> None:
    assert {outcome.verdict for outcome in examine(Oracle, backbone=tiny)} == {"passed"}


def test_a_broken_backbone_is_put_back(tiny: Backbone) -> None:
    class Careless(bad_editors.Leaks):
        """Leaves a hook that turns answers round, and weights that it never puts back."""

        def edit(self, request: Any) -> None:
            super().edit(request)
            bad_editors.nudge(self, 1.0)
            tiny.layers[0].register_forward_hook(lambda _module, _args, output: -output)

    assert "reset" in failed(examine(Careless, backbone=tiny))
    assert failed(examine(Oracle, backbone=tiny)) == {}


def test_what_rests_on_a_failed_check_is_not_reached(tiny: Backbone) -> None:
    outcomes = {outcome.check: outcome for outcome in examine(bad_editors.Clings, backbone=tiny)}
    assert outcomes["reset"].verdict == "failed"
    assert (outcomes["fresh"].verdict, outcomes["fresh"].why) == ("not reached", "needs reset")
    assert (outcomes["two-editors"].verdict, outcomes["two-editors"].why) == ("not reached", "needs reset")


def test_an_exemption_is_shown_with_its_reason(tiny: Backbone) -> None:
    outcomes = {outcome.check: outcome for outcome in examine(NoEdit, backbone=tiny)}
    assert (outcomes["takes"].verdict, outcomes["takes"].why) == ("exempt", "changes nothing")
    assert outcomes["reset"].verdict == "passed"


def test_without_its_exemption_none_fails(tiny: Backbone) -> None:
    class Plain(NoEdit):
        exempt: ClassVar[Mapping[str, str]] = {}

    found = failed(examine(Plain, backbone=tiny))
    assert list(found) == ["effect"]
    assert "edit 1 did nothing" in found["effect"]


def test_from_python_the_first_broken_promise_is_raised(tiny: Backbone) -> None:
    liveedit_bench.check_editor(Oracle, backbone=tiny)
    with pytest.raises(CheckFailure, match=r"oracle fails 'state-bytes' \(.+\): state_bytes is 64") as caught:
        liveedit_bench.check_editor(bad_editors.Boasts, backbone=tiny)
    assert isinstance(caught.value, BenchError)


def test_checks_are_tests_one_by_one(tiny: Backbone) -> None:
    checks = {str(check): check for check in editor_checks(bad_editors.Clings, backbone=tiny)}
    assert list(checks) == [check.name for check in CHECKS]
    checks["causal"]()  # runs what it needs first
    with pytest.raises(CheckFailure, match=r"does not come to 'two-editors'.*: needs reset"):
        checks["two-editors"]()


def test_checks_are_listed_without_loading_anything() -> None:
    assert editor_checks("no-such-editor")[0].name == "made"


def command(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(["check", *words])
    return int(end.value.code or 0)


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("oracle", "--backbone", TINY) == 0
    out = capsys.readouterr().out
    assert all(check.name in out for check in CHECKS)
    assert f"oracle on {TINY}: {len(CHECKS)} passed" in out.replace("\n", " ")


def test_the_command_fails_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(f"{BAD}:Sure", "--backbone", TINY, "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["passes"]
    (fault,) = [check for check in found["checks"] if check["verdict"] == "failed"]
    assert fault["check"] == "generate"
    assert "with margin 99; by its logits it is 20" in fault["why"]
    assert set(fault) == {"check", "promise", "verdict", "why", "seconds"}


def test_the_command_takes_options_and_refuses_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("retrieval", "--option", "threshold=1", "--backbone", TINY) == 2
    assert "no option 'threshold' (did you mean 'threshold_" in capsys.readouterr().err


def test_options_reach_the_editor(tiny: Backbone) -> None:
    found = failed(examine("retrieval", backbone=tiny, options={"threshold_image": "2"}))
    assert list(found) == ["takes"]
