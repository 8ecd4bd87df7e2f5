"""What stands in training too, on edits made by hand."""

from dataclasses import replace

import pytest
from made_up_edits import clean, made, material

from liveedit_bench.benchmark.edits import Probe
from liveedit_bench.data_builders.audit import Finding, leakage


def found(edits: list, train: list | None) -> dict[str, Finding]:
    given = material(*edits, train=train)
    return {finding.name: finding for finding in (check(given) for check in leakage.checks_of(edits))}


def test_nothing_is_said_without_training() -> None:
    for finding in found(clean(3), None).values():
        assert (finding.state, finding.unknown, finding.count) == ("unknown", "needs --train", 0)


def test_streams_that_have_nothing_in_common() -> None:
    findings = found(clean(4), clean(9, "train"))
    assert {finding.state for finding in findings.values()} == {"none"}
    assert (findings["train-pictures"].of, findings["train-entity"].of, findings["train-key"].of) == (12, 4, 4)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"image": "eval/thing1.jpg"}, {"train-edited-picture", "train-entity", "train-pictures"}),
        (
            {"image": "eval/thing1.jpg", "prompt": "What colour has eval thing 1?"},
            {"train-edited-picture", "train-entity", "train-pictures", "train-key"},
        ),
        ({"entity": "thing1"}, {"train-entity"}),
        ({"prompt": "WHAT colour has eval thing 1", "target": "Eval1ish"}, {"train-prompt-and-target"}),
        ({"prompt": "What colour has eval thing 1?"}, set()),
        ({"text": "nq question: Who wrote eval book 1?"}, {"train-text-locality"}),
        ({"other": "eval/elsewhere1.jpg"}, {"train-pictures"}),
        (
            {"other": "eval/elsewhere1.jpg", "other_prompt": "How many birds sit in eval tree 1? The answer is:"},
            {"train-image-locality", "train-pictures"},
        ),
        ({"other_prompt": "How many birds sit in eval tree 1?"}, set()),
        ({"second": "eval/elsewhere1.jpg"}, {"train-pictures"}),
    ],
)
def test_one_thing_in_common(texts: dict[str, str], expected: set[str]) -> None:
    findings = found(clean(4), [*clean(2, "train"), made(2, "train", **texts)])
    assert {name for name, finding in findings.items() if finding.count} == expected
    for name in expected:
        [record] = findings[name].records
        assert (findings[name].count, record.position, record.train) == (1, 1, 2)


def test_image_locality_says_how_alike_the_queries_are() -> None:
    leak = {"other": "eval/elsewhere1.jpg", "other_prompt": "How many birds sit in eval tree 1?"}
    edits = [made(0), made(1), made(2, other=leak["other"], other_prompt=leak["other_prompt"])]
    finding = found(edits, [made(0, "train", **leak)])["train-image-locality"]
    assert (finding.count, finding.of) == (2, 3)
    assert finding.numbers == {"distinct queries": 1, "with the same answer": 2, "asked in train as an edit": 0}
    as_edit = made(0, "train", image=leak["other"], prompt=leak["other_prompt"])
    finding = found(edits, [as_edit])["train-image-locality"]
    assert (finding.count, finding.numbers["asked in train as an edit"]) == (0, 2)


def test_entities_are_counted_once() -> None:
    edits = [made(0, entity="a"), made(1, entity="a"), made(2, entity="b"), made(3, entity="")]
    finding = found(edits, [made(0, "train", entity="a"), made(1, "train", entity="")])["train-entity"]
    assert (finding.count, finding.of, finding.numbers) == (1, 2, {"edits of these entities": 2})


def test_harder_kinds_are_looked_at_where_there_are_some() -> None:
    edit = made(0)
    asked = Probe("locality_no_image", None, edit.prompt, "unknown", "nothing/colour")
    hard = replace(edit, probes=(*edit.probes, asked))
    assert "train-locality-no-image" not in found([edit], [edit])
    assert found([hard], [hard])["train-locality-no-image"].count == 1
    assert found([hard], clean(2, "train"))["train-locality-no-image"].count == 0
