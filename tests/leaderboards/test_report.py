import base64
import hashlib
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from example_run import make_result, make_run

from liveedit_bench.benchmark.edits import EditStream
from liveedit_bench.errors import BenchError
from liveedit_bench.leaderboards import figures, page
from liveedit_bench.leaderboards.details import run_facts
from liveedit_bench.leaderboards.report import rebuild_stream, write_report
from liveedit_bench.leaderboards.schema import Result, StreamInfo

HOSTILE = "</script></style><img src=x onerror=alert(1)>\"'&\u202e{{ 7*7 }}"
VOID = {"meta", "img", "br", "input", "link"}


class Page(HTMLParser):
    """Checks that elements close in order; keeps text, attributes and the content of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif self.open and self.open[-1] != "style":
            self.text += data + " "


def render(result: dict[str, Any], **more: Any) -> Page:
    return Page(page.render(Result.model_validate(result), svg="<svg/>", **more))


@pytest.fixture
def _undrawn(monkeypatch: pytest.MonkeyPatch):
    """Leaves out what takes seconds and is tested once: the bundle and the static figure."""
    monkeypatch.setattr(figures, "bundle", lambda: "var vega = '</script>';")
    monkeypatch.setattr(figures, "static_svg", lambda result: "<svg/>")
    monkeypatch.setattr(figures, "static_png", lambda svg: b"")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    stream = make_run(folder)
    began = time.process_time()
    write_report(folder, loader=lambda _: stream)
    assert time.process_time() - began < 10
    return folder


@pytest.fixture(scope="module")
def html(run: Path) -> str:
    return (run / "report.html").read_text(encoding="utf-8")


def test_three_files_and_nothing_else(run: Path, html: str):
    assert {path.name for path in run.iterdir()} == {
        "result.json", "probes.parquet", "report.html", "curve.svg", "curve.png",
    }  # fmt: skip
    assert len(html.encode()) < 3_000_000
    assert (run / "curve.svg").read_text(encoding="utf-8").startswith("<svg")
    assert (run / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_is_fetched(html: str):
    found = Page(html)
    links = [
        value for _, attrs in found.tags for key, value in attrs.items() if key in ("src", "href", "srcset") and value
    ]
    assert links
    assert all(link.startswith(("data:image/", "#")) for link in links)
    assert not [tag for tag, _ in found.tags if tag in ("link", "iframe", "object", "base", "form")]
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_only_the_named_scripts_may_run(html: str):
    found = Page(html)
    policy = next(attrs["content"] for _, attrs in found.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    kinds = [attrs.get("type") for tag, attrs in found.tags if tag == "script"]
    assert kinds == ["application/json", None, None]  # one bundle, however many charts
    for script in found.scripts[1:]:
        assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2]


def test_the_page_says_the_numbers(html: str):
    text = " ".join(Page(html).text.split())
    for said in (
        "Score † 0.902 0.893\u20130.911",
        "Reliability 0.934",
        "Generality 0.852",
        "Locality † 0.935",
        "Portability 0.287",
        "0.307 where the edit holds",
        "Reliability right after the edit 0.985",
        "Paper average 0.958",
        "Floor: none 0.000",
        "Floor: majority 0.031",
        "93 % of the edited questions, 88 % of their rephrasings and 82 % of other pictures",
        "an input without a picture is answered by the unedited model",
        "37 questions expired",
        "Unseen answers",
        "12.3 ms",
        "3 of 1,000",
        "30 min 34 s",
        make_result()["stream"]["sha256"],
        "200 answers asked again token by token, 0 differ",
        "12 of ",
        "✗ wrong",
    ):
        assert said in text, said
    for slip in ("None", "nan", "NaN", "undefined", "{{", "Undefined"):
        assert slip not in text, slip
    assert html.count("data:image/png") > 20


def test_charts_travel_as_data(html: str):
    charts = json.loads(Page(html).scripts[0])
    assert list(charts) == ["specs", "light", "dark"]
    ids = {attrs.get("id") for _, attrs in Page(html).tags}
    assert set(charts["specs"]) <= ids


@pytest.mark.usefixtures("_undrawn")
def test_superseded_edits_are_told_of():
    found = render(make_result(superseded={"edits": 1200, "probes": 3600, "newest": 0.25, "stale": 0.5}))
    text = " ".join(found.text.split())
    assert "the fact of 1,200 asked edits was edited again later" in text
    assert "Their 3,600 questions are still asked, for the newest target, and stand in no mean" in text
    assert "0.250 got the newest target, 0.500 the stale one" in text
    assert "Superseded" not in render(make_result()).text


@pytest.mark.usefixtures("_undrawn")
def test_hostile_names_are_text(tmp_path: Path):
    result = make_result()
    result["editor"] |= {"name": HOSTILE, "version": HOSTILE, "options": {HOSTILE: HOSTILE}}
    result["editor"]["fixed_scores"] = {"reliability": HOSTILE}
    result["stream"]["dataset"] = HOSTILE
    result["backbone"]["name"] = HOSTILE
    result["by_task"] = {HOSTILE: result["by_task"]["clan"]}
    result["floors"] = {HOSTILE: result["floors"]["none"]}
    result["failures"] = {"edits": 1, "kinds": {HOSTILE: 1}}
    result["environment"] = {HOSTILE: {HOSTILE: [HOSTILE]}}
    found = render(result, no_gallery=HOSTILE)
    assert not [attrs for _, attrs in found.tags if "onerror" in attrs]
    assert len(found.scripts) == 3
    assert found.text.count(HOSTILE) > 8
    assert "49" not in re.findall(r"\{\{.*?\}\}|\b49\b", found.text)


@pytest.mark.usefixtures("_undrawn")
def test_hostile_answers_are_text(tmp_path: Path):
    stream = make_run(tmp_path)
    table = pd.read_parquet(tmp_path / "probes.parquet")
    table["answer"] = HOSTILE + "x" * 500
    table.to_parquet(tmp_path / "probes.parquet")
    write_report(tmp_path, loader=lambda _: stream)
    found = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert found.text.count(HOSTILE) >= 24
    assert "x" * 300 not in found.text
    assert not [attrs for _, attrs in found.tags if "onerror" in attrs]


@pytest.mark.usefixtures("_undrawn")
def test_the_least_result_makes_a_page():
    least = {
        key: make_result()[key]
        for key in ("schema_version", "status", "protocol", "stream", "backbone", "cost", "failures", "environment")
    } | {
        "editor": {"name": "none", "version": "1"},
        "curve": [{"step": 1, "metrics": {"reliability": {"free_running": {"value": 0.0, "n": 1}}}}],
        "forgetting": [],
    }
    found = render(least, no_gallery="The stream could not be rebuilt here.")
    assert "No pictures. The stream could not be rebuilt here." in found.text
    assert "Score" not in found.text.partition("Over the stream")[0]
    assert "None" not in found.text


@pytest.mark.usefixtures("_undrawn")
def test_teacher_forced_alone_is_shown_as_such():
    result = make_result()
    result["protocol"] |= {"scorers": ["teacher_forced"]}
    for point in result["curve"]:
        for scores in point["metrics"].values():
            del scores["free_running"]
    text = " ".join(render(result).text.split())
    assert "After 1,000 edits the model gives" not in text
    assert "Kind of question Teacher-forced n" in text


@pytest.mark.usefixtures("_undrawn")
def test_a_void_run_says_so_first():
    result = make_result(status="void", causality={"checked": 200, "mismatches": 3})
    text = " ".join(render(result).text.split())
    assert "Void. Of 200 answers asked again token by token, 3 came out differently" in text


@pytest.mark.usefixtures("_undrawn")
def test_without_a_stream_the_page_says_why(tmp_path: Path):
    make_run(tmp_path)

    def refuse(_: StreamInfo) -> EditStream:
        raise BenchError("the dataset is not here")

    write_report(tmp_path, loader=refuse)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "No pictures. The stream could not be rebuilt here (the dataset is not here)." in text


@pytest.mark.usefixtures("_undrawn")
def test_errors_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(BenchError, match=r"result\.json"):
        write_report(tmp_path)
    stream = make_run(tmp_path)

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BenchError, match="No space left on device; make room"):
        write_report(tmp_path, loader=lambda _: stream)
    assert not (tmp_path / "report.html").exists()


def test_a_scenario_is_arranged_again():
    from liveedit_bench.data_builders.emblems import build
    from liveedit_bench.data_builders.scenarios import arrange

    expected = arrange(build(10, seed=2, split="validation"), ["superseding", "shuffled"], seed=2)
    said = make_result()["stream"] | {"split": "validation", "edits": 12, "seed": 2, "scenario": "superseding+shuffled"}
    assert rebuild_stream(StreamInfo.model_validate(said)).sha256 == expected.sha256


def test_the_page_says_how_the_backbone_was_loaded():
    result = make_result()
    bare = dict(run_facts(Result.model_validate(result)))["Measured"]
    assert not {"Backbone dtype", "Backbone device map"} & dict(bare).keys()
    result["backbone"] |= {"loaded_as": {"dtype": "bfloat16", "device_map": "auto"}}
    said = dict(dict(run_facts(Result.model_validate(result)))["Measured"])
    assert (said["Backbone dtype"], said["Backbone device map"]) == ("bfloat16", "auto")
