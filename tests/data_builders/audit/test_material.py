"""Which pictures are the same."""

import pytest
from made_up_edits import gone, shot

from liveedit_bench.data_builders.audit.material import Pictures


def test_a_path_that_stands_for_two_files_says_nothing() -> None:
    ours, theirs, lost = shot("1.jpg", content="ours"), shot("1.jpg", content="theirs"), gone("2.jpg")
    pictures = Pictures([ours, theirs, lost], {})
    assert pictures[ours] != pictures[theirs]
    assert (pictures.ambiguous, pictures.missing) == (["1.jpg"], ["2.jpg"])


def test_equal_pixels_make_a_path_plain_again() -> None:
    one, other = shot("1.jpg", content="as saved once"), shot("1.jpg", content="as saved again")
    pictures = Pictures([one, other], {one.sha256: "pixels", other.sha256: "pixels"})
    assert pictures[one] == pictures[other]
    assert pictures.ambiguous == []


@pytest.mark.parametrize("path", ["a/b.jpg", "a//b.jpg", "./a/b.jpg", "a\\b.jpg", "a/c/../b.jpg"])
def test_spellings_of_a_path(path: str) -> None:
    here, lost = shot("a/b.jpg"), gone(path)
    pictures = Pictures([here, lost], {})
    assert pictures[here] == pictures[lost]


def test_sameness_carries_over() -> None:
    chain = [shot("a.jpg", content="1"), shot("b.jpg", content="1"), shot("c.jpg", content="2"), gone("c.jpg")]
    pictures = Pictures(chain, {chain[0].sha256: "x", chain[2].sha256: "x"})
    assert len({pictures[picture] for picture in chain}) == 1
    assert [pictures.by("pixels", picture) for picture in chain] == ["x", "x", "x", None]
    assert [pictures.by("file", picture) is None for picture in chain] == [False, False, False, True]
