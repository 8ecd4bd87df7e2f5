from pathlib import Path
from typing import Any

import pytest
from fakes import Nothing

from liveedit_bench.benchmark.edits import EditStream
from liveedit_bench.errors import BenchError
from liveedit_bench.runners.training import train


class Learner(Nothing):
    name = "learner"
    trainable = True

    def fit(self, stream: EditStream, *, validation: EditStream | None = None, out: Path | None = None) -> None:
        assert out is not None
        self.seen = (len(stream), stream.source.split, validation and (len(validation), validation.source.split))
        (out / "seen.txt").write_text(str(self.seen))

    @property
    def weights_sha256(self) -> str | None:
        return "a" * 64


@pytest.mark.parametrize(("validation", "seen"), [(3, "(9, 'train', (3, 'validation'))"), (0, "(9, 'train', None)")])
def test_an_editor_is_trained_on_the_training_split(validation: int, seen: str, tmp_path: Path):
    given: dict[str, Any] = {"backbone": "fakes:load", "stream": "fakes:build", "out": tmp_path}
    trained = train(editor=Learner, edits=9, validation_edits=validation, **given)
    assert (tmp_path / "seen.txt").read_text() == seen
    assert (trained.out, trained.weights_sha256) == (tmp_path, "a" * 64)


def test_an_editor_without_training_says_so():
    with pytest.raises(BenchError, match="editor 'nothing' has nothing to train"):
        train(editor="fakes:Nothing")
