from dataclasses import replace

import pytest
from small_streams import local, plain, small_edit, small_stream

from liveedit_bench.benchmark.edits import LOCALITY_KINDS, Edit, EditStream, Probe
from liveedit_bench.data_builders.scenarios import arrange, arranged
from liveedit_bench.errors import BenchError

FINE = local("text_locality", "where is rome", fact="rome/in")
FAULTY = {
    "stands in train": local("text_locality", "Where  is PARIS", fact="paris/in"),
    "rests on an edited fact": local("text_locality", "who rules", fact="free/y", facts_used=("thing1/fact1",)),
    "shows an edited picture": local("image_locality", "which colour", image="picture1"),
    "asks about an edited entity": local("image_locality", "which size", image="new", fact="thing1/size"),
}
TRAIN = small_stream([small_edit(50, locality=[local("text_locality", "where is paris")])], split="train")


def edited(*probes: Probe) -> EditStream:
    return small_stream([small_edit(0, locality=probes), small_edit(1)])


def pool(*probes: Probe) -> EditStream:
    return small_stream([small_edit(70 + at, locality=[probe]) for at, probe in enumerate(probes)], "pool")


def kept(stream: EditStream) -> list[str]:
    return [probe.prompt for probe in stream[0].probes if probe.kind in LOCALITY_KINDS]


SPARE = pool(
    local("text_locality", "spare text", fact="spare/in"),
    local("image_locality", "spare picture", image="spare", fact="spare/of"),
)


def test_what_is_fine_stays_as_it_is():
    stream = edited(FINE)
    found = arranged(stream, ["clean"], train=TRAIN, pool=SPARE)
    assert [edit.id for edit in found.stream] == [edit.id for edit in stream]
    assert found.card["done"] == [{"scenario": "clean", "text_locality": {"asked": 1}}]


@pytest.mark.parametrize("fault", FAULTY)
def test_a_faulty_probe_is_replaced_by_one_of_its_kind(fault: str):
    probe = FAULTY[fault]
    found = arranged(edited(FINE, probe), ["clean"], train=TRAIN, pool=SPARE)
    (told,) = found.card["done"]
    assert told[probe.kind][f"replaced: {fault}"] == 1
    spare = SPARE[0] if probe.kind == "text_locality" else SPARE[1]
    assert found.stream[0].probes[-1] == spare.probes[-1]
    assert found.stream[0].probes[:-1] == edited(FINE, probe)[0].probes[:-1]


@pytest.mark.parametrize("fault", FAULTY)
def test_without_a_pool_it_is_removed_and_counted(fault: str):
    probe = FAULTY[fault]
    found = arranged(edited(FINE, probe), ["clean"], train=TRAIN)
    assert kept(found.stream) == ["where is rome"]
    assert found.card["done"][0][probe.kind][f"removed: {fault}, no pool was given"] == 1


@pytest.mark.parametrize("fault", FAULTY)
def test_a_faulty_probe_of_the_pool_is_of_no_use(fault: str):
    other = {"text_locality": "shows an edited picture", "image_locality": "asks about an edited entity"}
    probe = FAULTY[fault]
    faulty = FAULTY[other[probe.kind]] if other[probe.kind] != fault else FAULTY["shows an edited picture"]
    of_one_kind = replace(faulty, kind=probe.kind)
    found = arranged(edited(FINE, of_one_kind), ["clean"], train=TRAIN, pool=pool(probe, FINE))
    assert kept(found.stream) == ["where is rome"]
    assert any("the pool is used up" in name for name in found.card["done"][0][probe.kind])


def test_each_probe_of_the_pool_is_used_once():
    faulty = [local("text_locality", f"who rules {at}", fact="thing1/fact1") for at in range(3)]
    spare = [local("text_locality", f"spare {at % 2}", fact="spare/in") for at in range(4)]
    found = arranged(edited(*faulty), ["clean"], pool=pool(*spare))
    assert sorted(kept(found.stream)) == ["spare 0", "spare 1"]
    assert found.card["done"][0]["text_locality"] == {
        "asked": 3,
        "replaced: rests on an edited fact": 2,
        "removed: rests on an edited fact, the pool is used up": 1,
    }
    assert "not looked for" in found.card["done"][0]["train"]


def test_kinds_that_are_about_their_edit_are_removed_and_never_exchanged():
    twin = local("locality_twin_same", "what is 0", image="twin", fact="thing1/size")
    spare = pool(local("locality_twin_same", "what is 9", image="other", fact="free/size"))
    found = arranged(edited(twin), ["clean"], pool=spare)
    assert kept(found.stream) == []
    assert found.card["done"][0]["locality_twin_same"] == {
        "asked": 1,
        "removed: asks about an edited entity, belongs to its own edit": 1,
    }


def test_another_question_about_the_edited_picture_may_stay():
    other = local("locality_other_question", "which size", image="picture0", fact="thing0/size")
    assert kept(arrange(edited(other), ["clean"])) == ["which size"]
    asks_edited = replace(other, fact="thing0/fact0")
    assert kept(arrange(edited(asks_edited), ["clean"])) == []


def test_what_is_not_locality_is_never_touched():
    train = small_stream([small_edit(0)], split="train")
    assert arrange(edited(), ["clean"], train=train)[0].probes == edited()[0].probes


def test_the_seed_draws_from_the_pool():
    faulty = [FAULTY["rests on an edited fact"]]
    spare = pool(*[local("text_locality", f"spare {at}", fact="spare/in") for at in range(20)])
    drawn = {tuple(kept(arrange(edited(*faulty), ["clean"], pool=spare, seed=seed))) for seed in range(8)}
    assert len(drawn) > 3


def test_clean_before_and_after_superseding():
    edits: list[Edit] = [
        small_edit(at, locality=[FINE, local("text_locality", f"who rules {at}", fact="thing1/fact1")])
        for at in range(8)
    ]
    stream = small_stream(edits)
    spare = pool(*[local("text_locality", f"spare {at}", fact="spare/in") for at in range(30)])
    for names in (["clean", "superseding"], ["superseding", "clean"], ["superseding", "clean", "shuffled", "clean"]):
        found = arrange(stream, names, pool=spare, share=0.5, seed=1)
        assert len(found) == 12
        for edit in found:
            prompts = [probe.prompt for probe in edit.probes if probe.kind in LOCALITY_KINDS]
            assert prompts[0] == "where is rome"
            assert prompts[1].startswith("spare")
            assert len(prompts) == 2


def test_train_and_pool_belong_to_clean():
    with pytest.raises(BenchError, match="for the scenario clean"):
        arrange(plain(3), ["shuffled"], pool=plain(3))
