import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import fakes
import pytest
from fakes import FakeBackbone

from liveedit_bench.benchmark import plugins
from liveedit_bench.benchmark.editor import Editor, EditRequest
from liveedit_bench.benchmark.edits import EditStream, Source
from liveedit_bench.errors import BenchError

FAKES = Path(fakes.__file__)
TWELVE_LINES = """
from liveedit_bench import Editor

class Mine(Editor):
    name = "mine"

    def edit(self, request):
        pass

class Incomplete(Editor):
    name = "incomplete"

class Nameless(Editor):
    def edit(self, request):
        pass
"""


class Here(Editor):
    name = "here"

    def edit(self, request: EditRequest) -> None: ...


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(TWELVE_LINES)
    return path


def test_an_editor_is_found_as_object_file_module_entry_point_and_bundled_name(
    mine: Path, monkeypatch: pytest.MonkeyPatch
):
    assert plugins.find_editor(Here) is Here
    assert plugins.find_editor(f"{mine}:Mine").name == "mine"
    assert plugins.find_editor("fakes:Nothing") is fakes.Nothing
    assert plugins.find_editor("none").name == "none"
    point = EntryPoint("elsewhere", "fakes:Peeker", "liveedit_bench.editors")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group.endswith("editors") else [])
    assert plugins.find_editor("elsewhere") is fakes.Peeker
    assert "elsewhere" in plugins.names("editors")
    assert plugins.load_editor(Here, FakeBackbone(), seed=3).seed == 3


def test_an_entry_point_goes_before_a_bundled_name(monkeypatch: pytest.MonkeyPatch):
    point = EntryPoint("none", "fakes:Nothing", "liveedit_bench.editors")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])
    assert plugins.find_editor("none") is fakes.Nothing


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("livedit", "no editor is called 'livedit' .did you mean 'liveedit'"),
        ("zzz", "known: .*ft-l, .*liveedit, .*majority, .*none, "),
        ("fakes:Nothin", "no 'Nothin' .did you mean 'Nothing'"),
        ("no.such.module:X", "cannot import no.such.module"),
        ("no/such/file.py:X", "no file no/such/file.py"),
        ("fakes:FakeBackbone", "is no editor"),
        ("{mine}:Incomplete", r"lacks edit\(self, request\)"),
        ("{mine}:Nameless", "has no name"),
    ],
)
def test_what_is_no_editor_is_told(name: str, words: str, mine: Path):
    with pytest.raises(BenchError, match=words):
        plugins.find_editor(name.format(mine=mine))


def test_a_file_that_cannot_be_imported_is_told(tmp_path: Path):
    path = tmp_path / "broken.py"
    path.write_text("1 / 0")
    with pytest.raises(BenchError, match="ZeroDivisionError"):
        plugins.find_editor(f"{path}:X")


def test_datasets_and_backbones_are_found_alike():
    dataset = plugins.find_dataset("fakes:build")
    assert dataset.capacity is not None
    assert dataset.capacity("test") == 400
    assert isinstance(plugins.load_backbone("fakes:load"), FakeBackbone)
    backbone = FakeBackbone()
    assert plugins.load_backbone(backbone) is backbone
    with pytest.raises(BenchError, match="did you mean 'emblem-llava'"):
        plugins.load_backbone("emblem-lava")
    with pytest.raises(BenchError, match=r"no dataset is called 'emblem' .did you mean 'emblems'"):
        plugins.load_stream("emblem", edits=3)


def test_devices_and_dtypes():
    assert plugins.resolve_device("cpu") == "cpu"
    with pytest.raises(BenchError, match=r"device 'nonsense' cannot be used here.*--device cpu"):
        plugins.resolve_device("nonsense")
    with pytest.raises(BenchError, match="did you mean 'float32'"):
        plugins.resolve_dtype("float3")


def test_streams_are_cut_and_checked():
    stream = plugins.load_stream("fakes:build", edits=7, seed=2)
    assert len(stream) == 7
    assert stream.sha256 == plugins.load_stream("fakes:build", edits=9, seed=2)[:7].sha256
    for edits, words in ((0, "from 1 to 400"), (-1, "from 1 to 400"), (401, "largest possible number is 400")):
        with pytest.raises(BenchError, match=words):
            plugins.load_stream("fakes:build", edits=edits)


def test_a_given_stream_keeps_the_order_it_was_drawn_in():
    drawn = fakes.build(6, seed=1)
    assert [edit.id for edit in plugins.load_stream(drawn, edits=4, seed=9)] == [edit.id for edit in drawn[:4]]
    undrawn = EditStream(list(drawn), Source("file", "test", None))
    first, second = (plugins.load_stream(undrawn, edits=6, seed=seed) for seed in (0, 1))
    assert [edit.id for edit in first] != [edit.id for edit in second]
    assert {edit.id for edit in first} == {edit.id for edit in second}
    arranged = EditStream(list(drawn), Source("file", "test", None, scenario="by-entity"))
    assert [edit.id for edit in plugins.load_stream(arranged, edits=6, seed=1)] == [edit.id for edit in drawn]
    with pytest.raises(BenchError, match="the largest possible number is 6"):
        plugins.load_stream(undrawn, edits=7)
    with pytest.raises(BenchError, match="holds the split 'test'"):
        plugins.load_stream(undrawn, edits=6, split="train")


def test_a_stored_stream_is_opened_by_its_folder(tmp_path: Path):
    stream = fakes.build(3)
    stream.save(tmp_path / "stored")
    assert plugins.load_stream(str(tmp_path / "stored"), edits=3).sha256 == stream.sha256


def test_listing_imports_no_torch():
    code = (
        "import sys; from liveedit_bench.benchmark.plugins import names; "
        "print([names(group) for group in ('editors', 'backbones', 'datasets')], 'torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.endswith("False\n")
    assert "liveedit" in said


@pytest.mark.parametrize("group", ["editors", "backbones", "datasets"])
def test_every_bundled_name_leads_somewhere(group: plugins.Group):
    for name in plugins.BUNDLED[group]:
        assert plugins.find(group, name) is not None


def test_a_stored_stream_can_be_had_whole_and_as_it_is_stored(tmp_path: Path):
    ids = [edit.id for edit in fakes.build(12)]
    EditStream(list(fakes.build(12)), Source("fake", "test", None)).save(tmp_path / "stored")
    stored = plugins.load_stream(str(tmp_path / "stored"), edits=None, seed=3, in_order=True)
    assert [edit.id for edit in stored] == ids
    shuffled = plugins.load_stream(str(tmp_path / "stored"), edits=None, seed=3)
    assert [edit.id for edit in shuffled] != ids
    assert sorted(edit.id for edit in shuffled) == sorted(ids)


def test_where_nobody_says_how_many_a_dataset_gives_a_thousand_or_all_it_has():
    assert len(plugins.load_stream(f"{FAKES}:build", edits=None)) == 400
    assert plugins.EDITS == 1000
