from collections.abc import Sequence

import pytest
import torch
from fakes import EOS, Buckets, Crasher, FakeBackbone, Hungry, NotANumber, Options, WrongShape, make_edit, spell, word

from liveedit_bench.benchmark.backbone import Answer, Backbone, Batch, Query
from liveedit_bench.benchmark.editor import Editor, EditRequest
from liveedit_bench.errors import BenchError
from liveedit_bench.runners.probing import Ask, Prober


def asks(count: int = 30) -> list[Ask]:
    """Right answers, wrong ones, and f_0's own, over questions with and without a picture."""
    backbone, found = FakeBackbone(), list[Ask]()
    for position in range(count):
        for index, probe in enumerate(make_edit(position, facts=10).probes):
            query = Query(probe.image, probe.prompt)
            if "locality" in probe.kind:
                path = backbone.generate([query])[0].ids
                found.append(Ask(query, path, len(path), f"{position}/{index}"))
            else:
                ids = spell(probe.target)
                found.append(Ask(query, (*ids, EOS), len(ids), f"{position}/{index}"))
    return found


def edited(kind: type[Editor] = Buckets, *, edits: int = 20) -> Editor:
    editor = kind(FakeBackbone())
    if kind is Buckets:
        editor = Buckets(FakeBackbone(), Options(buckets=300, forget=0.0))
    for position in range(edits):
        edit = make_edit(position, facts=10)
        editor.edit(EditRequest(edit.image, edit.prompt, edit.target))
    return editor


def prober(editor: Editor, batch_size: int = 16) -> Prober:
    return Prober(editor, editor.backbone, name=f"editor {editor.name!r}", batch_size=batch_size, max_new_tokens=8)


def test_answers_are_those_of_always_generating():
    editor, questions = edited(), asks()
    replies = prober(editor).ask(questions)
    generated = [editor.generate([ask.query])[0] for ask in questions]
    assert [(reply.ids, reply.answer, reply.margin) for reply in replies] == [
        (answer.ids, answer.text, pytest.approx(answer.margin)) for answer in generated
    ]
    shares = [reply.ids == ask.path for reply, ask in zip(replies, questions, strict=True)]
    assert any(shares)
    assert not all(shares)  # both ways were taken


def test_teacher_forced_ids_are_the_argmax_before_each_token_of_the_path():
    editor, questions = edited(), asks(8)
    for ask, reply in zip(questions, prober(editor).ask(questions), strict=True):
        assert len(reply.teacher_ids) == ask.scored
        for length, token in enumerate(reply.teacher_ids):
            batch = editor.backbone.encode_ids([ask.query], [ask.path[:length]])
            assert int(editor.logits(batch)[0, int(batch.attention_mask.sum()) - 1].argmax()) == token


@pytest.mark.parametrize("batch_size", [1, 3, 1000])
def test_batches_change_nothing(batch_size: int):
    questions = asks(10)
    assert prober(edited(), batch_size).ask(questions) == prober(edited()).ask(questions)


def test_equal_questions_are_asked_once():
    class Counting(Buckets):
        asked = 0

        def logits(self, batch):
            Counting.asked += len(batch)
            return super().logits(batch)

    editor = Counting(FakeBackbone())
    one, other = asks(1)[:2]
    heard: list[int] = []
    replies = prober(editor).ask([one, other, one, one], done=heard.append)
    assert Counting.asked == 2
    assert replies[0] == replies[2] == replies[3]
    assert sum(heard) == 4


def test_generation_is_asked_only_where_the_forced_pass_cannot_tell():
    class Watched(FakeBackbone):
        generated = 0

        def generate(self, queries: Sequence[Query], *, max_new_tokens: int | None = None) -> list[Answer]:
            Watched.generated += len(queries)
            return super().generate(queries, max_new_tokens=max_new_tokens)

    backbone = Watched()
    query = Query(None, "which clan is this")
    path = FakeBackbone().generate([query])[0].ids
    same, other = Ask(query, path, len(path), "same"), Ask(query, (*spell(word("x")), EOS), 2, "other")
    plain = Prober(backbone, backbone, name="f_0", batch_size=8, max_new_tokens=8)
    assert plain.ask([same])[0].ids == path
    assert Watched.generated == 0
    assert plain.ask([other])[0].ids == path
    assert Watched.generated == 1


