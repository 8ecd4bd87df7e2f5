from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from fakes import Nothing

from liveedit_bench.benchmark.options import LATER, parse_options, plain, split_pairs
from liveedit_bench.errors import BenchError


@dataclass(frozen=True)
class Options:
    steps: int = 3
    rate: float = 0.1
    filtered: bool = True
    name: str = "x"
    mode: Literal["hard", "soft"] = "hard"
    layer: int | None = None
    weights: Path | None = None
    layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.steps > 100:
            raise ValueError("steps must be at most 100")


class WithOptions(Nothing):
    name = "with-options"
    Options = Options


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("steps=20", 20),
        ("rate=1e-3", 1e-3),
        ("rate=2", 2.0),
        ("filtered=false", False),
        ("filtered=Yes", True),
        ("name=a=b", "a=b"),
        ("mode=soft", "soft"),
        ("layer=2", 2),
        ("layer=none", None),
        ("weights=a/b.safetensors", Path("a/b.safetensors")),
        ("layers=1,2", (1, 2)),
    ],
)
def test_texts_become_values_of_the_declared_type(pair: str, value: Any):
    found = getattr(parse_options(WithOptions, split_pairs([pair])), pair.partition("=")[0])
    assert found == value
    assert type(found) is type(value) or isinstance(found, Path)


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (["step=3"], r"no option 'step' \(did you mean 'steps'\?\); its options: steps, rate"),
        (["steps=many"], "--option steps=many of editor 'with-options': 'many' is no whole number"),
        (["steps=1.5"], "is no whole number"),
        (["rate=x"], "is no number"),
        (["filtered=maybe"], "write true or false"),
        (["mode=medium"], "choose from hard, soft"),
        (["layer=x"], "is no whole number"),
        (["steps=101"], "steps must be at most 100"),
        (["steps"], "is no name=value"),
        (["steps=1", "steps=2"], "given twice"),
    ],
)
def test_what_does_not_fit_is_told(pairs: list[str], words: str):
    with pytest.raises(BenchError, match=words):
        parse_options(WithOptions, split_pairs(pairs))


def test_an_editor_without_options_says_so():
    with pytest.raises(BenchError, match="it has none"):
        parse_options(Nothing, {"a": "1"})
    assert parse_options(Nothing, {}) is not None


def test_an_option_added_later_is_told_of_only_where_it_is_used():
    @dataclass(frozen=True)
    class Grown:
        steps: int = 3
        learn_end: bool = field(default=True, metadata=LATER)

    assert plain(Grown()) == {"steps": 3}
    assert plain(Grown(steps=4, learn_end=False)) == {"steps": 4, "learn_end": False}
