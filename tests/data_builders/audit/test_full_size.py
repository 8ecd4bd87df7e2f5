"""Annotation files of full size, through builder, storage and command line: what was planted is what is reported."""

import json
import time
from functools import cached_property
from pathlib import Path

import made_up_files
import pytest
from console import liveedit_bench

from liveedit_bench.benchmark.edits import EditStream
from liveedit_bench.data_builders import e_vqa, vlkeb
from liveedit_bench.data_builders.audit import Report, audit
from liveedit_bench.data_builders.audit.opening import open_stream
from liveedit_bench.data_builders.choices import Choices

SOURCES = {"e-vqa": (e_vqa, made_up_files.e_vqa), "vlkeb": (vlkeb, made_up_files.vlkeb)}


class Files:
    """The streams of a source, stored, and what was planted in them."""

    def __init__(self, folder: Path, source: str) -> None:
        builder, make = SOURCES[source]
        made = make()
        self.planted, self.records = made.planted, made.evaluation
        self.stream, self.train = folder / "eval", folder / "train"
        for split, records in (("eval", made.evaluation), ("train", made.train)):
            (folder / f"{split}.json").write_text(json.dumps(records), encoding="utf-8")
            choices = Choices(on_missing_image="report", split=split)
            builder.build(folder / f"{split}.json", choices).save(folder / split)

    @cached_property
    def report(self) -> Report:
        """The audit of the one against the other."""
        return audit(EditStream.load(self.stream), train=EditStream.load(self.train))[0]


@pytest.fixture(scope="module", params=list(SOURCES))
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp(request.param), request.param)


def test_what_was_planted_is_found(files: Files) -> None:
    found = files.report.findings
    assert {name: found[name].count for name in files.planted} == files.planted


def test_the_figures_of_the_field(files: Files) -> None:
    report = files.report
    found = {name: (finding.count, finding.of) for name, finding in report.findings.items()}
    if report.stream.source.dataset == "e-vqa":
        assert (report.stream.edits, report.train and report.train.edits) == (2093, 6345)
        assert found["shared-pictures-other-targets"] == (1124, 2093)
        assert found["train-image-locality"] == (2093, 2093)
    else:
        assert (report.stream.edits, report.train and report.train.edits) == (3174, 5000)
        assert found["entities-edited-twice"] == (327, 2847)
        assert report.findings["entities-edited-twice"].numbers["side by side"] == 327
        assert found["train-entity"] == (1173, 2847)
        assert found["train-image-locality"] == (2063, 3174)  # 65 %


def test_shared_pictures_by_a_plain_loop_over_the_records(files: Files) -> None:
    targets: dict[str, set[str]] = {}
    for record in files.records:
        targets.setdefault(record["image"], set()).add(record["alt"].strip().casefold())
    concerned = [n for n, record in enumerate(files.records) if len(targets[record["image"]]) > 1]
    found = files.report.findings["shared-pictures-other-targets"]
    assert sorted(record.position for record in found.records) == concerned


@pytest.mark.slow
def test_the_other_recipe_of_texts_finds_the_same(files: Files, tmp_path: Path) -> None:
    dataset = EditStream.load(files.stream).source.dataset
    choices = Choices(on_missing_image="report", split="eval", texts="paper")
    built = SOURCES[dataset][0].build(files.stream.parent / "eval.json", choices)
    assert built.stream[0].prompt != EditStream.load(files.stream)[0].prompt or dataset == "vlkeb"
    ours = files.report.findings
    theirs = audit(built.stream, train=EditStream.load(files.train))[0].findings
    assert {name: finding.count for name, finding in theirs.items()} == {
        name: finding.count for name, finding in ours.items()
    }


def test_it_takes_a_few_seconds(files: Files) -> None:
    began = time.process_time()
    opened = [open_stream(str(folder), usual_split="eval") for folder in (files.stream, files.train)]
    audit(opened[0].stream, train=opened[1].stream, pixels=opened[0].pixels)
    assert time.process_time() - began < 12  # 2 to 4 seconds on an idle machine


def test_the_command_without_a_model(files: Files, tmp_path: Path) -> None:
    page = tmp_path / "pages" / "audit.html"
    done = liveedit_bench("data", "audit", files.stream, "--train", files.train, "--json", "--html", page, "--debug")
    assert done.code == 0
    checks = {check["name"]: check for check in json.loads(done.out)["checks"]}
    assert {name: checks[name]["count"] for name in files.planted} == files.planted
    for name, check in checks.items():
        assert len({record["position"] for record in check["records"]}) <= len(files.records), name
    assert "missing: " in page.read_text(encoding="utf-8")
