"""Every published result holds: what a change to `leaderboards/results` has to pass. No submitted code is run."""

from pathlib import Path

import pytest

from liveedit_bench.leaderboards.placement import misplaced, published_files, strays
from liveedit_bench.leaderboards.submission_reading import read_submission
from liveedit_bench.leaderboards.verification import verify

RESULTS = Path(__file__).parents[2] / "leaderboards" / "results"
FILES = published_files(RESULTS)


def test_everything_lies_where_it_ought_to():
    assert strays(RESULTS) == []
    assert misplaced(RESULTS, [(file, read_submission(file)) for file in FILES]) == []


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(RESULTS).with_suffix("").as_posix())
def test_a_published_result_is_self_consistent(file: Path):
    verdict = verify(file)
    assert [failure.message for failure in verdict.failures] == []
    assert verdict.unchecked == ()
    assert verdict.self_consistent
