"""E-VQA and E-IC files as streams: every record accounted for, every anomaly kept, keys that tell what is edited."""

import hashlib
import json
from pathlib import Path

import pytest
from annotated import E_IC, E_VQA, E_VQA_TRAIN, copy_of, records_of

from liveedit_bench.benchmark.edits import Edit, EditStream, Probe
from liveedit_bench.data_builders import e_ic, e_vqa
from liveedit_bench.data_builders.choices import Choices
from liveedit_bench.data_builders.notes import Built
from liveedit_bench.errors import BenchError
from liveedit_bench.runners.ledger import Ledger

ANSWER = " The answer is:"


@pytest.fixture(scope="module")
def vqa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of(E_VQA, tmp_path_factory.mktemp("vqa"))


@pytest.fixture(scope="module")
def clean(vqa: Path) -> Built:
    return e_vqa.build(vqa, Choices())


@pytest.fixture(scope="module")
def paper(vqa: Path) -> Built:
    return e_vqa.build(vqa, Choices(texts="paper"))


def asked(edit: Edit, kind: str) -> Probe:
    [probe] = [probe for probe in edit.probes if probe.kind == kind]
    return probe


def test_a_record_is_an_edit_with_five_probes(clean: Built) -> None:
    edit = clean.stream[0]
    assert (edit.prompt, edit.target) == ("What animal is on the sofa?", "fox")
    assert [(probe.kind, probe.prompt, probe.target) for probe in edit.probes] == [
        ("reliability", "What animal is on the sofa?", "fox"),
        ("text_generality", "Which animal can be seen on the sofa?", "fox"),
        ("image_generality", "What animal is on the sofa?", "fox"),
        ("text_locality", "who kept the lighthouse of tol", "Mira Tolen"),
        ("image_locality", "What is the boy holding?", "kite"),
    ]
    paths = [None if probe.image is None else probe.image.path for probe in edit.probes]
    one, other, elsewhere = (records_of(E_VQA)[0][name] for name in ("image", "image_rephrase", "m_loc"))
    assert paths == [one, one, other, None, elsewhere]
    facts = edit.facts
    assert (facts.key, facts.old) == ("COCO_val2014_000000000101/what animal is on the sofa?", "cat")
    assert (facts.entity, facts.task) == ("COCO_val2014_000000000101", "what animal")
    assert facts.provenance == "vqa_eval.json record 0"
    assert {probe.fact for probe in edit.probes[:3]} == {facts.key}
    digest = hashlib.sha256(b"who kept the lighthouse of tol").hexdigest()[:16]
    assert asked(edit, "text_locality").fact == f"text {digest}/answer"
    assert asked(edit, "image_locality").fact == "COCO_val2014_000000000901/what is the boy holding?"
    assert all(probe.seen is None for probe in edit.probes)


def test_the_source_says_what_was_built(clean: Built, paper: Built) -> None:
    for built, texts in ((clean, "clean"), (paper, "paper")):
        source = built.stream.source
        assert (source.dataset, source.split, source.seed, source.texts) == ("e-vqa", "eval", None, texts)
        assert source.normalisation == "casefold"
    assert clean.stream.sha256 != paper.stream.sha256


def test_paper_gives_the_model_what_the_papers_code_gives_it(paper: Built) -> None:
    for edit, record in zip(paper.stream, records_of(E_VQA), strict=True):
        assert edit.prompt == record["src"] + ANSWER
        assert edit.target == record["alt"]
        prompts = {probe.kind: (probe.prompt, probe.target) for probe in edit.probes}
        assert prompts == {
            "reliability": (record["src"] + ANSWER, record["alt"]),
            "text_generality": (record["rephrase"] + ANSWER, record["alt"]),
            "image_generality": (record["src"] + ANSWER, record["alt"]),
            "text_locality": (record["loc"] + "?", record["loc_ans"]),
            "image_locality": (record["m_loc_q"] + ANSWER, record["m_loc_a"]),
        }
    assert not any(note.changes for note in paper.notes)


def test_keys_do_not_depend_on_the_recipe(clean: Built, paper: Built) -> None:
    for one, other in zip(clean.stream, paper.stream, strict=True):
        assert one.facts.key == other.facts.key
        assert [probe.fact for probe in one.probes] == [probe.fact for probe in other.probes]
        assert (one.facts.task, one.facts.entity) == (other.facts.task, other.facts.entity)


