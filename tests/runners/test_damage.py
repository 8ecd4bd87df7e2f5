"""A damaged folder is refused in one line, or continued to the very same result; it never gives another one."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import Buckets, FakeBackbone, Options, build

from liveedit_bench.errors import BenchError
from liveedit_bench.runners import lifelong

STEPS, STOP = 25, 17
OPTIONS = Options(forget=0.0)
DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "gone": lambda content: None,
    "empty": lambda content: b"",
    "half-written": lambda content: content[: len(content) // 2],
    "cut short": lambda content: content[:-1],
    "zeros": lambda content: bytes(len(content)),
    "rubbish in the middle": lambda content: content[: len(content) // 2] + b"\xff\n}" + content[len(content) // 2 :],
}
UNFINISHED = ("run.json", "journal.jsonl", "f0.json", "parts/step-000010.parquet", "editor/state.safetensors")
FINISHED = ("run.json", "result.json")


def run(out: Path, editor: Buckets | None = None) -> dict[str, Any]:
    return lifelong.run(
        editor=editor or Buckets(FakeBackbone(), OPTIONS), stream=build(STEPS), steps=STEPS, out=out, progress=False
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("damage") / "finished"
    run(out)
    return out


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("damage") / "unfinished"
    editor, edit = Buckets(FakeBackbone(), OPTIONS), Buckets.edit

    def stops(self: Buckets, request: Any) -> None:
        if self.edits == STOP:
            raise KeyboardInterrupt
        edit(self, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Buckets, "edit", stops)
        with pytest.raises(KeyboardInterrupt):
            run(out, editor)
    return out


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", [*UNFINISHED, *(f"finished {name}" for name in FINISHED)])
def test_refused_or_the_same(name: str, damage: str, finished: Path, unfinished: Path, tmp_path: Path) -> None:
    whole = run(finished)["digest"]
    name, source = name.removeprefix("finished "), finished if name.startswith("finished ") else unfinished
    out = tmp_path / "run"
    shutil.copytree(source, out)
    content = DAMAGE[damage]((out / name).read_bytes())
    if content is None:
        (out / name).unlink()
    else:
        (out / name).write_bytes(content)
    before = {path.relative_to(out) for path in out.rglob("*") if path.is_file()}
    try:
        found = run(out)["digest"]
    except BenchError as error:
        refused = str(error)
    else:
        assert found == whole
        return
    assert re.search("--fresh|--out", refused)
    assert before <= {path.relative_to(out) for path in out.rglob("*")}, "nothing that was written is lost"
