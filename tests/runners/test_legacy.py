"""Asking as other harnesses do: its right numbers are the paper protocol's, and no result knows of the others."""

import ast
import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import Buckets, FakeBackbone, Options, build
from tiny_llava import SYLLABLES, picture, save_tiny_llava

import liveedit_bench
from liveedit_bench.benchmark.backbone import Query
from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone
from liveedit_bench.benchmark.editor import EditRequest
from liveedit_bench.benchmark.editors.ft_l import FtL, FtLOptions
from liveedit_bench.benchmark.editors.vandal import Vandal
from liveedit_bench.benchmark.edits import Edit, EditStream, Facts, Probe, Source
from liveedit_bench.metrics import legacy
from liveedit_bench.metrics.curves import PAPER_COLUMNS
from liveedit_bench.runners import paper
from liveedit_bench.runners.legacy import RANKS, Asked, look, replay

ROOT = Path(liveedit_bench.__file__).parent
CLAN = "which clan is this ?"


def make_stream(edits: int) -> EditStream:
    def edit(position: int) -> Edit:
        target, other = SYLLABLES[position] + SYLLABLES[position + 7], SYLLABLES[-position]
        one, key = picture(position), f"thing{position}/clan"
        probes = (
            Probe("reliability", one, CLAN, target, key),
            Probe("text_generality", one, "say the clan of this", target, key),
            Probe("image_generality", picture(50 + position), CLAN, target, key),
            Probe("text_locality", None, f"who lives in {target} ?", other, f"text{position}/who"),
            Probe("image_locality", picture(90 + position), "where is this ?", other + "ba", f"far{position}/where"),
        )
        return Edit(one, CLAN, target, probes, Facts(key, "old", f"thing{position}", "clan", "by hand"))

    return EditStream([edit(position) for position in range(1, edits + 1)], Source("by-hand", "test", None))


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceBackbone:
    return HuggingFaceBackbone.load(save_tiny_llava(tmp_path_factory.mktemp("tiny"), seed=3))


def right(asked: list[Asked], kind: str) -> float:
    """The paper's column, from what was asked here."""
    ours = [one for one in asked if one.probe.kind == kind and not one.dropped]
    if ours[0].before is not None:
        return float(np.mean([legacy.agreement(one.after, one.before) for one in ours if one.before]))
    return float(np.mean([0.0 if one.failed else legacy.accuracy(one.after) for one in ours]))


@pytest.mark.parametrize("real", [False, True], ids=["fake", "model"])
def test_the_right_numbers_are_those_of_the_paper_protocol(real: bool, backbone: HuggingFaceBackbone, tmp_path: Path):
    if real:
        stream, editor = make_stream(11), FtL(backbone, FtLOptions(lr=0.02, max_steps=3))
    else:
        stream, editor = build(43), Buckets(FakeBackbone(), Options(refuse_every=4))
    result = paper.run(editor=editor, stream=stream, blocks=[5], out=tmp_path, progress=False)
    (point,) = result["curve"]
    asked = list(replay(editor, list(stream), size=5, batch_size=7))
    for kind in PAPER_COLUMNS:
        assert right(asked, kind) == pytest.approx(point["metrics"][kind]["teacher_forced"]["value"], abs=1e-12), kind
    whole = len(stream) // 5 * 5
    assert {one.position for one in asked if one.dropped} == set(range(whole, len(stream)))
    failed = {one.position for one in asked if one.failed}
    assert len({position for position in failed if position < whole}) == point["failed"]
    assert bool(failed) != real