def test_every_record_has_a_note_and_every_change_its_raw_text(clean: Built) -> None:
    records = records_of(E_VQA)
    assert [(note.index, note.position, note.reason) for note in clean.notes] == [(n, n, None) for n in range(13)]
    first: dict[tuple[int, str], str] = {}
    for note in clean.notes:
        for change in note.changes:
            first.setdefault((note.index, change.field), change.before)
    assert all(records[index][field] == before for (index, field), before in first.items())
    unchanged = [
        (index, field)
        for index, record in enumerate(records)
        for field, role in (("src", "prompt"), ("rephrase", "text_generality"), ("loc", "text_locality"))
        if (index, field) not in first
        and asked(clean.stream[index], "reliability" if role == "prompt" else role).prompt != record[field]
    ]
    assert unchanged == []
    assert clean.steps == {"newlines": 1, "nfc": 1, "nq-question": 13, "quotes": 3, "strip": 3, "zero-width": 3}


def test_what_cleaning_does_to_the_anomalies(clean: Built) -> None:
    edits = clean.stream
    assert (edits[1].prompt, edits[1].target) == ("What color is the bus?", "green")
    assert asked(edits[1], "text_generality").prompt == "What is the colour of the bus?"
    assert (edits[2].prompt, edits[2].target) == ("How many birds are there?", "3")
    assert asked(edits[2], "text_locality").target == "1803"
    assert asked(edits[2], "text_generality").prompt == "How many birds can you count?"
    assert asked(edits[11], "text_generality").prompt == "Which color does the sofa have?"
    assert edits[12].prompt == "What does the sign of the caf\u00e9 say?"
    assert edits[12].target == '"closed" since noon'  # quotes are taken from rephrases alone


def test_what_an_audit_has_to_find_is_kept(clean: Built) -> None:
    edits = clean.stream
    assert asked(edits[3], "text_generality").prompt.startswith("Sure! Here is another way")
    assert asked(edits[4], "text_generality").prompt.startswith("I'm sorry")
    assert (edits[5].facts.old, edits[5].target) == ("Yellow", "yellow")
    assert edits[6].facts.key == edits[0].facts.key
    assert edits[6].image == edits[0].image
    assert asked(edits[6], "image_generality").image != asked(edits[0], "image_generality").image
    assert edits[7].facts.key == edits[1].facts.key  # although one prompt has more white space
    assert (edits[1].target, edits[7].target) == ("green", "white")
    assert asked(edits[8], "text_generality").prompt == edits[8].prompt
    assert edits[9].target in edits[9].prompt
    assert edits[11].facts.entity == edits[0].facts.entity


def test_the_ledger_knows_what_later_edits_touch(clean: Built) -> None:
    ledger = Ledger(list(clean.stream))
    bus = clean.stream[1].probes[0]
    assert ledger.expected(1, bus, 2) == "green"
    assert ledger.expected(1, bus, 8) == "white"
    # The locality question of record 10 asks what records 0 and 6 change.
    contaminated = asked(clean.stream[10], "image_locality")
    assert contaminated.fact == clean.stream[0].facts.key
    assert ledger.expected(10, contaminated, 11) is None
    assert ledger.expected(0, asked(clean.stream[0], "image_locality"), 13) == "kite"


def test_captions_are_one_attribute_and_questions_of_locality_others(tmp_path: Path) -> None:
    built = e_ic.build(copy_of(E_IC, tmp_path), Choices())
    edits = built.stream
    assert {edit.facts.key.partition("/")[2] for edit in edits} == {"caption"}
    assert {edit.facts.task for edit in edits} == {"caption"}
    assert edits[2].target == "A plate of cheese and three pears."
    assert edits[0].facts.key == edits[5].facts.key
    other = asked(edits[4], "image_locality")
    assert other.fact == "COCO_val2014_000000000101/what animal is on the sofa?"
    assert Ledger(list(edits)).expected(4, other, 6) == "cat"  # a caption is no answer to another question


