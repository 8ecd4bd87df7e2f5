"""From annotation files to results: build a stream, replay it on a small real model, by both recipes."""

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_llava
from annotated import E_VQA, MULTI_HOP, ONE_HOP, copy_of, records_of

from liveedit_bench import cli
from liveedit_bench.benchmark.backbones import huggingface
from liveedit_bench.benchmark.edits import EditStream
from liveedit_bench.runners import lifelong
from liveedit_bench.runners.table import read_table


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaVA of random weights that knows every word of the fixtures."""
    with pytest.MonkeyPatch.context() as patch:
        backend = tiny_llava.tokenizer().backend_tokenizer
        texts = [text for file in (E_VQA, MULTI_HOP, ONE_HOP) for text in _texts(records_of(file))]
        words = {word for text in texts for word, _ in backend.pre_tokenizer.pre_tokenize_str(text)}
        patch.setattr(tiny_llava, "WORDS", sorted({*words, *"The answer is : ?".split()}))
        return tiny_llava.save_tiny_llava(tmp_path_factory.mktemp("tiny"))


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [text for each in (value.values() if isinstance(value, dict) else value) for text in _texts(each)]


def command(*words: str | Path) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(word) for word in words])
    assert not ended.value.code


@pytest.mark.parametrize(
    ("name", "split", "file", "texts", "editor"),
    [
        ("e-vqa", "eval", E_VQA, "clean", "ft-l"),
        ("e-vqa", "eval", E_VQA, "paper", "none"),
        ("vlkeb", "multi-hop", MULTI_HOP, "clean", "none"),
        ("vlkeb", "multi-hop", MULTI_HOP, "paper", "ft-l"),
    ],
)
def test_a_file_becomes_a_result(
    name: str,
    split: str,
    file: Path,
    texts: str,
    editor: str,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(huggingface, "EMBLEM_FOLDER", weights)
    folder, out, steps = tmp_path / "stream", tmp_path / "run", len(records_of(file))
    data = copy_of(file, tmp_path / "data")
    command("data", "build", name, "--annotations", data, "--out", folder, "--texts", texts)
    result = lifelong.run(editor=editor, stream=str(folder), steps=steps, out=out, progress=False)
    about = result["stream"]
    assert (result["status"], about["dataset"], about["split"], about["edits"]) == ("complete", name, split, steps)
    assert about["texts"] == texts
    assert about["sha256"] == EditStream.load(folder).shuffled(0).sha256
    kinds = {"reliability", "text_generality", "image_generality", "text_locality", "image_locality"}
    table, _ = read_table(out / "probes.parquet")
    assert set(table["kind"]) == kinds | ({"portability"} if name == "vlkeb" else set())
    right = {what: result[what]["free_running"]["value"] for what in ("immediate", "locality")}
    if editor == "none":
        assert right == {"immediate": 0.0, "locality": 1.0}
    else:  # fine-tuning takes most of what it is given, the odd texts of annotations included
        assert right["immediate"] > 0.8
    if name == "e-vqa":  # the bus was given two colours; the sofa's animal was given twice, the same
        assert result["superseded"]["edits"] == 1


def test_the_command_replays_a_stream_and_draws_its_report(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(huggingface, "EMBLEM_FOLDER", weights)
    folder, run = tmp_path / "stream", tmp_path / "run"
    command("data", "build", "vlkeb", "--annotations", copy_of(ONE_HOP, tmp_path / "data"), "--out", folder)
    command("run", "--dataset", folder, "--editor", "none", "--steps", "2", "--out", run)
    assert json.loads((run / "result.json").read_text())["stream"]["split"] == "one-hop"
    # Whoever reads a number learns which texts it was measured on.
    assert "none on vlkeb (one-hop, clean texts), seed 0" in capsys.readouterr().out
    assert "of vlkeb/one-hop, clean texts" in (run / "report.html").read_text(encoding="utf-8")
