"""`data list`, `data card` and `data build` of annotation files: what is printed, what is stored, how errors end."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from annotated import E_VQA, E_VQA_TRAIN, MULTI_HOP, ONE_HOP, copy_of, records_of

from liveedit_bench import cli
from liveedit_bench.benchmark.edits import EditStream

Records = list[dict[str, Any]]


def call(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(word) for word in words])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def built(capsys: pytest.CaptureFixture[str], name: str, file: Path, out: Path, *more: str | Path) -> dict[str, Any]:
    words = ("data", "build", name, "--annotations", file, "--out", out, *more, "--json")
    code, said, err = call(capsys, *words)
    assert code == 0, err
    return json.loads(said)


def test_list_shows_generated_and_annotated_datasets(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "data", "list")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert "eval 2,093" in lines["e-vqa"]
    assert lines["vlkeb"].endswith("one-hop 1,278  multi-hop")
    assert "test 13,303" in lines["emblems"]
    known = json.loads(call(capsys, "data", "list", "--json")[1])
    assert known["e-ic"] == {"train": 2849, "eval": 1000}
    assert known["vlkeb"]["multi-hop"] is None


def test_list_is_fast_and_free_of_torch() -> None:
    code = (
        "import sys; from liveedit_bench import cli\ntry: cli.main(['data', 'list'])\n"
        "finally: print([heavy for heavy in ('torch', 'datasets', 'pandas') if heavy in sys.modules])"
    )
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = os.times()
    assert done.stdout.endswith("[]\n")
    # Processor time: the machine may be busy with something else.
    assert after.children_user + after.children_system - before.children_user - before.children_system < 1.0


def test_card(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "data", "card", "vlkeb")
    assert code == 0
    assert "BSD-3-Clause" in out
    assert json.loads(call(capsys, "data", "card", "vlkeb", "--json")[1])["licence"] == "BSD-3-Clause"


def test_build_stores_a_stream_with_its_notes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = copy_of(E_VQA, tmp_path / "data")
    out = tmp_path / "stream"
    words = ("data", "build", "e-vqa", "--annotations", file, "--images", file.parent, "--out", out)
    code, said, err = call(capsys, *words)
    assert code == 0
    assert "13 edits of e-vqa (eval, clean)" in said
    assert "quotes 3" in said
    assert "warning: vqa_eval.json holds 13 records, the file 'eval' as distributed 2,093" in err
    stored = EditStream.load(out)
    assert stored.sha256 in said
    assert {"build.json", "records.jsonl", "pictures.jsonl", "stream.json"} <= {each.name for each in out.iterdir()}
    code, said, err = call(capsys, *words)
    assert (code, said) == (2, "")
    assert "not empty" in err


def test_a_rebuilt_stream_has_the_same_digest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = copy_of(MULTI_HOP, tmp_path / "data")
    digests = {
        texts: [
            built(capsys, "vlkeb", file, tmp_path / f"{texts}{turn}", "--texts", texts)["sha256"] for turn in range(2)
        ]
        for texts in ("clean", "paper")
    }
    assert digests["clean"][0] == digests["clean"][1] != digests["paper"][0] == digests["paper"][1]
    for name in ("build.json", "records.jsonl", "stream.json"):
        one, other = (tmp_path / f"clean{turn}" / name for turn in range(2))
        assert one.read_bytes() == other.read_bytes()


def test_options(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = copy_of(E_VQA, tmp_path / "data")
    more = ("--split", "mine", "--limit", "5", "--train", E_VQA_TRAIN, "--on-missing-image", "skip-edit")
    found = built(capsys, "e-vqa", file, tmp_path / "stream", *more)
    assert (found["split"], found["edits"], found["limit"], found["dataset"]) == ("mine", 5, 5, "e-vqa")
    assert EditStream.load(tmp_path / "stream")[1].facts.seen_target is True


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-200])


def _write(change: Callable[[Records], Any]) -> Callable[[Path], None]:
    def apply(file: Path) -> None:
        records = records_of(file)
        changed = change(records)
        file.write_text(json.dumps(records if changed is None else changed))

    return apply


def _picture_of_text(file: Path) -> None:
    (file.parent / records_of(file)[2]["image"]).write_text("no picture")


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated": (_truncate, "no complete JSON (line "),
    "missing field": (_write(lambda records: records[2].pop("loc") and None), "record 2, field 'loc': is missing"),
    "wrong type": (_write(lambda records: records[2].update(alt=3)), "record 2, field 'alt': must be a text"),
    "null": (_write(lambda records: records[2].update(alt=None)), "record 2, field 'alt': must be a text, is null"),
    "not a number": (_write(lambda records: records[2].update(alt=float("nan"))), "record 2, field 'alt': must be a"),
    "no list": (_write(lambda records: {"records": records}), "must hold a JSON list"),
    "empty list": (_write(lambda records: []), "empty list"),
    "no UTF-8": (lambda file: file.write_bytes(file.read_text().encode("utf-16")), "no UTF-8 text"),
    "text as picture": (_picture_of_text, "record 2, field 'image': "),
    "absolute path": (_write(lambda records: records[2].update(m_loc="/etc/hosts")), "record 2, field 'm_loc': "),
    "climbing path": (_write(lambda records: records[2].update(image="../x.jpg")), "record 2, field 'image': "),
    "two schemas": (
        _write(lambda records: records[2].update(port_new=records_of(MULTI_HOP)[0]["port_new"])),
        "record 2, field 'port_new[0]': is of the multi-hop schema",
    ),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(bad: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    spoil, said = BAD[bad]
    file = copy_of(ONE_HOP, tmp_path / "data")
    spoil(file)
    out = tmp_path / "out" / "stream"
    out.parent.mkdir()
    code, printed, err = call(capsys, "data", "build", "vlkeb", "--annotations", file, "--out", out)
    assert (code, printed) == (2, "")
    [line] = err.splitlines()
    assert line.startswith("error: ")
    assert str(file) in line
    assert said in line
    assert not list(out.parent.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("build e-vqa --out x", "give --annotations FILE"),
        ("build e-vqa --annotations nothing.json --out x", "cannot read nothing.json"),
        ("build e-vqa --annotations a.json --out x --edits 3", "--edits does not go with"),
        ("build e-vqa --annotations a.json --out x --seed 3", "--seed does not go with"),
        ("build e-vqa --annotations a.json --out x --limit 0", "--limit 0"),
        ("build e-vqa --annotations a.json --out x --texts tidy", "--texts"),
        ("build e-vqa --annotations a.json --out x --on-missing-image draw", "--on-missing-image"),
        ("build emblems --annotations a.json --out x", "--annotations does not go with"),
        ("build evqa --annotations a.json --out x", "did you mean 'e-vqa'"),
        ("build evqa --out x", "did you mean 'e-vqa'"),
        ("card evqa", "did you mean 'e-vqa'"),
        ("card emblems", "is generated"),
    ],
)
def test_errors_are_one_line_with_exit_code_2(
    words: str, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys, "data", *words.split())
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert said in err
    assert not list(tmp_path.iterdir())


def test_run_says_to_build_first(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys, "run", "--editor", "none", "--dataset", "e-vqa", "--steps", "3")
    assert (code, out) == (2, "")
    [line] = err.splitlines()
    assert "liveedit-bench data build e-vqa --annotations FILE --images DIR --out streams/e-vqa" in line
    assert not list(tmp_path.iterdir())
