"""Columns and roles: what is given, what is found by its name, and what is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liveedit_bench.data_builders.table.roles import ALIASES, REQUIRED, ROLES, Mapped, map_columns, parse_columns
from liveedit_bench.errors import BenchError


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    mapping = tmp_path / "table.toml"
    mapping.write_text('[columns]\nprompt = "question"\ntarget = "answer"\n', encoding="utf-8")
    assert parse_columns(["target=new answer", "loc=other"], mapping) == {
        "prompt": "question",
        "target": "new answer",
        "text_locality_prompt": "other",
    }


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        (["prompt"], "no '='"),
        (["promt=a"], "did you mean 'prompt'"),
        (["prompt=a", "src=b"], "gives prompt twice"),
    ],
)
def test_a_bad_pair_is_refused(pairs: list[str], says: str) -> None:
    with pytest.raises(BenchError, match=says):
        parse_columns(pairs, None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prompt = 'a'", r"one table, \[columns\]"),
        ("[columns]\nprompt = 3", "name of a column in quotes"),
        ("[columns]\nsrc = 'a'\nprompt = 'b'", "twice"),
        ("[columns", "no TOML file"),
        ("[columns]\nimages = 'a'", "did you mean 'image'"),
    ],
)
def test_a_bad_file_is_refused(text: str, says: str, tmp_path: Path) -> None:
    mapping = tmp_path / "table.toml"
    mapping.write_text(text, encoding="utf-8")
    with pytest.raises(BenchError, match=says):
        parse_columns([], mapping)
    with pytest.raises(BenchError, match="cannot read"):
        parse_columns([], tmp_path / "none.toml")


def test_columns_called_like_a_role_or_a_field_are_found() -> None:
    found = map_columns(["Image", "src", "alt", "old", "colour", "loc", "loc_ans"], {"old": ""}, "t.csv")
    assert found.columns == {
        "image": "Image",
        "prompt": "src",
        "target": "alt",
        "text_locality_prompt": "loc",
        "text_locality_target": "loc_ans",
    }
    assert found.unused == ("old", "colour")
    assert map_columns(["image", "q", "target"], {"src": "q"}, "t.csv").columns["prompt"] == "q"
    assert found.found() == (
        "columns found by their names: image=Image, prompt=src, target=alt, text_locality_prompt=loc, "
        "text_locality_target=loc_ans"
    )


@pytest.mark.parametrize(
    ("columns", "given", "says"),
    [
        (["image", "promt", "target"], {}, r"no column for the prompt of an edit \(did you mean 'promt'\?\).*'target'"),
        (["image", "prompt", "answer"], {}, r"no column for the target.*--column target=COLUMN.*'answer'"),
        (["image", "question", "target"], {"prompt": "qestion"}, r"no column 'qestion' for prompt \(did you mean 'qu"),
        (["image", "prompt", "target", "loc"], {}, "asks nothing without text_locality_target"),
        (["image", "prompt", "target", "twin_same_image"], {}, "no column has the role old"),
    ],
)
def test_what_is_lacking_is_named_with_what_is_there(columns: list[str], given: dict[str, str], says: str) -> None:
    with pytest.raises(BenchError, match=says) as refused:
        map_columns(columns, given, "t.csv")
    assert "\n" not in str(refused.value)


def attempt(columns: list[str], given: dict[str, str]) -> Mapped | str:
    try:
        return map_columns(columns, given, "t.csv")
    except BenchError as refused:
        return str(refused)


_NAMES = (
    st.text(st.characters(codec="utf-8", exclude_characters="="), min_size=1, max_size=8).map(str.strip).filter(bool)
)


@given(st.dictionaries(st.sampled_from(ROLES), _NAMES), st.lists(_NAMES, unique=True), st.data())
def test_every_column_has_a_role_or_is_unused(given: dict[str, str], extra: list[str], data: st.DataObject) -> None:
    given = given | {role: given.get(role) or role for role in REQUIRED}
    assert parse_columns([f"{role}={column}" for role, column in given.items()], None) == given
    columns = data.draw(st.permutations(sorted({*given.values(), *extra})))
    mapped = attempt(columns, given)
    if isinstance(mapped, str):  # half a group is refused, and nothing else
        assert "without" in mapped or "role old" in mapped
        return
    assert given.items() <= mapped.columns.items()
    assert {*mapped.columns.values(), *mapped.unused} == set(columns)
    assert not set(mapped.columns.values()) & set(mapped.unused)
    for role in mapped.by_name:
        name = mapped.columns[role].strip().casefold()
        assert ALIASES.get(name, name) == role
