import json
import time
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from submitted import make_run, rebuilt, rewrite

from liveedit_bench import cli
from liveedit_bench.leaderboards.submission_making import submit
from liveedit_bench.leaderboards.submission_reading import MAX_BYTES, UnreadableError, read_submission, shown
from liveedit_bench.leaderboards.submission_table import PACKED
from liveedit_bench.leaderboards.verification import verify
from liveedit_bench.runners.bounds import Bounds

pa: Any = pyarrow
pq: Any = pyarrow.parquet


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    submit([make_run(folder / "run", steps=5)], name="My method", out=folder / "mine.json")
    return folder


@pytest.fixture
def mine(made: Path, tmp_path: Path) -> Path:
    for file in made.glob("mine.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path / "mine.json"


HOSTILE = [
    (b"", "is no JSON"),
    (b"[]", "holds no JSON object"),
    (b'{"a": 1', "is no JSON"),
    (b"\xff\xfe{}", "is no UTF-8 text"),
    (b'{"a": NaN}', "NaN is no number"),
    (b'{"a": -Infinity}', "-Infinity is no number"),
    (b'{"a": 1e999}', "the number 1e999 is too large"),
    (b'{"a": ' + b"9" * 5000 + b"}", "a number of 5000 digits is too large"),
    (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "is nested more than 40 levels deep"),
    (b'{"a": 1, "a": 2}', "the key a stands twice"),
    (b'{"a\\u001b[31m": 1, "a\\u001b[31m": 2}', "the key a\\\\u001b\\[31m stands twice"),
    (b'{"a": "\\ud800"}', "is no UTF-8 text"),
    (b"{}", "a submission of schema version None; this program reads version 1"),
    (b'{"submission_version": "2"}', "of schema version 2; this program"),
    (b'{"submission_version": "1", "runs": [{"result": {"schema_version": "9"}}]}', "a result of schema version 9"),
    (b'{"submission_version": "1", "runs": [3, {"result": 4}]}', "is no submission: "),
]


@pytest.mark.parametrize(("content", "words"), HOSTILE)
def test_what_is_no_submission_is_told_in_one_line(content: bytes, words: str, tmp_path: Path):
    file = tmp_path / "x.json"
    file.write_bytes(content)
    began = time.process_time()
    with pytest.raises(UnreadableError, match=words) as told:
        read_submission(file)
    assert time.process_time() - began < 2
    assert len(str(told.value)) < 300
    assert str(told.value).isprintable()


def test_a_file_of_100_mb_is_not_read(tmp_path: Path):
    file = tmp_path / "x.json"
    with file.open("wb") as out:
        out.truncate(100 * 2**20)
    with pytest.raises(UnreadableError, match=f"larger than {MAX_BYTES // 2**20} MiB"):
        read_submission(file)
    with pytest.raises(UnreadableError, match="cannot read"):
        read_submission(tmp_path / "nothing.json")
    with pytest.raises(UnreadableError, match="cannot read"):
        read_submission(tmp_path)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("name",), "<script>alert(1)</script>", "name: "),
        (("name",), "a\u202eb", "name: "),
        (("probes", "file"), "../../etc/passwd.parquet", "without folders"),
        (("probes", "file"), "/etc/x.parquet", "without folders"),
        (("probes", "file"), "C:\\x.parquet", "without folders"),
        (("probes", "sha256"), "0", "probes.sha256"),
        (("probes", "rows"), 10**30, "a number of 31 digits"),
        (("seeds",), [], "seeds"),
        (("unknown\x1b[2J",), 1, "unknown"),
        (("runs", 0, "result", "score", "value"), 1.5, "less than or equal to 1"),
        (("runs", 0, "result", "score", "ci95"), [0.9, 0.1], "upside down"),
        (("runs", 0, "result", "curve", 0, "step"), 5, "must increase"),
        (("runs", 0, "result", "score"), None, "null stands for score"),
        (("runs", 0, "asked", "seed"), 4, "seeds is"),
        (("protocol",), "paper", "protocol is 'paper' above and 'lifelong' in the runs"),
        (("official",), True, "official needs no reasons"),
    ],
)
def test_values_that_cannot_be_are_refused(mine: Path, path: tuple[Any, ...], value: Any, words: str):
    def change(content: dict[str, Any]) -> None:
        part: Any = content
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = value

    rewrite(mine, change, sealed=False)
    with pytest.raises(UnreadableError, match=words) as told:
        read_submission(mine)
    assert str(told.value).isprintable()


