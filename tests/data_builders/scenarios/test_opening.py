from pathlib import Path

import pytest
from small_streams import numbers, plain

from liveedit_bench.data_builders.emblems import build
from liveedit_bench.data_builders.scenarios import arrange
from liveedit_bench.data_builders.scenarios.opening import open_arranged, open_streams
from liveedit_bench.errors import BenchError


@pytest.mark.parametrize(("edits", "second"), [(1, 0), (2, 0), (7, 1), (29, 5), (30, 5)])
def test_of_a_dataset_there_are_as_many_edits_as_asked_for(edits: int, second: int):
    found = open_arranged("emblems", ["superseding"], edits=edits, seed=2, split="validation")
    assert len(found.stream) == edits
    assert found.stream.source.seed == 2
    facts = [edit.facts.key for edit in found.stream]
    assert len(facts) - len(set(facts)) == second


def test_a_dataset_without_growth_is_built_as_long_as_asked():
    found = open_arranged("emblems", ["shuffled"], edits=12, seed=1, split="validation")
    assert found.stream.sha256 == arrange(build(12, seed=1, split="validation"), ["shuffled"], seed=1).sha256


def test_a_stored_stream_is_arranged_whole_and_cut(tmp_path: Path):
    plain(20).save(tmp_path / "given")
    whole = arrange(plain(20), ["shuffled"], seed=3)
    found = open_arranged(str(tmp_path / "given"), ["shuffled"], edits=8, seed=3)
    assert [edit.id for edit in found.stream] == [edit.id for edit in whole[:8]]
    assert open_arranged(str(tmp_path / "given"), ["shuffled"], edits=None, seed=3).stream.sha256 == whole.sha256
    assert numbers(open_arranged(str(tmp_path / "given"), ["file-order"], edits=4, seed=3).stream) == [0, 1, 2, 3]


@pytest.mark.parametrize("edits", [0, 25])
def test_more_than_there_are(tmp_path: Path, edits: int):
    plain(20).save(tmp_path / "given")
    with pytest.raises(BenchError, match="holds 24 once arranged; give a number from 1 to 24"):
        open_arranged(str(tmp_path / "given"), ["superseding"], edits=edits)


def test_names_are_looked_at_before_a_stream_is_built():
    with pytest.raises(BenchError, match="did you mean 'clean'"):
        open_arranged("no such dataset", ["cleen"], edits=3)
    with pytest.raises(BenchError, match="no dataset is called 'emblem'"):
        open_arranged("emblem", ["clean"], edits=3)


def test_several_streams_are_opened_in_their_order(tmp_path: Path):
    plain(5).save(tmp_path / "given")
    stored, built = open_streams([str(tmp_path / "given"), "emblems"], edits=3, seed=9, split=None)
    assert numbers(stored) == [0, 1, 2, 3, 4]
    assert (len(built), built.source.split, built.source.seed) == (3, "test", 9)