def test_the_end_of_the_answer_decides_too():
    """An answer that begins with the target and goes on is not the target."""
    backbone = FakeBackbone()
    query = Query(None, "where")
    belief = backbone.belief(query)
    ask = Ask(query, (*spell(belief[:-1]), EOS), len(belief) - 1, "shorter")
    reply = Prober(backbone, backbone, name="f_0", batch_size=8, max_new_tokens=8).ask([ask])[0]
    assert reply.teacher_ids == ask.path[:-1]
    assert reply.answer == belief


def test_memory_running_out_halves_the_batch():
    editor = Hungry(FakeBackbone())
    asking = prober(editor, batch_size=64)
    assert asking.ask(asks(5)) == prober(edited(WrongShape.__bases__[0], edits=0)).ask(asks(5))
    assert asking.batch_size <= 3


def test_memory_running_out_on_one_question_is_told():
    class Starving(Hungry):
        def logits(self, batch):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    with pytest.raises(BenchError, match="single question"):
        prober(Starving(FakeBackbone())).ask(asks(1))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (WrongShape, r"editor 'wrong-shape' gave logits of shape .* at step 7 \(0/"),
        (NotANumber, r"editor 'not-a-number' gave logits that are NaN or infinite at step 7 \(0/"),
        (Crasher, r"editor 'crasher' failed to answer at step 7 \(0/.*KeyError"),
    ],
)
def test_a_broken_editor_is_named_with_step_and_probe(kind: type[Editor], words: str):
    asking = prober(kind(FakeBackbone()))
    asking.step = 7
    with pytest.raises(BenchError, match=words):
        asking.ask(asks(1))


def test_too_few_answers_are_told():
    class Mute(Buckets):
        def generate(self, queries: Sequence[Query], *, max_new_tokens: int | None = None) -> list[Answer]:
            return []

    with pytest.raises(BenchError, match="gave 0 answers to"):
        prober(Mute(FakeBackbone())).ask(asks(1))


def test_the_fake_is_a_backbone_and_asking_builds_no_graph():
    assert isinstance(FakeBackbone(), Backbone)

    class Graph(Buckets):
        def logits(self, batch):
            assert not torch.is_grad_enabled()
            return super().logits(batch)

    prober(Graph(FakeBackbone())).ask(asks(1))


def test_a_target_is_forced_like_its_tokens_and_can_be_shown_in_part():
    editor, questions = edited(), [ask for ask in asks(8) if EOS in ask.path[-1:] and ask.scored == len(ask.path) - 1]
    texts = [
        Ask(ask.query, (), 0, ask.label, target=editor.backbone.decode(ask.path[: ask.scored])) for ask in questions
    ]
    tokens, forced = prober(editor, 5).forced(questions), prober(editor, 5).forced(texts)
    for ask, by_tokens, by_text in zip(questions, tokens, forced, strict=True):
        assert by_text.path == ask.path[: ask.scored] == by_tokens.path[: ask.scored]
        assert by_text.ids == by_tokens.ids[: ask.scored]
    prefixes = [ask.before(2) for ask in texts]
    shown = prober(editor, 5).next_tokens(prefixes)
    paths = prober(editor, 5).next_tokens([ask.before(2) for ask in questions])
    assert [each.ids for each in shown] == [each.ids for each in paths]


class Counts(Buckets):
    """Remembers how long the answers were that it was shown."""

    def logits(self, batch: Batch) -> torch.Tensor:
        self.shown = (batch.answer_mask.sum(dim=1).tolist(), batch.attention_mask.sum(dim=1).tolist(), batch.targets)
        return super().logits(batch)


def test_what_is_not_shown_is_not_there():
    editor = Counts(FakeBackbone())
    edit = make_edit(0)
    ask = Ask(Query(edit.image, edit.prompt), (), 0, "label", target="abcd")
    prober(editor).next_tokens([ask.before(3), ask.before(0)])
    answers, lengths, targets = editor.shown
    assert sorted(answers) == [0, 3]
    assert max(lengths) - min(lengths) == 3
    assert targets is None