def test_text_of_unknown_origin_is_printable_and_short():
    assert shown("a\x1b[31m\nb\u202e") == "a\\u001b[31m b\\u202e"
    assert len(shown("x" * 1000)) == 80
    assert len(shown("\n".join("\u202e" * 1000))) <= 80


def write(mine: Path, table: Any, **options: Any) -> str:
    """Put another table beside the JSON; what is said about it."""
    import hashlib

    parquet = mine.with_suffix(".parquet")
    pq.write_table(table, parquet, **options)
    about = {"sha256": hashlib.sha256(parquet.read_bytes()).hexdigest(), "rows": max(1, table.num_rows)}
    rewrite(mine, lambda content: content["probes"].update(about))
    verdict = verify(mine, rebuilt=rebuilt)
    assert all(each.message.isprintable() and len(each.message) <= 400 for each in verdict.failures)
    return " | ".join(each.message for each in verdict.failures)


def test_parquet_of_another_shape_is_refused(mine: Path):
    table = pq.read_table(mine.with_suffix(".parquet"))
    assert "holds anything" not in write(mine, table)
    assert "has other columns than answers have: 'more'" in write(mine, table.append_column("more", table["step"]))
    assert "has other columns than answers have: 'leak'" in write(mine, table.drop_columns(["leak"]))
    assert "has other columns than answers have: their order" in write(mine, table.select([*table.schema.names[::-1]]))
    number = table.schema.get_field_index("step")
    texts = pa.array([str(step) for step in table["step"].to_pylist()])
    said = write(mine, table.set_column(number, "step", texts))
    assert "the column step of mine.parquet is string, not int32" in said
    ids = table.schema.get_field_index("ids")
    nested = pa.array([[[1]]] * table.num_rows)
    assert "the column ids of" in write(mine, table.set_column(ids, "ids", nested))
    assert "holds 0 rows, the JSON says 1" in write(mine, table.slice(0, 0))
    runs = table.schema.get_field_index("run")
    other = pa.array([7] * table.num_rows, pa.int16())
    assert "the answers are those of" in write(mine, table.set_column(runs, "run", other))


def test_parquet_that_is_none_or_too_large_is_refused(mine: Path, monkeypatch: pytest.MonkeyPatch):
    parquet = mine.with_suffix(".parquet")
    table = pq.read_table(parquet)
    whole = parquet.read_bytes()
    for content in (b"", b"PAR1", whole[:-40], whole[: len(whole) // 2] + b"\0" * 50 + whole[len(whole) // 2 + 50 :]):
        import hashlib

        parquet.write_bytes(content)
        rewrite(mine, lambda text, content=content: text["probes"].update(sha256=hashlib.sha256(content).hexdigest()))
        assert not verify(mine, rebuilt=rebuilt).holds
    huge = pa.table({name: pa.repeat(table[name][0], 6_000_000) for name in ("run", "step")})
    assert "claims 6,000,000 rows" in write(mine, huge)
    small = Bounds(size=1000, rows=5_000_000, values=50_000_000)
    monkeypatch.setattr("liveedit_bench.leaderboards.submission_table.BOUNDS", small)
    assert "is larger than" in write(mine, table)


def test_the_packed_schema_has_no_score():
    assert not {"teacher_forced", "free_running"} & set(PACKED.names)


def test_exit_codes(mine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            cli.main(["verify", *words])
        said = capsys.readouterr()
        return int(str(end.value.code)), said.out, said.err

    monkeypatch.setattr("liveedit_bench.leaderboards.verification_report.from_folders", lambda folders: rebuilt)
    code, out, _ = call(str(mine))
    assert (code, "checks): self-consistent" in out) == (0, True)
    code, out, _ = call(str(mine), "--json")
    assert (code, json.loads(out)["badges"]) == (0, ["self-consistent"])
    rewrite(mine, lambda content: content.update(name="Another"), sealed=False)
    code, out, _ = call(str(mine))
    assert (code, "seal: the file was changed after it was made" in out) == (1, True)
    mine.write_text("{")
    code, out, err = call(str(mine))
    assert (code, out, err.count("error: ")) == (2, "", 1)
    code, out, _ = call(str(mine), str(mine), "--json")
    assert code == 2
    assert [each["holds"] for each in json.loads(out)] == [False, False]
