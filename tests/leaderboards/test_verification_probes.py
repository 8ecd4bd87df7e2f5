"""What answers may say beside each other."""

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

from liveedit_bench.leaderboards.submission import SubmittedRun
from liveedit_bench.leaderboards.verification_probes import ROUTED_OTHERWISE, contradictions


@dataclass(frozen=True)
class Answered:
    """What the check looks at in a row."""

    teacher_ids: tuple[int, ...] = (5, 6, 2)
    ids: tuple[int, ...] = (5, 6, 2)
    expected_ids: tuple[int, ...] = (5, 6, 2)
    margin: float = 1.0
    teacher_margin: float = 1.0
    place: str = "probe 0 of edit 0"


RUN = cast("SubmittedRun", SimpleNamespace(asked=SimpleNamespace(dtype="float32")))
SOUND = Answered()
OTHERWISE = replace(SOUND, teacher_ids=(9, 6, 2))


def found(*rows: Answered) -> list[str]:
    return contradictions(RUN, cast("Any", rows))


def test_the_scorers_agree_up_to_the_first_wrong_token():
    assert found(SOUND, replace(SOUND, ids=(5, 7, 8), teacher_ids=(5, 7, 2))) == []
    assert len(found(OTHERWISE)) == 1
    assert len(found(replace(SOUND, teacher_ids=(5, 9, 2)))) == 1


def test_a_near_tie_excuses_any_row_and_a_routing_tie_few():
    assert found(replace(OTHERWISE, margin=1e-5)) == []
    many = int(2 / ROUTED_OTHERWISE)
    assert found(OTHERWISE, OTHERWISE, *[SOUND] * (many - 2)) == []
    assert len(found(OTHERWISE, OTHERWISE, OTHERWISE, *[SOUND] * (many - 3))) == 3
