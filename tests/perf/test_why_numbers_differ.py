"""docs/why-numbers-differ.md holds what was measured, and what was measured is what the definitions force it to be."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone
from liveedit_bench.benchmark.editors.none import NoEdit
from liveedit_bench.benchmark.editors.vandal import Vandal
from liveedit_bench.benchmark.edits import LOCALITY_KINDS
from liveedit_bench.benchmark.plugins import load_backbone
from liveedit_bench.data_builders.emblems import build
from liveedit_bench.runners.legacy import replay

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "why-numbers-differ.md").read_text(encoding="utf-8")
FOUND: dict[str, Any] = json.loads((ROOT / "perf" / "results" / "legacy" / "emblems.json").read_text())
TABLE = runpy.run_path(str(ROOT / "perf" / "legacy_table.py"))
MEASURE = runpy.run_path(str(ROOT / "perf" / "why_numbers_differ.py"))


def rows(difference: str) -> list[dict[str, Any]]:
    return [row for row in FOUND["rows"] if row["difference"] == difference]


def test_the_tables_of_the_page_are_the_measured_ones() -> None:
    assert TABLE["filled"](PAGE, FOUND) == PAGE
    shown = re.findall(r"<!-- legacy ([\w-]+)", PAGE)
    measured = {row["difference"] for row in FOUND["rows"]}
    assert sorted(shown) == sorted([*measured, "summary", "tokenisers"])
    assert set(TABLE["TITLES"]) == measured - {"rank-wise-answer"}


def test_a_number_that_is_changed_by_hand_is_noticed() -> None:
    first = re.search(r"\| (-?\d\.\d{3}) \|", PAGE)
    assert first
    changed = PAGE[: first.start(1)] + "0.123" + PAGE[first.end(1) :]
    assert TABLE["filled"](changed, FOUND) == PAGE


def test_every_difference_has_a_section_and_says_who_and_where() -> None:
    sections = {part.partition("\n")[0].lower(): part for part in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]}
    assert sections.keys() == {title.lower() for title in TABLE["TITLES"].values()}
    for name, title in TABLE["TITLES"].items():
        text = sections[title.lower()]
        assert "*Who*:" in text
        assert "*Published number*:" in text
        assert f"<!-- legacy {name}:" in text


def test_it_was_measured_on_the_stream_that_it_names() -> None:
    stream = FOUND["stream"]
    assert (stream["dataset"], stream["edits"], FOUND["block"]) == ("emblems", 250, 100)
    assert build(stream["edits"], seed=stream["seed"], split=stream["split"]).sha256 == stream["sha256"]
    assert FOUND["command"] == "python perf/why_numbers_differ.py"
    assert FOUND["command"] in PAGE


def test_what_the_definitions_force() -> None:
    assert {row["legacy"] for row in rows("itself")} == {1.0}
    for row in rows("targets"):
        assert row["legacy"] == pytest.approx((1 + row["right"]) / 2, abs=2e-6)
    assert {row["right"] - row["legacy"] for row in rows("apart")} == {0.0}
    assert all(row["legacy"] >= row["right"] for row in rows("failed"))
    for row in (row for row in FOUND["rows"] if row["editor"] == "none" and row["asked"] in LOCALITY_KINDS):
        assert (row["right"], row["legacy"]) == (1.0, 1.0), row  # what is never edited stays as it was
    for row in rows("all-positions"):  # at most all of the answer is lost: the other positions are the unedited model's
        if row["editor"] == "vandal":
            assert row["right"] < 0.1 < 0.6 < row["legacy"]
    for row in FOUND["tokenisers"]:
        assert row["space"] or row["tokeniser"] == "emblem-llava" or row["perfect"] < 1


def test_rows_of_finished_runs_are_those_runs() -> None:
    names = {row["editor"] for row in rows("teacher-forcing")}
    results = {name: json.loads((ROOT / "perf" / "results" / "test" / f"{name}.json").read_text()) for name in names}
    wanted = [MEASURE["rounded"](vars(row)) for row in MEASURE["finished"](results)]
    for difference in ("teacher-forcing", "right-after", "easy-neighbours"):
        ours = [row for row in wanted if row["difference"] == difference]
        assert sorted(map(str, ours)) == sorted(map(str, rows(difference)))


@pytest.fixture(scope="module")
def backbone() -> Any:
    return load_backbone("emblem-llava")


def test_a_few_edits_measured_again(backbone: HuggingFaceBackbone) -> None:
    edits = list(build(5))
    for kind in (NoEdit, Vandal):
        asked = list(replay(kind(backbone), edits, size=2))
        found = {
            (row.difference, row.asked): row for row in MEASURE["scored"](kind.name, asked, MEASURE["cut"](backbone))
        }
        assert {name for name, _ in found} >= {"all-positions", "rank-wise", "itself", "late", "apart", "remainder"}
        assert {row.n for row in found.values()} == {4}
        text, image = found["all-positions", "text_locality"], found["all-positions", "image_locality"]
        assert image.legacy == 1.0 if kind is NoEdit else 0.8 < image.legacy < 1
        assert text.legacy <= image.legacy  # the shorter the question, the more of it is the answer
        assert found["itself", "image_locality"].legacy == 1.0


def test_an_editor_that_refuses_its_failures(backbone: HuggingFaceBackbone, monkeypatch: pytest.MonkeyPatch) -> None:
    fussy = MEASURE["Fussy"]
    speak = fussy.generate

    def wrong_half_the_time(self: Any, queries: Any, **more: Any) -> Any:
        answers = speak(self, queries, **more)
        return answers if len(self.repository) % 2 else [type(answers[0])((), "no", 0.0)]

    monkeypatch.setattr(fussy, "generate", wrong_half_the_time)
    (reliability, _) = MEASURE["failing"](backbone, list(build(4)), 4)
    # The first takes, so that the second is refused, and so are all after it.
    assert (reliability.right, reliability.legacy, reliability.n) == (0.25, 1.0, 1)


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    words = ["--editors", "none,vandal", "--edits", "5", "--block", "2", "--out", str(out), "--only", "finished"]
    command = [sys.executable, str(ROOT / "perf" / "why_numbers_differ.py"), *words]
    subprocess.run([*command, "scoring"], check=True)
    found = json.loads(out.read_text())
    assert found["command"].endswith("--editors=none,vandal --edits=5 --block=2")
    assert {row["difference"] for row in found["rows"]} > {"all-positions", "late", "teacher-forcing", "right-after"}
    assert found["tokenisers"] == FOUND["tokenisers"]
    again = subprocess.run(command, check=True, capture_output=True, text=True)
    assert again.stderr.split() == ["finished"]
    assert json.loads(out.read_text()) == found
    other = subprocess.run([*command, "--block", "3"], check=False, capture_output=True, text=True)
    assert (other.returncode, "measure everything" in other.stderr) == (1, True)
