"""Where a run goes when nobody says."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from small_streams import small_edit, small_stream

from liveedit_bench.runners.opening import DEFAULT_BACKBONE, System


def test_names_of_a_stream_lead_nowhere_else():
    stream = small_stream([small_edit(0)], "../../mine", split="../y", scenario="a+b")
    editor, backbone = SimpleNamespace(name="none"), SimpleNamespace(name=DEFAULT_BACKBONE)
    system = System(cast(Any, editor), cast(Any, backbone), stream, seed=3, dtype="float32", batch_size=1)
    assert system.folder(None) == Path("runs") / "none-.._.._mine-.._y-a+b-s3-n1"
    assert system.folder("there") == Path("there")
