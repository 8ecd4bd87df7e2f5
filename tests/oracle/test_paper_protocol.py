"""The whole way under the paper protocol: annotation file -> `data build --texts paper` -> run -> what was recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from released_code import FOLDER, Oracle, read

from liveedit_bench import cli
from liveedit_bench.benchmark.edits import EditStream
from liveedit_bench.errors import BenchError
from liveedit_bench.runners import paper

RESULTS = read("results.json")
CUTOFF = 2e-3  # the README's: below this recorded margin a prediction may fall out either way
COLUMNS = {
    "rel": "reliability",
    "gen_text_rephrase": "text_generality",
    "gen_image_rephrase": "image_generality",
    "loc_text_loc": "text_locality",
    "loc_image_loc": "image_locality",
}
SIZES = (1, 4, 12)


def build(out: Path, texts: str) -> EditStream:
    data = FOLDER / "data"
    words = ["--annotations", str(data / "vqa" / "vqa_eval.json"), "--images", str(data / "images"), "--split", "eval"]
    with pytest.raises(SystemExit) as end:
        cli.main(["data", "build", "e-vqa", *words, "--texts", texts, "--out", str(out)])
    assert end.value.code == 0
    return EditStream.load(out)


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> EditStream:
    return build(tmp_path_factory.mktemp("paper") / "stream", "paper")


@pytest.mark.parametrize("name", ["ft_vl", "liveedit"])
def test_a_run_gives_what_the_released_code_gave(oracle: Oracle, name: str, stream: EditStream, tmp_path: Path):
    editor = oracle.ft_vl() if name == "ft_vl" else oracle.liveedit("trained")
    result = paper.run(editor=editor, stream=stream, blocks=SIZES, out=tmp_path, progress=False)
    table: Any = pd.read_parquet(tmp_path / "probes.parquet")
    recorded = {run["edit_n"]: run for run in RESULTS["runs"] if run["editor"] == name}
    assert set(recorded) == set(SIZES)
    for point in result["curve"]:
        run = recorded[point["step"]]
        rows = table[table["step"] == point["step"]].set_index(["position", "kind"])
        unclear: dict[str, int] = dict.fromkeys(COLUMNS, 0)
        for index, probe in enumerate(RESULTS["probes"]):
            row = rows.loc[(probe["record"], COLUMNS[probe["kind"]])]
            assert list(row["expected_ids"]) == probe.get("before_ids", probe["label_ids"])
            if run["min_margin"][index] < CUTOFF:
                unclear[probe["kind"]] += 1
                continue
            assert list(row["teacher_ids"]) == run["pred_ids"][index]
            assert row["teacher_forced"] == pytest.approx(run["acc"][index], abs=1e-6)
        for kind, mean in run["means"].items():
            found = point["metrics"][COLUMNS[kind]]["teacher_forced"]
            assert found["n"] == 24
            assert found["value"] == pytest.approx(mean, abs=1e-6 + unclear[kind] / 24)


def test_cleaned_texts_are_refused_with_the_command_that_builds_the_others(oracle: Oracle, tmp_path: Path):
    stream = build(tmp_path / "clean", "clean")
    with pytest.raises(BenchError, match="data build e-vqa --annotations FILE --images DIR --split eval --texts paper"):
        paper.run(editor=oracle.ft_vl(), stream=stream, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
