"""The leaderboard in a real browser: Debian's Chromium, from the file system, without a network."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from submitted import make_run, world
from visit import CHROMIUM, Visit

from liveedit_bench.benchmark.edits import EditStream
from liveedit_bench.leaderboards.schema import Estimate, Scorer, StreamInfo
from liveedit_bench.leaderboards.site.build import build
from liveedit_bench.leaderboards.standings import read_folder
from liveedit_bench.leaderboards.submission import SeedPoint, Submission
from liveedit_bench.leaderboards.submission_making import submit

SCORES = {"best": 0.93, "middle": 0.71, "near": 0.7, "low": 0.2}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")


def loader(stream: StreamInfo) -> EditStream:
    return world(stream.edits, seed=stream.seed or 0)


def method(base: Submission, name: str, score: float) -> Submission:
    """The made-up submission of a method with this score at every step."""
    points: list[SeedPoint] = []
    for point in base.curve:
        ends = (max(0.0, score - 0.02), min(1.0, score + 0.02))
        own: dict[str, dict[Scorer, Estimate]] = {"score": {"free_running": Estimate(value=score, n=3, ci95=ends)}}
        points.append(point.model_copy(update={"metrics": point.metrics | own}))
    return base.model_copy(update={"name": name, "curve": points, "official": True, "reasons": []})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    results = folder / "results"
    results.mkdir()
    runs = [make_run(folder / str(seed), seed=seed) for seed in (0, 1, 2)]
    submit(runs, name="base", out=results / "base.json")
    submit([make_run(folder / "paper", protocol="paper")], name="base", out=results / "base.paper.json")
    (path, base), paper = read_folder(results)
    shown = [(path.with_name(f"{name}.json"), method(base, name, score)) for name, score in SCORES.items()]
    for other, _ in shown:
        shutil.copy(path.with_suffix(".parquet"), other.with_suffix(".parquet"))
    build([*shown, paper], folder / "site", badge=lambda _: "self-consistent", loader=loader)
    return folder / "site"


@pytest.fixture
def visit(browser: Any, site: Path) -> Generator[Visit]:
    visited = Visit(browser, site / "index.html", viewport={"width": 1400, "height": 1000})
    visited.drawn()
    yield visited
    assert visited.complaints == []
    assert all(url.startswith(("file:", "data:")) for url in visited.requests)
    visited.page.context.close()


def test_tables_are_sorted_by_their_heads(visit: Visit):
    assert visit.names() == ["best", "middle", "near", "low"]
    head = visit.page.locator(".board").first.get_by_role("button", name="Score")
    head.click()
    assert visit.names() == ["best", "middle", "near", "low"]
    head.click()
    assert visit.names() == ["low", "near", "middle", "best"]
    visit.page.locator(".board").first.get_by_role("button", name="Method").click()
    assert visit.names() == ["best", "low", "middle", "near"]
    assert visit.page.locator("th[aria-sort=ascending]").inner_text().startswith("Method")


def test_ties_share_a_rank(visit: Visit):
    ranks = visit.page.locator(".board").first.locator("tbody tr td:first-child").all_inner_texts()
    assert ranks == ["1", "2=", "2=", "4"]
    visit.keep("leaderboard-light")


def test_filters_leave_the_boards_that_fit(visit: Visit):
    assert visit.page.locator(".board:visible").count() == 2
    visit.page.select_option("select[name=protocol]", "paper")
    assert visit.page.locator(".board:visible h2").all_inner_texts() == ["Paper protocol"]
    visit.page.select_option("select[name=protocol]", "")
    assert visit.page.locator(".board:visible").count() == 2


def test_curves_answer_the_pointer_and_show_other_numbers(visit: Visit):
    chart = visit.page.locator("#curves-0 svg")
    point = chart.locator("path[aria-roledescription=point]").first
    point.hover(force=True)
    tooltip = visit.page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert any(name in tooltip.inner_text() for name in SCORES)
    before = chart.inner_html()
    visit.page.locator(".board").first.locator("select.shown").select_option("locality")
    visit.page.wait_for_function("before => document.querySelector('#curves-0 svg').innerHTML !== before", arg=before)


def test_a_method_has_its_page(visit: Visit):
    visit.page.get_by_role("link", name="best", exact=True).click()
    assert visit.page.locator("h1").inner_text() == "best"
    assert visit.page.locator("img.curve").evaluate("image => image.complete && image.naturalWidth > 300")
    visit.keep("method")


def test_it_follows_the_dark(browser: Any, site: Path):
    colours = list[str]()
    for scheme in ("light", "dark"):
        visited = Visit(browser, site / "index.html", color_scheme=scheme)
        colours.append(visited.drawn().evaluate("getComputedStyle(document.body).backgroundColor"))
        visited.keep(f"leaderboard-{scheme}")
        assert visited.complaints == []
        visited.page.context.close()
    assert colours == ["rgb(255, 255, 255)", "rgb(20, 24, 29)"]


def test_it_fits_a_phone(browser: Any, site: Path):
    for name in ("index.html", "methods/best.html"):
        visited = Visit(browser, site / name, viewport={"width": 390, "height": 844})
        if name == "index.html":
            visited.drawn()
        width = visited.page.evaluate("document.documentElement.scrollWidth")
        visited.keep(f"phone-{Path(name).stem}")
        assert width <= 390
        visited.page.context.close()


def test_it_can_be_read_without_scripts(browser: Any, site: Path):
    visited = Visit(browser, site / "index.html", java_script_enabled=False)
    assert visited.names() == ["best", "middle", "near", "low"]
    assert not visited.page.locator("select").first.is_visible()
    visited.page.context.close()