def test_locality_is_seen_at_every_time(backbone: HuggingFaceBackbone):
    stream = make_stream(3)
    editor = FtL(backbone, FtLOptions(lr=0.05, max_steps=3))
    requests = [EditRequest(edit.image, edit.prompt, edit.target) for edit in stream]
    asked = list(replay(editor, list(stream), size=3))
    assert sorted((one.position, one.probe.kind) for one in asked) == sorted(
        (position, probe.kind) for position, edit in enumerate(stream) for probe in edit.probes
    )
    local = [one for one in asked if one.before is not None]
    assert {one.probe.kind for one in local} == {"text_locality", "image_locality"}
    for one in local:
        assert one.before is not None
        assert one.again is not None
        assert one.previous is not None
        assert one.own is not None
        assert (one.again.best == one.after.best).all()
        if one.position == 0:  # nothing was edited before the first edit
            assert (one.previous.best == one.before.best).all()
            assert (one.own.best != one.previous.best).any()
        if one.position == 2:  # nothing is edited after the last one
            assert (one.own.best == one.after.best).all()
    assert all(one.again is one.previous is one.own is None for one in asked if one.before is None)
    assert backbone.changed_weights() == {}
    assert all(one.left is None for one in asked)  # no block comes before the first
    single = [one for one in replay(editor, list(stream), size=1) if one.before is not None]
    for one in single:
        assert (one.left is None) == (one.position == 0)
        if one.left is not None and one.before is not None:
            editor.edit(requests[one.position - 1])
            (wanted,) = look(editor, backbone, [one.probe])
            assert (one.left.best == wanted.best).all()
            assert (one.left.best != one.before.best).any()
            editor.reset()
    bare = list(replay(editor, list(stream), size=3, stepwise=False))
    assert all(one.previous is None for one in bare)
    assert all((a.after.best == b.after.best).all() for a, b in zip(asked, bare, strict=True))


def test_a_look_is_what_the_model_says_after_every_token(backbone: HuggingFaceBackbone):
    probes = [probe for edit in make_stream(2) for probe in edit.probes]
    for probe, seen in zip(probes, look(backbone, backbone, probes, batch_size=3), strict=True):
        batch = backbone.encode([Query(probe.image, probe.prompt)], [probe.target])
        assert seen.ids.tolist() == batch.input_ids[0].tolist()
        assert seen.target.tolist() == batch.input_ids[0][batch.answer_mask[0]].tolist()
        with torch.no_grad():
            wanted: Any = backbone.logits(batch)[0].topk(RANKS).indices
        assert (seen.best == wanted.numpy()).all()


def test_a_table_says_nothing_inside_the_question(backbone: HuggingFaceBackbone):
    (edit,) = make_stream(1)
    editor = Vandal(backbone)
    (*_, text, image) = (one for one in replay(editor, [edit], size=1) if one.before is not None)
    for one in (text, image):
        assert one.before is not None
        inside = one.after.start - 1
        assert (one.after.best[:inside] == one.before.best[:inside]).all()
        said = [*backbone.target_ids(edit.target), backbone.eos_id]
        assert one.after.best[inside:, 0].tolist() == (said + said[-1:] * 9)[: len(one.after.ids) - inside]
        wrong = int((one.after.best[inside:, 0] != one.before.best[inside:, 0]).sum())
        assert wrong > 0
        assert legacy.everywhere(one.after, one.before) == pytest.approx(1 - wrong / len(one.after.ids))


def test_no_result_has_a_place_for_them():
    functions = inspect.getmembers(legacy, inspect.isfunction)
    scorers = {name for name, function in functions if function.__module__ == legacy.__name__}
    scorers -= {"accuracy", "agreement"}
    assert scorers == {"everywhere", "rankwise", "late", "apart", "with_targets", "without_failed"}
    text = (ROOT / "leaderboards" / "result.schema.json").read_text(encoding="utf-8")
    assert "legacy" not in text.lower()
    words: set[str] = set()

    def collect(node: Any) -> None:
        if isinstance(node, dict):
            words.update(node.get("properties", {}), map(str, node.get("enum", ())))
            list(map(collect, node.values()))
        elif isinstance(node, list):
            list(map(collect, node))

    collect(json.loads(text))
    assert "teacher_forced" in words
    assert not scorers & words


def test_nothing_that_makes_results_imports_them():
    found: set[str] = set()
    folders = ("benchmark", "data_builders", "metrics", "runners", "leaderboards")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    for file in [*files, ROOT / "cli.py", ROOT / "__init__.py"]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            if isinstance(node, ast.ImportFrom):
                names.append(node.module or "")
            if any("legacy" in name.split(".") for name in names):
                found.add(file.relative_to(ROOT).as_posix())
    assert found == {"runners/legacy.py"}
