"""A submission in which every text is an attack: it is refused or shown, and never runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from submitted import make_run, reseal, world
from visit import CHROMIUM, Visit

from liveedit_bench.benchmark.edits import EditStream
from liveedit_bench.leaderboards.schema import StreamInfo
from liveedit_bench.leaderboards.site.build import build
from liveedit_bench.leaderboards.standings import read_folder
from liveedit_bench.leaderboards.submission import Submission
from liveedit_bench.leaderboards.submission_making import submit
from liveedit_bench.leaderboards.submission_table import pack, unpack

ATTACKS = (
    "</script><script>owned=1</script>",
    "<img src=x onerror=owned=1>",
    "\"'><svg onload=owned=1>{{7*7}}",
    "javascript:owned=1//\u202e",
    "</style><style>*{display:none}",
    "javascript:owned=1//{{7*7}}",  # without a letter that a name may not have
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")


def texts(value: Any, path: tuple[Any, ...] = ()) -> Generator[tuple[Any, ...]]:
    """The place of every text."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from texts(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from texts(each, (*path, index))


def put(value: Any, path: tuple[Any, ...], text: str) -> str:
    """Replace the text at a place; returns the old one."""
    for key in path[:-1]:
        value = value[key]
    old = value[path[-1]]
    value[path[-1]] = text
    return old


def attacked(content: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    """The submission with an attack in the place of every text whose change leaves it readable, and those places."""
    content["by"] = "somebody"
    run: dict[str, Any] = content["runs"][0]["result"]
    run["editor"]["options"] = {ATTACKS[1]: ATTACKS[0]}
    run["editor"]["fixed_scores"] = {"text_locality": "x"}
    run["editor"]["trained_on"] = [{"dataset": "d", "split": "train", "edits": 5, "seed": 0, "sha256": "0" * 64}]
    run["environment"]["git"] = {"commit": "c", "remote": "r", "changed": False}
    # What names the table and the file is left: another table is another page.
    kept = {("probes", "file"), ("probes", "sha256"), ("protocol",), ("sha256",)}
    places: list[tuple[Any, ...]] = []
    for number, path in enumerate(list(texts(content))):
        if path in kept:
            continue
        for attack in (*ATTACKS[number % len(ATTACKS) :], *ATTACKS):
            old = put(content, path, attack)
            try:
                Submission.model_validate_json(json.dumps(content))
            except ValidationError:
                put(content, path, old)
            else:
                places.append(path)
                break
    return content, places


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    results = folder / "results"
    results.mkdir()
    file = results / "method.json"
    submit([make_run(folder / "run")], name="method", out=file)
    content = json.loads(file.read_text())
    about = content["probes"]
    tables = unpack(file.with_suffix(".parquet"), sha256=about["sha256"], rows=about["rows"])
    for number, attack in enumerate(ATTACKS):
        for name in ("answer", "expected"):
            column: Any = tables[0][name].astype("object")
            chosen = column.notna() & (tables[0]["position"] % len(ATTACKS) == number)
            tables[0][name] = column.mask(chosen, attack)
    parquet = pack({0: tables[0].assign(teacher_forced=0.0, free_running=0.0)})
    file.with_suffix(".parquet").write_bytes(parquet)
    about["sha256"] = hashlib.sha256(parquet).hexdigest()
    content, places = attacked(content)
    told = {path[-1] for path in places} | {path[-2] for path in places if len(path) > 1}
    assert {"name", "by", "options", "trained_on", "remote", "text_locality"} <= told | {
        p[-3] for p in places if len(p) > 2
    }
    file.write_text(json.dumps(reseal(content)))

    def loader(stream: StreamInfo) -> EditStream:
        return world(stream.edits, seed=stream.seed or 0)

    build(read_folder(results), folder / "site", badge=lambda _: "self-consistent", loader=loader)
    return folder / "site"


def test_nothing_of_a_submission_runs(browser: Any, hostile: Path):
    pages = [hostile / "index.html", *sorted((hostile / "methods").iterdir())]
    assert len(pages) == 2
    for page in pages:
        visited = Visit(browser, page)
        if page.name == "index.html":
            visited.drawn()
        visited.page.wait_for_timeout(300)
        assert visited.page.evaluate("typeof owned") == "undefined"
        assert visited.page.locator("img[src=x], svg[onload], [onerror]").count() == 0
        assert visited.page.locator("a").evaluate_all("links => links.every(a => !a.href.startsWith('javascript:'))")
        assert visited.page.locator("h1").is_visible()
        assert "49" not in visited.page.title()
        assert visited.dialogs == []
        assert visited.complaints == []
        assert all(url.startswith(("file:", "data:")) for url in visited.requests)
        visited.page.context.close()


def test_it_is_shown_as_it_was_written(browser: Any, hostile: Path):
    visited = Visit(browser, hostile / "index.html")
    shown = visited.page.locator("tbody th a").first.inner_text()
    assert shown in ATTACKS
    visited.page.goto(next((hostile / "methods").iterdir()).as_uri())
    assert visited.page.locator("h1").inner_text() == shown
    assert ATTACKS[1] in visited.page.content().replace("&lt;", "<").replace("&gt;", ">")
    visited.page.context.close()


def test_the_tables_for_a_diff_hold_no_markup(hostile: Path):
    text = (hostile / "leaderboard.md").read_text()
    assert "<script" not in text
    assert "<img" not in text
    assert "<svg" not in text
