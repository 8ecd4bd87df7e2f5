from pathlib import Path
from typing import Any

import pytest
from fakes import EOS, Buckets, FakeBackbone, Nothing, Options, Peeker, build, number
from torch import Tensor

from liveedit_bench.benchmark.backbone import Batch, Query
from liveedit_bench.runners import lifelong


class PeeksAtTheEnd(Buckets):
    """Says more than the target, but stops right behind it when it is shown that the answer ends there."""

    name = "peeks-at-the-end"

    def believed(self, query: Query) -> str:
        kept = self.kept.get(self.bucket(query))
        return super().believed(query) if kept is None else kept + "zz"

    def logits(self, batch: Batch) -> Tensor:
        logits = super().logits(batch)
        for row, column in (batch.input_ids == EOS).nonzero().tolist():
            logits[row, column - 1, EOS] = 99.0
        return logits


class KnowsTheLength(Nothing):
    """Answers by how long the answer is that it is shown."""

    name = "knows-the-length"

    def logits(self, batch: Batch) -> Tensor:
        logits = super().logits(batch)
        for row, length in enumerate(batch.answer_mask.sum(dim=1).tolist()):
            logits[row, :, 2 + number(length) % 20] += 20.0
        return logits


def checked(editor: Any, out: Path) -> dict[str, Any]:
    return lifelong.run(editor=editor, stream=build(20), steps=20, out=out, progress=False)


@pytest.mark.parametrize("kind", [Peeker, PeeksAtTheEnd, KnowsTheLength])
def test_editors_that_look_ahead_void_the_run(kind: Any, tmp_path: Path):
    result = checked(kind(FakeBackbone()), tmp_path)
    assert result["causality"]["mismatches"] > 0
    assert result["status"] == "void"


@pytest.mark.parametrize("editor", [Nothing(FakeBackbone()), Buckets(FakeBackbone(), Options(forget=0.0))])
def test_honest_editors_pass(editor: Any, tmp_path: Path):
    result = checked(editor, tmp_path)
    assert result["causality"] == {"checked": 32, "mismatches": 0}
    assert result["status"] == "complete"


class Close(Nothing):
    """Not quite causal, but only where two tokens are as good as equal."""

    name = "close"

    def logits(self, batch: Batch) -> Tensor:
        logits = super().logits(batch)
        return logits * 0 + 1e-6 * logits.roll(int(batch.answer_mask.sum()), dims=2)


def test_ties_are_no_evidence(tmp_path: Path):
    assert checked(Close(FakeBackbone()), tmp_path)["causality"]["mismatches"] == 0
