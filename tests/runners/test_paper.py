"""The paper protocol, against a plain re-implementation: one question at a time, no batch, no prober, no journal."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from fakes import Buckets, FakeBackbone, Nothing, Options, Peeker, build
from tiny_llava import picture, save_tiny_llava, word

from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone
from liveedit_bench.benchmark.editor import Editor, EditRequest
from liveedit_bench.benchmark.editors.ft_l import FtL, FtLOptions
from liveedit_bench.benchmark.edits import Edit, EditStream, Facts, Probe, Source
from liveedit_bench.benchmark.plugins import load_editor
from liveedit_bench.errors import BenchError, EditError
from liveedit_bench.leaderboards.schema import Result
from liveedit_bench.runners import paper
from liveedit_bench.runners.result import rescore

RECORDS, SIZES = 13, (1, 4, 5, 13)
CLAN, WHO = "which clan is this ?", "who lives there ?"
COLUMNS = ("reliability", "text_generality", "image_generality", "text_locality", "image_locality")


def make_stream(records: int = RECORDS, **source: Any) -> EditStream:
    rng = random.Random(7)
    names = [word(rng, 1 + index % 3) for index in range(6)]
    edits: list[Edit] = []
    for position in range(records):
        thing = position % 9  # some pictures come back with another target: the last of a block wins, none expires
        target, key = names[rng.randrange(6)], f"thing{thing}/clan"
        one, other, far = picture(10 * thing), picture(10 * thing + 1), picture(1000 + position % 4)
        probes = (
            Probe("reliability", one, CLAN, target, key),
            Probe("text_generality", one, "say the clan of this", target, key),
            Probe("image_generality", other, CLAN, target, key),
            Probe("portability", one, WHO, names[0], f"{target}/who", (key,)),
            Probe("text_locality", None, f"who lives in {names[position % 5]} ?", names[2], f"text{position}/who"),
            Probe("image_locality", far, "where is this ?", names[position % 3], f"far{position % 4}/where"),
            Probe("locality_no_image", None, CLAN, "unknown", "nothing/clan"),
        )
        edits.append(Edit(one, CLAN, target, probes, Facts(key, "old", f"thing{thing}", "clan", "by hand")))
    return EditStream(edits, Source(**{"dataset": "by-hand", "split": "test", "seed": None, **source}))


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceBackbone:
    return HuggingFaceBackbone.load(save_tiny_llava(tmp_path_factory.mktemp("tiny"), seed=3))


class Refusing(FtL):
    """Fine-tunes for a few steps, and refuses or breaks off some of its edits."""

    name = "refusing"

    def edit(self, request: EditRequest) -> None:
        value = int(request.image.sha256, 16) + len(request.target) if request.image else 0
        if value % 5 == 0:
            raise EditError("no", kind="refused")
        super().edit(request)
        if value % 5 == 1:
            raise ValueError("half-way")


def plainly(model: Any, processor: Any, edits: list[Edit], editor: Editor, size: int) -> dict[Any, Any]:
    """(position, kind) -> the argmax before each answer token, those tokens (f_0's argmax for locality), failed."""

    def argmax(probe: Probe) -> tuple[list[int], list[int]]:
        text = probe.prompt if probe.image is None else f"<image>\n{probe.prompt}"
        shown = {} if probe.image is None else {"images": probe.image.open()}
        ids = processor(text=f"{text} {probe.target}", return_tensors="pt", **shown)
        n = ids["input_ids"].shape[1] - processor(text=text, return_tensors="pt", **shown)["input_ids"].shape[1]
        with torch.no_grad():
            return model(**ids).logits[0, -n - 1 : -1].argmax(dim=1).tolist(), ids["input_ids"][0, -n:].tolist()

    found: dict[Any, Any] = {}
    for start in range(0, len(edits) - size + 1, size):
        editor.reset()
        block = edits[start : start + size]
        before = {id(probe): argmax(probe)[0] for edit in block for probe in edit.probes}
        failed: set[int] = set()
        for offset, edit in enumerate(block):
            state = editor.state_dict()
            try:
                editor.edit(EditRequest(edit.image, edit.prompt, edit.target))
            except Exception:
                failed.add(offset)
                editor.load_state_dict(state)
        for offset, edit in enumerate(block):
            for probe in edit.probes:
                said, labels = argmax(probe)
                local = "locality" in probe.kind
                found[start + offset, probe.kind] = (said, before[id(probe)] if local else labels, offset in failed)
    editor.reset()
    return found


@pytest.mark.parametrize("kind", [FtL, Refusing])
def test_a_run_is_a_plain_loop(kind: type[FtL], backbone: HuggingFaceBackbone, tmp_path: Path):
    options, stream = FtLOptions(lr=0.02, max_steps=3), make_stream()
    result = paper.run(
        editor=kind(backbone, options), stream=stream, blocks=SIZES, batch_size=7, out=tmp_path, progress=False
    )
    table: Any = pd.read_parquet(tmp_path / "probes.parquet")
    changed = 0
    for point, block in zip(result["curve"], result["blocks"], strict=True):
        size = point["step"]
        wanted = plainly(backbone.model, backbone._encoder.processor, list(stream), kind(backbone, options), size)
        wanted = {key: value for key, value in wanted.items() if key[1] in COLUMNS}
        rows = {(row.position, row.kind): row for row in table[table["step"] == size].itertuples()}
        assert rows.keys() == wanted.keys()
        scores: dict[str, list[float]] = {kind: [] for kind in COLUMNS}
        for key, (said, labels, failed) in wanted.items():
            row = rows[key]
            assert (list(row.teacher_ids), list(row.expected_ids)) == (said, labels), (size, key)
            local = "locality" in key[1]
            assert row.status == ("failed" if failed and not local else "asked")
            share = sum(a == b for a, b in zip(said, labels, strict=True)) / len(labels)
            changed += local and share < 1
            scores[key[1]].append(0.0 if failed and not local else share)
        means = {kind: sum(each) / len(each) for kind, each in scores.items()}
        for column, mean in means.items():
            found = point["metrics"][column]["teacher_forced"]
            assert (found["value"], found["n"]) == (pytest.approx(mean, abs=1e-12), RECORDS // size * size)
        assert point["average"]["value"] == pytest.approx(sum(means.values()) / 5, abs=1e-12)
        assert point["failed"] == len({position for (position, _), value in wanted.items() if value[2]})
        assert (point["records"], block["dropped"]) == (RECORDS // size * size, RECORDS % size)
        assert block["count"] == RECORDS // size
    assert changed > 5  # or locality would not have been tested
    assert result["failures"]["kinds"].keys() == (set() if kind is FtL else {"refused", "ValueError"})
    Result.model_validate(result)
    assert rescore(tmp_path)[1] is True
    assert backbone.changed_weights() == {}  # f_0 is restored at the end


Said = Callable[[list[Edit], Probe], str | None]


def oracle(block: list[Edit], probe: Probe) -> str | None:
    known = [edit.target for edit in block if (edit.image, edit.prompt) == (probe.image, probe.prompt)]
    return known[-1] if known else None


def majority(block: list[Edit], probe: Probe) -> str:
    targets = [edit.target for edit in block]  # one prompt for all edits, so that every question is of its kind
    return max(targets, key=lambda target: (targets.count(target), -targets.index(target)))


EDITORS: dict[str, Said] = {
    "none": lambda block, probe: None,
    "oracle": oracle,
    "vandal": lambda block, probe: block[-1].target,
    "majority": majority,
}


@pytest.mark.parametrize("name", EDITORS)
def test_closed_forms(name: str, backbone: HuggingFaceBackbone, tmp_path: Path):
    """What a table says follows from the block alone: its answer token by token, and then its end."""
    stream = make_stream()
    result = paper.run(editor=name, backbone=backbone, stream=stream, blocks=SIZES, out=tmp_path, progress=False)
    untouched = load_editor("none", backbone)
    for point in result["curve"]:
        size = point["step"]
        f0 = plainly(backbone.model, backbone._encoder.processor, list(stream), untouched, size)
        scores: dict[str, list[float]] = {kind: [] for kind in COLUMNS}
        for start in range(0, RECORDS - size + 1, size):
            block = list(stream[start : start + size])
            for offset, edit in enumerate(block):
                for probe in edit.probes:
                    if probe.kind not in COLUMNS:
                        continue
                    said, labels, _ = f0[start + offset, probe.kind]
                    text = EDITORS[name](block, probe)
                    if text is not None:
                        ids = backbone.target_ids(text)
                        said = [*ids, *[backbone.eos_id] * len(labels)][: len(labels)]
                    scores[probe.kind].append(sum(a == b for a, b in zip(said, labels, strict=True)) / len(labels))
        for column, each in scores.items():
            found = point["metrics"][column]["teacher_forced"]["value"]
            assert found == pytest.approx(sum(each) / len(each), abs=1e-12), (size, column)
        local = [point["metrics"][kind]["teacher_forced"]["value"] for kind in COLUMNS[3:]]
        if name in ("none", "oracle"):
            assert local == [1.0, 1.0]
        if name == "oracle":
            assert (point["metrics"]["reliability"]["teacher_forced"]["value"] == 1.0) == (size < RECORDS)
        if name == "vandal":
            assert max(local) < 0.5


class JoinsWhiteSpace(FakeBackbone):
    """A question that ends in a space is made into other tokens when its answer follows."""

    def encode(self, queries: Any, targets: Any = None, *, pad: str = "right") -> Any:
        batch = super().encode(queries, targets, pad=pad)
        for row, query in enumerate(queries):
            if query.prompt.endswith(" "):
                batch.input_ids[row, batch.answer_mask[row].nonzero()[0, 0]] = 27
        return batch


def test_question_and_answer_are_tokenised_as_one_text(tmp_path: Path):
    stream = build(4)
    edits = [
        Edit(
            edit.image,
            edit.prompt,
            edit.target,
            tuple(Probe(p.kind, p.image, p.prompt + " ", p.target, p.fact, p.facts_used) for p in edit.probes),
            edit.facts,
        )
        for edit in stream
    ]
    result = paper.run(
        editor=Nothing(JoinsWhiteSpace()),
        stream=EditStream(edits, stream.source),
        blocks=[4],
        out=tmp_path,
        progress=False,
    )
    table: Any = pd.read_parquet(tmp_path / "probes.parquet")
    asked = table[table["kind"] == "reliability"]
    assert {ids[0] for ids in asked["expected_ids"]} == {27}
    assert result["causality"] == {"checked": 20, "mismatches": 0}  # prefixes are those of the joint text too


OPTIONS = Options(buckets=500, refuse_every=9, crash_every=7)


def run(out: Path, *, editor: Any = None, stream: Any = None, blocks: Any = (1, 7, 60), **more: Any) -> dict[str, Any]:
    editor = editor or Buckets(FakeBackbone(), OPTIONS)
    return paper.run(editor=editor, stream=stream or build(125), blocks=blocks, out=out, progress=False, **more)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("paper") / "run"
    return out, run(out)


def test_the_folder_and_the_result(done: tuple[Path, dict[str, Any]]):
    out, result = done
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert files == {"run.json", "journal.jsonl", "editor/state.safetensors", "probes.parquet", "result.json"}
    assert json.loads((out / "result.json").read_text()) == result
    assert result["protocol"] == {"id": "paper", "checkpoints": [1, 7, 60], "scorers": ["teacher_forced"]}
    assert [(block["count"], block["dropped"]) for block in result["blocks"]] == [(125, 0), (17, 6), (2, 5)]
    table: Any = pd.read_parquet(out / "probes.parquet")
    assert set(table["kind"]) == set(COLUMNS)
    assert table["free_running"].isna().all()
    assert table["answer"].isna().all()
    part, agrees = rescore(out)
    assert agrees is True
    assert part["curve"] == result["curve"]
    assert "score" not in result
    assert "paper_average" not in result  # a number of the lifelong protocol


def test_a_changed_number_is_found_out(done: tuple[Path, dict[str, Any]], tmp_path: Path):
    import shutil

    shutil.copytree(done[0], tmp_path / "run")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    result["curve"][1]["average"]["value"] += 0.001
    (tmp_path / "run" / "result.json").write_text(json.dumps(result))
    assert rescore(tmp_path / "run")[1] is False


@pytest.mark.parametrize(
    ("event", "key", "value"),
    [
        ("block", "replies", []),
        ("block", "outcomes", None),
        ("block", "outcomes", [{"second": 1}]),
        ("f0", "replies", 3),
    ],
)
def test_a_journal_that_cannot_be_true_is_refused(
    event: str, key: str, value: Any, done: tuple[Path, dict[str, Any]], tmp_path: Path
):
    import shutil

    shutil.copytree(done[0], tmp_path / "run")
    content = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps({**content, "status": "running"}))
    lines = [json.loads(line) for line in (tmp_path / "run" / "journal.jsonl").read_text().splitlines()]
    first = next(line for line in lines if line["event"] == event)
    first[key] = value
    (tmp_path / "run" / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(BenchError, match=r"journal\.jsonl is damaged.*--fresh"):
        run(tmp_path / "run")


def test_the_same_command_twice_gives_the_same_bytes(done: tuple[Path, dict[str, Any]], tmp_path: Path):
    again = run(tmp_path)
    assert again["digest"] == done[1]["digest"]
    assert (tmp_path / "probes.parquet").read_bytes() == (done[0] / "probes.parquet").read_bytes()


def test_a_block_does_not_depend_on_the_sizes_beside_it(done: tuple[Path, dict[str, Any]], tmp_path: Path):
    alone = run(tmp_path, blocks=(60, 60))
    values, others = (
        {kind: scores["teacher_forced"]["value"] for kind, scores in result["curve"][-1]["metrics"].items()}
        for result in (alone, done[1])
    )
    assert values == others


def test_a_finished_run_is_only_read(done: tuple[Path, dict[str, Any]]):
    out, result = done
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert run(out) == result
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"blocks": (1, 7)}, "begun with checkpoints"),
        ({"seed": 1}, "begun with seed 0, not seed 1"),
        ({"batch_size": 3}, "batch_size 64, not batch_size 3"),
        ({"steps": 80}, "begun with steps 125, not steps 80"),
        ({"editor": Nothing(FakeBackbone())}, 'begun with editor "buckets"'),
    ],
)
def test_another_run_is_refused(done: tuple[Path, dict[str, Any]], change: dict[str, Any], words: str):
    with pytest.raises(BenchError, match=words):
        run(done[0], **change)


