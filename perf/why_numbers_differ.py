"""Measures how far the numbers of other harnesses lie from ours, on Emblems; docs/why-numbers-differ.md shows them.

python perf/why_numbers_differ.py

Everything is asked by running the models; only the rows that stand in finished results are read from them
(`perf/results/test`). Where not said otherwise: the paper protocol's setting, blocks of 100 edits from f_0, and
teacher-forced.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import numpy as np

from liveedit_bench.benchmark.backbone import Query
from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone
from liveedit_bench.benchmark.editor import EditRequest
from liveedit_bench.benchmark.editors.liveedit import LiveEdit
from liveedit_bench.benchmark.edits import Edit, EditStream, Kind, Probe
from liveedit_bench.benchmark.plugins import find_editor, load_backbone, load_editor
from liveedit_bench.data_builders.emblems import build
from liveedit_bench.errors import EditError
from liveedit_bench.metrics import legacy
from liveedit_bench.metrics.curves import PAPER_COLUMNS
from liveedit_bench.runners import environment, paper
from liveedit_bench.runners.legacy import Asked, look, replay

HERE = Path(__file__).resolve().parent
EDITORS = ("liveedit", "retrieval", "ft-l", "vandal", "none")
CHANGING = ("liveedit", "retrieval", "ft-l")
"""Editors whose score can depend on how many edits came before."""
SIZES = (1, 10, 100, 1000)
BOTH: tuple[Kind, ...] = ("text_locality", "image_locality")
TOKENISERS = {"emblem-llava": None, "byte-level BPE": HERE.parent / "tests" / "oracle" / "tiny_llava"}
RECORDS = HERE.parent / "tests" / "oracle" / "data" / "vqa" / "vqa_eval.json"

Score = Callable[[Asked], float]


@dataclass(frozen=True)
class Row:
    """One difference, measured. asked: the kind of probe, or what else the number is about.

    right: as it is scored here; legacy: as the other harness scores the same. n: edits or probes
    behind legacy.
    """

    difference: str
    editor: str
    asked: str
    right: float
    legacy: float
    n: int


class Fussy(LiveEdit):
    """LiveEdit that looks at its own answer, and takes an edit back that it does not speak."""

    name = "liveedit, refusing what it fails"

    def edit(self, request: EditRequest) -> None:
        """Apply, ask, and refuse."""
        before = {name: tensor.clone() for name, tensor in self.state_dict().items()}
        super().edit(request)
        (answer,) = self.generate([Query(request.image, request.prompt)])
        if answer.text != request.target:
            self.load_state_dict(before)
            raise EditError("does not take", kind="not-spoken")


def row(difference: str, editor: str, asked: str, right: Sequence[float], theirs: Sequence[float]) -> Row:
    return Row(difference, editor, asked, fmean(right), fmean(theirs), len(theirs))


def accuracy(one: Asked) -> float:
    return 0.0 if one.failed else legacy.accuracy(one.after)


def agreement(one: Asked) -> float:
    assert one.before is not None
    return legacy.agreement(one.after, one.before)


def locality_scorers() -> dict[str, tuple[tuple[Kind, ...], Score]]:
    """Name -> the kinds it is used for, and the score."""

    def of(score: Callable[..., float], one: str, other: str, **more: bool) -> Score:
        return lambda asked: score(getattr(asked, one), getattr(asked, other), **more)

    return {
        "all-positions": (BOTH, of(legacy.everywhere, "after", "before")),
        "rank-wise": (("image_locality",), of(legacy.rankwise, "after", "before")),
        "rank-wise-answer": (("image_locality",), of(legacy.rankwise, "after", "before", answer_only=True)),
        "itself": (BOTH, of(legacy.agreement, "after", "again")),
        "previous": (BOTH, of(legacy.agreement, "own", "previous")),
        "targets": (BOTH, of(legacy.with_targets, "after", "before")),
    }


def scored(editor: str, asked: Sequence[Asked], cut: Callable[[str], Sequence[int]]) -> Iterator[Row]:
    """The differences that lie in how one answer is scored, and in the incomplete last block."""
    whole = [one for one in asked if not one.dropped]
    for name, (kinds, score) in locality_scorers().items():
        for kind in kinds:
            ours = [one for one in whole if one.probe.kind == kind]
            yield row(name, editor, kind, [agreement(one) for one in ours], [score(one) for one in ours])
    ours = [one for one in whole if one.probe.kind == "reliability"]
    right = [accuracy(one) for one in ours]
    yield row("late", editor, "reliability", right, [legacy.late(one.after) for one in ours])
    yield row("apart", editor, "reliability", right, [legacy.apart(one.after, cut(one.probe.target)) for one in ours])
    for kind in ("reliability", "image_locality"):
        score = accuracy if kind == "reliability" else agreement
        every = [score(one) for one in asked if one.probe.kind == kind]
        yield row("remainder", editor, kind, every, [score(one) for one in whole if one.probe.kind == kind])


def failing(backbone: Any, edits: Sequence[Edit], size: int) -> Iterator[Row]:
    """Failed edits in the denominator, and out of it."""
    asked = [one for one in replay(Fussy(backbone), edits, size=size, stepwise=False) if one.before is None]
    for kind in ("reliability", "image_generality"):
        ours = [one for one in asked if one.probe.kind == kind]
        scores, failed = np.array([accuracy(one) for one in ours]), np.array([one.failed for one in ours])
        kept = legacy.without_failed(scores, failed)
        yield Row("failed", Fussy.name, kind, float(scores.mean()), kept, int((~failed).sum()))


def tokenised() -> Iterator[dict[str, Any]]:
    """How many targets are cut otherwise without their question, and what a model that says every target gets."""
    for name, folder in TOKENISERS.items():
        if folder is None:
            backbone = cast("HuggingFaceBackbone", load_backbone("emblem-llava"))
            asked = [(probe.prompt, probe.target) for edit in build(1000) for probe in columns(edit)]
        else:
            backbone = HuggingFaceBackbone.load(folder, name=name)
            asked = [pair for record in json.loads(RECORDS.read_text("utf-8")) for pair in pairs(record)]
        for space in ("", " "):
            yield {"tokeniser": name, "space": bool(space), **cut_apart(backbone, asked, space)}


def cut_apart(backbone: HuggingFaceBackbone, asked: Iterable[tuple[str, str]], space: str) -> dict[str, Any]:
    """Over all targets: shares whose ids and whose number of tokens differ, and the perfect model's score."""
    others: list[bool] = []
    longer: list[bool] = []
    scores: list[float] = []
    for prompt, target in asked:
        batch = backbone.encode([Query(None, prompt)], [target])
        ids = batch.input_ids[0].numpy()
        start = int(batch.answer_mask[0].nonzero()[0])
        said = np.append(ids[1:], backbone.eos_id)[:, None]  # whatever comes next, the model says it
        perfect = legacy.Look(ids, said, start)
        labels = cut(backbone)(space + target)
        others.append(list(perfect.target) != list(labels))
        longer.append(len(perfect.target) != len(labels))
        scores.append(legacy.apart(perfect, labels))
    return {"targets": len(scores), "other_ids": fmean(others), "other_length": fmean(longer), "perfect": fmean(scores)}