def test_captions_by_the_paper(tmp_path: Path) -> None:
    edits = e_ic.build(copy_of(E_IC, tmp_path), Choices(texts="paper")).stream
    records = records_of(E_IC)
    assert {edit.prompt for edit in edits} == {"a photo of"}
    assert [edit.target for edit in edits] == [record["alt"] for record in records]
    assert asked(edits[1], "image_locality").prompt == records[1]["m_loc_q"] + ANSWER
    assert asked(edits[1], "text_locality").prompt == records[1]["loc"] + "?"
    assert asked(edits[1], "text_generality").prompt == records[1]["rephrase"]


@pytest.mark.parametrize(
    ("question", "task"),
    [
        ("what color is it?", "what color"),
        ("how many birds are there?", "how many"),
        ("what?", "what"),
        ("is it red?", "is"),
        ("do they sit?", "do"),
        ("the man is where?", "other"),
        ("", "other"),
    ],
)
def test_kinds_of_question(question: str, task: str) -> None:
    assert e_vqa.task_of(question) == task


def test_what_stands_in_the_training_file_is_marked(vqa: Path, clean: Built) -> None:
    built = e_vqa.build(vqa, Choices(train=E_VQA_TRAIN))  # its pictures are not needed
    edits = built.stream
    assert [edit.facts.seen_target for edit in edits][:4] == [False, True, True, False]
    assert [probe.seen for probe in edits[1].probes] == [True, False, True, True, True]
    assert [probe.seen for probe in edits[3].probes] == [False, False, False, False, False]
    assert edits.sha256 != clean.stream.sha256


def test_a_stream_that_was_stored_is_the_one_that_was_built(vqa: Path, clean: Built, tmp_path: Path) -> None:
    clean.save(tmp_path / "stream")
    stored = EditStream.load(tmp_path / "stream")
    assert stored.sha256 == clean.stream.sha256 == e_vqa.build(vqa, Choices()).stream.sha256
    assert [edit.canonical() for edit in stored] == [edit.canonical() for edit in clean.stream]
    summary = json.loads((tmp_path / "stream" / "build.json").read_text())
    assert summary["card"] == "e-vqa"
    assert summary["file"]["sha256"] == hashlib.sha256(vqa.read_bytes()).hexdigest()
    assert (summary["records"], summary["edits"], summary["probes"]) == (13, 13, 65)
    assert summary["stream_sha256"] == stored.sha256
    assert summary["changed_texts"]["nq-question"] == 13
    lines = (tmp_path / "stream" / "records.jsonl").read_text().splitlines()
    assert [json.loads(line)["index"] for line in lines] == list(range(13))
    named = {json.loads(line)["path"] for line in (tmp_path / "stream" / "pictures.jsonl").read_text().splitlines()}
    assert records_of(E_VQA)[6]["image_rephrase"] in named


def test_the_first_records_only(vqa: Path, clean: Built) -> None:
    built = e_vqa.build(vqa, Choices(limit=4))
    assert [edit.id for edit in built.stream] == [edit.id for edit in clean.stream[:4]]
    assert len(built.notes) == 4
    assert built.about["limit"] == 4
    with pytest.raises(BenchError, match="--limit 0"):
        Choices(limit=0)


def test_fields_without_a_place_are_said(tmp_path: Path) -> None:
    built = e_vqa.build(copy_of(E_VQA, tmp_path, note="mine"), Choices())
    assert any("no place for: note (1)" in warning for warning in built.warnings)


def test_the_papers_prompts_are_those_that_its_released_code_made() -> None:
    """`tests/oracle` holds every prompt and target that the released code gave to a model."""
    oracle = Path(__file__).parents[1] / "oracle"
    stream = e_vqa.build(
        oracle / "data" / "vqa" / "vqa_eval.json", Choices(images=oracle / "data" / "images", texts="paper")
    ).stream
    kinds = {
        "rel": "reliability",
        "gen_text_rephrase": "text_generality",
        "gen_image_rephrase": "image_generality",
        "loc_text_loc": "text_locality",
        "loc_image_loc": "image_locality",
    }
    made = json.loads((oracle / "results.json").read_text())["probes"]
    assert len(made) == 5 * len(stream) == 120
    for one in made:
        probe = asked(stream[one["record"]], kinds[one["kind"]])
        path = None if probe.image is None else probe.image.path
        assert (probe.prompt, probe.target, path) == (one["prompt"], one["target"], one["image"])