def test_the_other_protocol_is_refused(done: tuple[Path, dict[str, Any]]):
    from liveedit_bench.runners import lifelong

    with pytest.raises(BenchError, match="begun with"):
        lifelong.run(editor=Buckets(FakeBackbone(), OPTIONS), stream=build(125), steps=125, out=done[0], progress=False)


def test_an_editor_that_is_not_causal_voids_the_run(tmp_path: Path):
    result = run(tmp_path, editor=Peeker(FakeBackbone()), stream=build(20), blocks=(1, 10))
    assert result["status"] == "void"
    assert result["causality"]["mismatches"] > 0
    assert not any("average" in point for point in result["curve"])
    Result.model_validate(result)
    assert rescore(tmp_path)[1] is True


class ReadsTheText(Nothing):
    """Would agree with the target, were it handed over as a text."""

    name = "reads-the-text"

    def logits(self, batch: Any) -> Any:
        assert batch.targets is None
        return super().logits(batch)


def test_an_editor_never_sees_the_target_as_a_text(tmp_path: Path):
    assert run(tmp_path, editor=ReadsTheText(FakeBackbone()), stream=build(3), blocks=None)["status"] == "complete"


def test_a_stored_stream_is_replayed_whole_and_in_file_order(tmp_path: Path):
    stream = make_stream(texts="paper")
    stream.save(tmp_path / "stream")
    result = run(tmp_path / "run", stream=str(tmp_path / "stream"), editor=Nothing(FakeBackbone()), blocks=None, seed=5)
    table: Any = pd.read_parquet(tmp_path / "run" / "probes.parquet")
    asked = table[(table["step"] == 1) & (table["kind"] == "reliability")].sort_values("position")
    assert list(asked["edit"]) == [edit.id for edit in stream]
    assert result["stream"]["sha256"] == stream.sha256
    assert result["protocol"]["checkpoints"] == [1, 10]
    assert (
        run(tmp_path / "few", stream=stream, editor=Nothing(FakeBackbone()), blocks=None, steps=6)["stream"]["edits"]
        == 6
    )


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"texts": "clean"}, "data build by-hand --annotations FILE --images DIR --split test --texts paper"),
        ({"dataset": "e-vqa+emblems"}, "prepared in different ways.*one by one"),
        ({"texts": "paper", "scenario": "superseding"}, "arranged .superseding.*file order"),
    ],
)
def test_streams_that_are_no_file_with_the_papers_prompts_are_refused(
    source: dict[str, Any], words: str, tmp_path: Path
):
    with pytest.raises(BenchError, match=words):
        run(tmp_path / "run", stream=make_stream(**source), editor=Nothing(FakeBackbone()), blocks=None)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("records", "chosen", "sizes"),
    [(2093, None, (1, 10, 100, 1000)), (999, None, (1, 10, 100)), (5, (5, 2, 2), (2, 5)), (1, None, (1,))],
)
def test_block_sizes(records: int, chosen: Any, sizes: tuple[int, ...]):
    assert paper.block_sizes(records, chosen) == sizes


@pytest.mark.parametrize(
    ("chosen", "words"), [((0,), "--block 0"), ((1, 14), "--block 14.*from 1 to 13"), ((), "no size")]
)
def test_block_sizes_that_no_block_can_have(chosen: Any, words: str):
    with pytest.raises(BenchError, match=words):
        paper.block_sizes(13, chosen)
