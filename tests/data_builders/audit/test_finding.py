"""How a finding describes itself."""

import json

import pytest

from liveedit_bench.data_builders.audit.finding import Finding, Record, grouped, quoted, visible


def finding(count: int, of: int, unknown: str = "") -> Finding:
    return Finding("name", "title", count, of, "edits", "It means something.", "grave", unknown=unknown)


def test_states() -> None:
    assert finding(1, 2).state == "grave"
    assert finding(0, 2).state == "none"
    assert finding(0, 2, unknown="needs --train").state == "unknown"
    assert Finding("name", "title", 0, 2, "edits", "", "fact").state == "fact"
    assert (finding(1, 2).share, finding(0, 0).share) == (0.5, None)


def test_json_leaves_out_what_is_not_there() -> None:
    records = (Record(3, "abc", "because"), Record(4, "def", "so", probe=0, train=0))
    found = Finding("name", "title", 2, 4, "edits", "", "odd", records, ((3, 4),), {"groups": 1})
    plain = json.loads(json.dumps(found.plain(), allow_nan=False))
    assert plain["records"] == [
        {"position": 3, "id": "abc", "why": "because"},
        {"position": 4, "id": "def", "why": "so", "probe": 0, "train": 0},
    ]
    assert (plain["groups"], plain["numbers"], plain["share"], plain["state"]) == ([[3, 4]], {"groups": 1}, 0.5, "odd")


def test_groups_keep_their_order() -> None:
    assert grouped(["b", "a", None, "b", "c", None, "a"]) == ((0, 3), (1, 6))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\n dogs", "\u201ctwo dogs\u201d"),
        ("\x1b[31mred\x07", "\u201c[31mred\u201d"),
        ("\u202eder\ufeff", "\u201cder\u201d"),
        ("x" * 61, "\u201c" + "x" * 59 + "\u2026\u201d"),
    ],
)
def test_quoted(text: str, shown: str) -> None:
    assert quoted(text) == shown


def test_emoji_stay_whole() -> None:
    assert visible("a \U0001f469\u200d\U0001f680") == "a \U0001f469\u200d\U0001f680"
