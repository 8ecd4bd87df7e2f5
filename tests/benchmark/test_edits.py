from collections.abc import Sequence
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import given
from PIL import Image

from liveedit_bench.benchmark.edits import KINDS, LOCALITY_KINDS, Edit, EditStream, Facts, Picture, Probe, Source

SOURCE = Source(dataset="toy", split="test", seed=0)
texts = st.text(max_size=8)


def picture(shade: int, *, size: tuple[int, int] = (3, 2)) -> Picture:
    return Picture(lambda: Image.new("RGB", size, (shade, 0, 255 - shade)))


def edit(
    name: str,
    *,
    target: str = "new",
    image: Picture | None = None,
    questions: Sequence[str] = ("again?",),
    seen: bool | None = None,
) -> Edit:
    probes = [Probe("reliability", image, name, target, f"{name}/colour")]
    probes += [Probe("text_locality", None, question, "yes", "place/river", ("a/b", "c/d")) for question in questions]
    facts = Facts(f"{name}/colour", "old", name, "colour", "toy", seen_target=seen)
    return Edit(image, name, target, tuple(probes), facts)


edits = st.builds(
    edit,
    texts,
    target=texts,
    image=st.none() | st.integers(0, 255).map(picture),
    questions=st.lists(texts, max_size=3),
    seen=st.none() | st.booleans(),
)
streams = st.lists(edits, max_size=8).map(lambda some: EditStream(some, SOURCE))


@given(streams, st.slices(8))
def test_a_slice_holds_what_a_slice_of_the_list_holds(stream: EditStream, cut: slice) -> None:
    assert list(stream[cut]) == list(stream)[cut]
    assert len(stream[cut]) == len(list(stream)[cut])
    assert stream[cut].source == stream.source


@given(streams, st.slices(8), st.slices(8))
def test_slices_of_slices(stream: EditStream, first: slice, second: slice) -> None:
    assert list(stream[first][second]) == list(stream)[first][second]


@given(streams, st.integers())
def test_shuffling_permutes_and_depends_on_its_seed_alone(stream: EditStream, seed: int) -> None:
    shuffled = stream.shuffled(seed)
    assert sorted(one.id for one in shuffled) == sorted(one.id for one in stream)
    assert [one.id for one in EditStream(list(stream), SOURCE).shuffled(seed)] == [one.id for one in shuffled]


def test_another_seed_gives_another_order() -> None:
    stream = EditStream([edit(str(number)) for number in range(50)], SOURCE)
    assert len({stream.shuffled(seed).sha256 for seed in range(20)} | {stream.sha256}) == 21


@given(streams, streams)
def test_a_sum_is_one_after_the_other(one: EditStream, other: EditStream) -> None:
    assert list(one + other) == [*one, *other]
    assert (one + other).sha256 == EditStream([*one, *other], SOURCE).sha256


def test_a_sum_of_sources_names_both_and_takes_the_stricter_comparison() -> None:
    other = EditStream([], Source(dataset="more", split="test", seed=1, version="2", normalisation="casefold"))
    assert (EditStream([], SOURCE) + other).source == Source("toy+more", "test", None, "1+2", "exact")
    assert (EditStream([], SOURCE) + EditStream([], replace(SOURCE, split="train"))).source.split == "test+train"


@given(edits, st.data())
def test_the_id_changes_with_every_text_picture_and_flag(one: Edit, data: st.DataObject) -> None:
    other_text = texts.filter(lambda text: text not in {one.prompt, one.target, "old", "colour", "toy"})
    new = data.draw(other_text)
    shade = 7 if one.image is None else int(one.image.open().tobytes()[0]) ^ 1
    first = one.probes[0]
    changed = [
        replace(one, prompt=new),
        replace(one, target=new),
        replace(one, image=picture(shade)),
        replace(one, probes=one.probes + one.probes[:1]),
        replace(one, probes=(replace(first, prompt=new + "?" + first.prompt), *one.probes[1:])),
        replace(one, probes=(replace(first, target=new + "!" + first.target), *one.probes[1:])),
        replace(one, probes=(replace(first, fact=first.fact + "x"), *one.probes[1:])),
        replace(one, probes=(replace(first, facts_used=("x/y",)), *one.probes[1:])),
        replace(one, probes=(replace(first, seen=True), *one.probes[1:])),
        replace(one, probes=(replace(first, kind="portability"), *one.probes[1:])),
        replace(one, facts=replace(one.facts, seen_target=not one.facts.seen_target)),
        *(replace(one, facts=replace(one.facts, **{field: new + "#"})) for field in ("key", "old", "task", "entity")),
    ]
    assert len({one.id, *(other.id for other in changed)}) == len(changed) + 1


@given(streams.filter(lambda stream: len({one.id for one in stream}) > 1))
def test_the_stream_digest_covers_order_length_and_source(stream: EditStream) -> None:
    reordered = EditStream(sorted(stream, key=lambda one: one.id), SOURCE)
    backwards = EditStream(sorted(stream, key=lambda one: one.id, reverse=True), SOURCE)
    assert reordered.sha256 != backwards.sha256
    assert stream.sha256 not in (stream[1:].sha256, (stream + stream[:1]).sha256)
    changes = ({"dataset": "x"}, {"split": "x"}, {"seed": 9}, {"version": "9"}, {"normalisation": "casefold"})
    assert stream.sha256 not in {EditStream(stream, replace(SOURCE, **change)).sha256 for change in changes}


def test_the_digest_is_what_it_was_when_results_were_published() -> None:
    # Both worked out by hand from the canonical JSON, not copied from the code's answer.
    stream = EditStream([edit("ünï\n", image=picture(3)), edit("b", seen=True)], SOURCE)
    assert stream[0].id == "ef6ae222cbc26c95"
    assert stream.sha256 == "280a5649a9ed6d9fc9a9a0add7732d1029d235d980450301b848b6a60384901e"


def test_a_picture_is_its_mode_size_and_pixels() -> None:
    assert picture(1) == picture(1)
    assert hash(picture(1)) == hash(picture(1))
    assert picture(1) != picture(2)
    assert picture(1, size=(2, 3)) != picture(1, size=(3, 2))
    assert picture(1) != "no picture"
    assert Picture(lambda: Image.new("RGBA", (3, 2), (1, 0, 254, 255))) == picture(1)


def test_a_picture_of_a_known_file_is_not_opened_to_be_named() -> None:
    def refuse() -> Image.Image:
        raise AssertionError("opened")

    assert Picture(refuse, "ab" * 32).sha256 == "ab" * 32


@pytest.mark.parametrize(("fact", "thing"), [("emblem-7/region", "emblem-7"), ("place", "place"), ("a/b/c", "a")])
def test_the_thing_stands_before_the_slash(fact: str, thing: str) -> None:
    assert Probe("portability", None, "?", "yes", fact).thing == thing


def test_kinds() -> None:
    assert len(KINDS) == len(set(KINDS)) == 10
    assert set(LOCALITY_KINDS) == set(KINDS) - {"reliability", "text_generality", "image_generality", "portability"}
