import json
from pathlib import Path

import pytest

from liveedit_bench.errors import BenchError
from liveedit_bench.runners.journal import Journal


def read(path: Path) -> Journal:
    journal = Journal(path)
    journal.close()
    return journal


def write(path: Path, *events: dict[str, object]) -> None:
    journal = Journal(path)
    for event in events:
        journal.append(event)
    journal.close()


def test_what_is_appended_is_read_again(tmp_path: Path):
    path = tmp_path / "journal.jsonl"
    write(path, {"event": "begin"}, {"event": "edit", "position": 0}, {"event": "checkpoint", "step": 1})
    journal = read(path)
    assert [event["event"] for event in journal.events] == ["begin", "edit", "checkpoint"]
    assert journal.of("edit")[0]["position"] == 0
    assert journal.last("edit") == journal.events[1]
    assert journal.last("state") is None
    assert journal.checkpoint(1) == journal.events[2]
    assert journal.checkpoint(2) is None


@pytest.mark.parametrize(
    "torn", [b'{"event": "ed', b'{"event": "edit"}', b"\0\0\0\0", b'{"event": "edit"\n', b"\0\0\n"]
)
def test_a_torn_last_line_is_cut_off(tmp_path: Path, torn: bytes):
    path = tmp_path / "journal.jsonl"
    write(path, {"event": "begin"}, {"event": "edit", "position": 0})
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    assert len(read(path).events) == 2
    assert path.read_bytes() == whole


def test_every_cut_leaves_a_readable_journal(tmp_path: Path):
    path = tmp_path / "journal.jsonl"
    write(path, *({"event": "edit", "position": position, "text": "é"} for position in range(3)))
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        assert len(read(path).events) == whole[:length].count(b"\n")


def test_damage_in_the_middle_is_refused(tmp_path: Path):
    path = tmp_path / "journal.jsonl"
    write(path, *({"event": "edit", "position": position} for position in range(3)))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"rubbish\n" + lines[2])
    with pytest.raises(BenchError, match="line 2"):
        read(path)


def test_wall_seconds_add_up_over_processes(tmp_path: Path):
    path = tmp_path / "journal.jsonl"
    events = [("begin", 0.1), ("edit", 5.0), ("resume", 0.2), ("edit", 2.0), ("resume", 3.0), ("edit", 4.0)]
    path.write_text("".join(json.dumps({"event": name, "at": at}) + "\n" for name, at in events))
    assert read(path).wall_seconds() == pytest.approx(5 + 2 + 4)