def cut(backbone: HuggingFaceBackbone) -> Callable[[str], Sequence[int]]:
    tokenizer = backbone.processor.tokenizer
    return lambda target: tokenizer(target, add_special_tokens=False)["input_ids"]


def columns(edit: Edit) -> list[Probe]:
    return [probe for probe in edit.probes if probe.kind in PAPER_COLUMNS]


def pairs(record: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Questions and targets of a record of the field, with the suffixes of the paper protocol."""
    for question, suffix, target in (
        ("src", " The answer is:", "alt"),
        ("rephrase", " The answer is:", "alt"),
        ("src", " The answer is:", "alt"),
        ("loc", "?", "loc_ans"),
        ("m_loc_q", " The answer is:", "m_loc_a"),
    ):
        yield record[question] + suffix, record[target]


def finished(results: dict[str, Any]) -> Iterator[Row]:
    """What two columns of one finished lifelong run say about the same edits."""
    for name, result in results.items():
        last = result["curve"][-1]["metrics"]
        for kind in ("reliability", "image_generality"):
            forced, free = last[kind]["teacher_forced"], last[kind]["free_running"]
            yield Row("teacher-forcing", name, kind, free["value"], forced["value"], forced["n"])
        own, end = result["immediate"]["free_running"], last["reliability"]["free_running"]
        yield Row("right-after", name, "reliability", end["value"], own["value"], own["n"])
        near, far = (last[kind]["free_running"] for kind in ("locality_twin_same", "image_locality"))
        yield Row("easy-neighbours", name, "locality", near["value"], far["value"], far["n"])


def restarted(editor: str, edits: int) -> Iterator[Row]:
    """Blocks that restart at f_0 against the same edits as one stream; the average without what cannot fall."""
    with tempfile.TemporaryDirectory() as folder:
        result = paper.run(editor=editor, blocks=SIZES, steps=edits, split="test", out=Path(folder) / editor)
    points = {point["step"]: point for point in result["curve"]}
    stream = points[SIZES[-1]]
    for size in SIZES[:-1]:
        for name in ("reliability", "average"):
            ours, theirs = (value_of(point, name) for point in (stream, points[size]))
            yield Row("restart", editor, f"{name}, n = {size}", ours, theirs, edits)
    fixed = set(result["editor"].get("fixed_scores") or ())
    if fixed:
        free = fmean(value_of(stream, name) for name in PAPER_COLUMNS if name not in fixed)
        yield Row("fixed", editor, f"average, n = {SIZES[-1]}", free, value_of(stream, "average"), edits)


def value_of(point: dict[str, Any], name: str) -> float:
    found = point["average"] if name == "average" else point["metrics"][name]["teacher_forced"]
    return found["value"]


def trained_on(backbone: Any, edits: Sequence[Edit], count: int = 1000) -> Iterator[Row]:
    """Image locality asked with questions that LiveEdit was trained on, and with others that no edit touches."""
    editor = LiveEdit(backbone)
    (source,) = editor.trained_on()
    train = build(source["edits"], seed=source["seed"], split=source["split"])
    assert train.sha256 == source["sha256"]
    for edit in edits:
        editor.edit(EditRequest(edit.image, edit.prompt, edit.target))
    touched = {edit.facts.key for edit in edits}
    found: list[list[float]] = []
    for stream in (build(2 * count)[len(edits) :], train):
        probes = [probe for edit in stream for probe in edit.probes if probe.kind == "image_locality"]
        probes = [probe for probe in probes if not {probe.fact, *probe.facts_used} & touched][:count]
        pair = zip(look(editor, backbone, probes), look(backbone, backbone, probes), strict=True)
        found.append([legacy.agreement(after, before) for after, before in pair])
    yield row("trained-on", editor.name, "image_locality", *found)


def unrestored(editors: Sequence[str], backbone: Any, edits: Sequence[Edit]) -> Iterator[Row]:
    """Single edits, against f_0 and against the model as the edit before left it."""
    for name in editors:
        asked = [one for one in replay(load_editor(find_editor(name), backbone), edits, size=1) if one.left]
        for kind in BOTH:
            ours = [one for one in asked if one.probe.kind == kind]
            theirs = [legacy.agreement(one.after, one.left) for one in ours if one.left]
            yield row("unrestored", name, kind, [agreement(one) for one in ours], theirs)


def scoring(editors: Sequence[str], backbone: HuggingFaceBackbone, edits: Sequence[Edit], size: int) -> Iterator[Row]:
    for name in editors:
        asked = list(replay(load_editor(find_editor(name), backbone), edits, size=size))
        yield from scored(name, asked, cut(backbone))


def parts(editors: Sequence[str], backbone: Any, edits: Sequence[Edit], size: int) -> dict[str, Iterable[Row]]:
    """What can be measured by itself, in order; nothing is, before its rows are asked for."""
    whole = edits[: len(edits) // size * size]
    paths = {name: HERE / "results" / "test" / f"{name}.json" for name in editors}
    changing = [name for name in CHANGING if name in editors]
    return {
        "scoring": scoring(editors, backbone, edits, size),
        "unrestored": unrestored(editors, backbone, whole[:size]),
        "failed": failing(backbone, whole, size),
        "trained-on": trained_on(backbone, whole),
        "finished": (one for name in editors for one in finished({name: json.loads(paths[name].read_text("utf-8"))})),
        "restart": (one for name in changing for one in restarted(name, max(SIZES))),
    }


def measure(given: argparse.Namespace, stream: EditStream, earlier: dict[str, Any] | None) -> dict[str, Any]:
    """Everything, as it is written; with `--only` the other rows are those of earlier."""
    backbone = cast("HuggingFaceBackbone", load_backbone("emblem-llava"))
    about = {
        "stream": {"dataset": "emblems", "split": "test", "seed": 0, "edits": len(stream), "sha256": stream.sha256},
        "block": given.block,
        "backbone": {"name": backbone.name, "weights_sha256": backbone.weights_sha256},
    }
    kept: list[dict[str, Any]] = []
    if earlier is not None:
        if any(earlier[name] != value for name, value in about.items()):
            sys.exit(f"{given.out} was measured on other edits, or on another model: measure everything")
        kept = earlier["rows"]
    for name, found in parts(given.editors.split(","), backbone, list(stream), given.block).items():
        if not given.only or name in given.only:
            print(name, file=sys.stderr, flush=True)
            new = [rounded(asdict(one)) for one in found]
            kept = [one for one in kept if one["difference"] not in {each["difference"] for each in new}] + new
    return {
        **about,
        "rows": sorted(kept, key=lambda one: one["difference"]),
        "tokenisers": [rounded(one) for one in tokenised()],
        "environment": {"versions": environment.describe()["versions"]},
    }


def rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--editors", default=",".join(EDITORS))
    parser.add_argument("--edits", type=int, default=250)
    parser.add_argument("--block", type=int, default=100)
    parser.add_argument("--only", nargs="*", help="parts to measure; the others stay in the file")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "legacy" / "emblems.json")
    given = parser.parse_args()
    earlier = json.loads(given.out.read_text(encoding="utf-8")) if given.only and given.out.exists() else None
    found = measure(given, build(given.edits), earlier)
    words = [f"--{name}={value}" for name, value in vars(given).items() if value != parser.get_default(name)]
    chosen = [word for word in words if not word.startswith(("--out", "--only"))]
    command = shlex.join(["python", "perf/why_numbers_differ.py", *chosen])
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps({"command": command, **found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
