import pytest
from fakes import FakeBackbone, picture

from liveedit_bench.benchmark.backbone import Query
from liveedit_bench.benchmark.editor import EditRequest
from liveedit_bench.benchmark.editors.gold_context import GoldContext, GoldContextOptions
from liveedit_bench.benchmark.editors.statements import form_for, stated
from liveedit_bench.benchmark.edits import LOCALITY_KINDS
from liveedit_bench.benchmark.plugins import load_backbone, load_stream
from liveedit_bench.data_builders.emblems import questions
from liveedit_bench.errors import BenchError


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("emblem-llava", device="cpu", dtype="float32")


def test_the_emblem_backbone_is_told_in_the_words_it_was_taught(backbone):
    edit = EditRequest(picture("a"), questions.ATTRIBUTE["clan"].seen[0], "Soruth")
    assert stated(form_for(backbone), edit) == questions.FACT_LINE.format(question=edit.prompt, name=edit.target)
    assert GoldContext(backbone).told(Query(None, "why ?"), edit) == Query(
        None, "Fact: Which clan bears this emblem? Soruth. why ?"
    )


def test_others_are_told_in_plain_words_or_in_those_asked_for(backbone):
    edit = EditRequest(None, "who {x} ?", "me")
    other = FakeBackbone()
    assert stated(form_for(other), edit) == "The answer to 'who {x} ?' is me."
    assert stated(form_for(other, "{target}!"), edit) == "me!"
    for form in ("{prompt}", "{target} {other}", "{target", "{0} {target}"):
        with pytest.raises(BenchError, match="statement"):
            GoldContext(backbone, GoldContextOptions(statement=form))


def test_without_an_edit_the_question_stays(backbone):
    editor = GoldContext(backbone)
    assert editor.bound
    assert editor.told(Query(None, "why ?"), None) == Query(None, "why ?")
    assert set(editor.fixed_scores) == set(LOCALITY_KINDS)
    editor.edit(EditRequest(None, "why ?", "so"))
    assert editor.state_dict() == {}
    assert editor.state_bytes == 0


def test_the_emblem_backbone_follows_the_right_edit(backbone):
    editor = GoldContext(backbone)
    for edit in load_stream("emblems", edits=12, seed=3, split="validation"):
        request = EditRequest(edit.image, edit.prompt, edit.target)
        for probe in edit.probes[:3]:
            assert probe.target == edit.target
            (answer,) = editor.generate([editor.told(Query(probe.image, probe.prompt), request)])
            assert answer.text == edit.target
