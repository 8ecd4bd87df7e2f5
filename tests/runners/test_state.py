import random
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import Buckets, FakeBackbone, Options, make_edit

from liveedit_bench.benchmark.editor import EditRequest
from liveedit_bench.errors import BenchError
from liveedit_bench.runners.folder import RunFolder
from liveedit_bench.runners.randomness import seed_everything, undisturbed
from liveedit_bench.runners.state import load_state, save_state


def drawn() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_editor_and_every_generator_continue_where_they_were(tmp_path: Path):
    folder, editor = RunFolder(tmp_path), Buckets(FakeBackbone(), Options(forget=0.0))
    for position in range(5):
        edit = make_edit(position)
        editor.edit(EditRequest(edit.image, edit.prompt, edit.target))
    seed_everything(3)
    _ = random.gauss(0, 1), np.random.randn(), drawn()  # gaussians leave half a pair behind
    save_state(folder, editor, position=5)
    after = drawn(), random.gauss(0, 1), float(np.random.randn())
    other = Buckets(FakeBackbone())
    seed_everything(99)
    assert load_state(folder, other) == 5
    assert other.kept == editor.kept
    assert (drawn(), random.gauss(0, 1), float(np.random.randn())) == after


def test_asking_does_not_disturb():
    seed_everything(1)
    first = drawn()
    seed_everything(1)
    with undisturbed():
        drawn()
    assert drawn() == first


@pytest.mark.parametrize("damage", [b"", b"rubbish that is no header at all", None])
def test_a_damaged_state_is_told(tmp_path: Path, damage: bytes | None):
    folder, editor = RunFolder(tmp_path), Buckets(FakeBackbone())
    save_state(folder, editor, position=0)
    folder.state.write_bytes(folder.state.read_bytes()[:-5] if damage is None else damage)
    with pytest.raises(BenchError, match="is damaged"):
        load_state(folder, editor)


def test_views_and_shared_tensors_are_saved(tmp_path: Path):
    class Views(Buckets):
        def state_dict(self):
            whole = torch.arange(12.0).reshape(3, 4)
            return {"kept": super().state_dict()["kept"], "t": whole.t(), "row": whole[1], "same": whole}

    save_state(RunFolder(tmp_path), Views(FakeBackbone()), position=0)
