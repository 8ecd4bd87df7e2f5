"""The page of a paper run: every number of it, no script, nothing fetched."""

import re
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fakes import Buckets, FakeBackbone, Options, Peeker, build

from liveedit_bench.leaderboards.report import write_report
from liveedit_bench.runners import paper


def reported(out: Path, editor: Any) -> tuple[dict[str, Any], str]:
    result = paper.run(editor=editor, stream=build(25), blocks=(1, 10), out=out, progress=False)
    write_report(out)
    assert ">edits per block<" in (out / "curve.svg").read_text()
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    return result, (out / "report.html").read_text()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    class Marked(Buckets):
        name = "<b>bold</b>"
        fixed_scores: ClassVar[Any] = {"text_locality": "<i>why</i>", "locality_no_image": "not asked here"}

    return reported(tmp_path_factory.mktemp("page") / "run", Marked(FakeBackbone(), Options(refuse_every=5)))


def test_every_number_stands_in_the_table(done: tuple[dict[str, Any], str]):
    result, html = done
    rows = re.findall(r"<tr><th scope=\"row\">(\d+)</th>(.*)</tr>", html)
    assert [int(size) for size, _ in rows] == [1, 10]
    for (_, row), point, block in zip(rows, result["curve"], result["blocks"], strict=True):
        cells = [re.sub(r"<span.*?</span>|<.*?>", "", cell) for cell in re.findall(r"<td>(.*?)</td>", row)]
        shares = [scores["teacher_forced"]["value"] for scores in point["metrics"].values()]
        assert cells[:6] == [f"{share:.3f}" for share in [*shares, point["average"]["value"]]]
        assert cells[6:9] == [str(point["records"]), str(block["dropped"]), str(point["failed"])]
    assert result["curve"][0]["failed"] > 0


def test_the_page_runs_nothing_and_escapes_everything(done: tuple[dict[str, Any], str]):
    _, html = done
    assert "<script" not in html
    assert "default-src 'none'" in html
    assert "<b>bold</b>" not in html
    assert "&lt;b&gt;bold&lt;/b&gt;" in html
    assert "&lt;i&gt;why&lt;/i&gt;" in html
    assert "not asked here" not in html


def test_a_void_run_says_so(tmp_path: Path):
    result, html = reported(tmp_path / "run", Peeker(FakeBackbone()))
    assert result["status"] == "void"
    assert "No number on this page counts" in html
