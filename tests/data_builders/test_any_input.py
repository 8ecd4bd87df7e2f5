"""Whatever stands in an annotation file: a stream that accounts for every record, or one line that names the place."""

import json
import tempfile
from pathlib import Path
from typing import Any

from annotated import E_VQA, MULTI_HOP, ONE_HOP, records_of
from hypothesis import given, settings
from hypothesis import strategies as st

from liveedit_bench.data_builders import e_vqa, vlkeb
from liveedit_bench.data_builders.choices import Choices
from liveedit_bench.data_builders.notes import Built
from liveedit_bench.errors import BenchError

FIELDS = [*records_of(E_VQA)[0], "port_new", "another"]
TEXTS = st.text() | st.sampled_from(
    ["", ".", "/", "..", "a/../b", "~", "\0", "x" * 5000, "\ud800", '"', "\u200b", "m./"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
NAMES = {E_VQA: e_vqa, ONE_HOP: vlkeb, MULTI_HOP: vlkeb}


def outcome(file: Path, source: Any, **choices: Any) -> Built | str:
    """What was built, or what was said."""
    try:
        return source.build(file, Choices(on_missing_image="report", workers=1, **choices))
    except BenchError as error:
        return str(error)


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(NAMES)),
    st.dictionaries(st.sampled_from(FIELDS), TEXTS | VALUES, max_size=3),
    st.sampled_from(["clean", "paper"]),
)
def test_any_value_of_any_field(file: Path, changes: dict[str, Any], texts: Any) -> None:
    records = records_of(file)[:3]
    with tempfile.TemporaryDirectory() as folder:
        spoilt = Path(folder) / "file.json"
        spoilt.write_text(json.dumps([records[0], {**records[1], **changes}, *records[2:]]))
        built = outcome(spoilt, NAMES[file], texts=texts)
    if isinstance(built, str):
        assert built.startswith(f"{spoilt}: record ")
        assert "\n" not in built
        return
    assert [note.index for note in built.notes] == list(range(len(records)))
    kept = [note for note in built.notes if note.position is not None]
    assert [note.position for note in kept] == list(range(len(built.stream)))
    assert all(note.reason for note in built.notes if note.position is None)
    assert built.stream.sha256
    for edit in built.stream:
        assert edit.target.strip()
        assert edit.facts.entity
        assert all("/" in probe.fact and probe.thing for probe in edit.probes)


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_any_bytes(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "file.json"
        file.write_bytes(content)
        said = outcome(file, e_vqa)
    assert isinstance(said, str)  # there is nothing to build
    assert str(file) in said
    assert "\n" not in said
