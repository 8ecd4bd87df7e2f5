import hashlib
from collections.abc import Sequence
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import given
from PIL import Image

from liveedit_bench.benchmark.edits import (
    KINDS,
    LOCALITY_KINDS,
    Edit,
    EditStream,
    Facts,
    Picture,
    Probe,
    Source,
    missing_picture,
)
from liveedit_bench.data_builders.emblems import build as build_emblems
from liveedit_bench.errors import BenchError

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


@pytest.mark.parametrize(
    ("edits", "seed", "split", "sha256"),
    [
        (50, 0, "validation", "53540ee67a5b9cab4adc052674c2c97326f7d14a203269f4640598a347a5ea74"),
        (20, 3, "train", "8e6a367cb712dde10aa9a415d390146e737c1ce330d51b8ff4e451b23e9072d3"),
    ],
)
def test_emblems_have_the_digest_they_were_published_with(edits: int, seed: int, split: str, sha256: str) -> None:
    assert build_emblems(edits, seed=seed, split=split).sha256 == sha256


def test_texts_and_scenario_are_covered_where_there_are_any() -> None:
    assert "texts" not in SOURCE.canonical()
    assert "scenario" not in SOURCE.canonical()
    assert SOURCE.canonical() == replace(SOURCE, texts=None, scenario=None).canonical()
    sources = [
        SOURCE,
        replace(SOURCE, texts="clean"),
        replace(SOURCE, texts="paper"),
        replace(SOURCE, scenario="spread-twins"),
        replace(SOURCE, scenario="spread-twins", texts="clean"),
    ]
    assert len({EditStream([edit("a")], source).sha256 for source in sources}) == len(sources)
    assert replace(SOURCE, seed=None).canonical()["seed"] is None


def test_a_sum_keeps_texts_that_are_prepared_alike_and_no_scenario() -> None:
    clean, paper = (EditStream([], replace(SOURCE, texts=how, scenario="x")) for how in ("clean", "paper"))
    assert (clean + EditStream([], replace(SOURCE, dataset="more", texts="clean"))).source.texts == "clean"
    assert (clean + paper).source.texts is None
    assert (clean + paper).source.scenario is None
    assert (clean + clean).source.scenario == "x"


def test_a_picture_file_is_its_bytes_and_the_path_changes_nothing() -> None:
    class File:
        def encoded(self) -> bytes:
            return b"jpeg"

        def __call__(self) -> Image.Image:
            raise AssertionError("decoded")

    assert Picture(File()).sha256 == hashlib.sha256(b"jpeg").hexdigest()
    assert Picture(File(), path="a.jpg") == Picture(File(), path="b.jpg")
    assert not Picture(File()).missing
    named = replace(picture(3), path="val2014/x.jpg")
    assert edit("a", image=named).id == edit("a", image=picture(3)).id


def test_a_missing_picture_has_a_digest_and_says_where_it_was_looked_for() -> None:
    missing = missing_picture("val2014/x.jpg", ["coco", "pictures/coco"])
    assert missing.missing
    assert missing.path == "val2014/x.jpg"
    assert missing.sha256 == hashlib.sha256(b"missing:val2014/x.jpg").hexdigest()
    assert missing != missing_picture("val2014/y.jpg", [])
    with pytest.raises(
        BenchError, match=r"no picture val2014/x\.jpg .* \(looked in coco, pictures/coco\); build it again"
    ):
        missing.open()
    stream = EditStream([edit("a", image=picture(1)), edit("b", image=missing), edit("c", image=missing)], SOURCE)
    assert stream.missing_pictures() == [missing]
