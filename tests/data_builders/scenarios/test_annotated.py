"""Streams from annotation files, arranged: pictures, keys and entities of the field instead of made-up ones."""

import json
from itertools import groupby, pairwise
from pathlib import Path

import annotated
import pytest

from liveedit_bench import cli
from liveedit_bench.benchmark.edits import LOCALITY_KINDS, EditStream
from liveedit_bench.data_builders import e_ic, e_vqa, vlkeb
from liveedit_bench.data_builders.choices import Choices
from liveedit_bench.data_builders.scenarios import arrange, arranged
from liveedit_bench.runners.ledger import Ledger


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> dict[str, EditStream]:
    folder = tmp_path_factory.mktemp("annotated")
    files = {"e-vqa": annotated.E_VQA, "train": annotated.E_VQA_TRAIN, "e-ic": annotated.E_IC, "vlkeb": annotated.VLKEB}
    builders = {"e-vqa": e_vqa, "train": e_vqa, "e-ic": e_ic, "vlkeb": vlkeb}
    found: dict[str, EditStream] = {}
    for name, file in files.items():
        # Some fixtures hold what cannot be read on purpose: those records are skipped, and counted elsewhere.
        copy = annotated.copy_of(file, folder / name)
        choices = Choices(images=folder / name, on_missing_image="skip-edit")
        found[name] = builders[name].build(copy, choices).stream
    return found


@pytest.mark.parametrize("name", ["e-vqa", "e-ic", "vlkeb"])
def test_entities_stand_together_and_apart(streams: dict[str, EditStream], name: str):
    stream = streams[name]
    entities = [edit.facts.entity for edit in arrange(stream, ["by-entity"], seed=1)]
    sizes = [len([one for one in entities if one == entity]) for entity in dict.fromkeys(entities)]
    assert len(list(groupby(entities))) == len(sizes)
    assert max(sizes) > 1 or name == "e-ic"
    apart = [edit.facts.entity for edit in arrange(stream, ["spread-twins"], seed=1)]
    largest = max(sizes)
    if largest > 1:
        least = (len(apart) - sizes.count(largest)) // (largest - 1)
        places = {entity: [at for at, one in enumerate(apart) if one == entity] for entity in apart}
        assert min(two - one for at in places.values() for one, two in pairwise(at)) >= least


def test_a_stream_of_the_field_keeps_its_words_about_itself(streams: dict[str, EditStream]):
    found = arrange(streams["e-vqa"], ["superseding"], seed=1, share=0.5).source
    given = streams["e-vqa"].source
    assert (found.dataset, found.texts, found.normalisation) == (given.dataset, "clean", "casefold")
    both = arrange([streams["e-vqa"], streams["e-ic"]], ["interleaved"]).source
    assert (both.dataset, both.texts, both.normalisation) == ("e-vqa+e-ic", "clean", "casefold")


def test_edits_of_one_key_supersede_each_other_but_for_repeats(streams: dict[str, EditStream]):
    """By the words of the files: of every two edits of one key, the earlier is superseded if the targets differ."""
    edits = list(streams["e-vqa"])
    ledger = Ledger(edits, normalisation="casefold")
    told = [ledger.overridden(position, len(edits)) for position in range(len(edits))]
    right = [
        any(
            later.facts.key == edit.facts.key and later.target.casefold() != edit.target.casefold()
            for later in edits[position + 1 :]
        )
        for position, edit in enumerate(edits)
    ]
    assert told == right
    assert any(right)


def test_clean_finds_what_stands_in_train(streams: dict[str, EditStream]):
    stream, train = streams["e-vqa"], streams["train"]
    found = arranged(stream, ["clean"], train=train, pool=streams["vlkeb"], seed=1)
    seen = {(probe.image, probe.prompt.casefold()) for edit in train for probe in edit.probes}
    edited = {edit.image for edit in stream}
    before = [probe for edit in stream for probe in edit.probes if probe.kind in LOCALITY_KINDS]
    after = [probe for edit in found.stream for probe in edit.probes if probe.kind in LOCALITY_KINDS]
    assert any((probe.image, probe.prompt.casefold()) in seen for probe in before)
    assert any(probe.image in edited for probe in before if probe.image is not None)
    assert not any((probe.image, probe.prompt.casefold()) in seen for probe in after)
    assert not any(probe.image in edited for probe in after if probe.image is not None)
    (told,) = found.card["done"]
    counts = [told[kind] for kind in ("text_locality", "image_locality")]
    gone = sum(count for each in counts for name, count in each.items() if name.startswith("removed"))
    assert sum(each["asked"] for each in counts) == len(before) == len(after) + gone


def test_build_of_annotations_arranges(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = annotated.copy_of(annotated.E_VQA, tmp_path / "mmedit")
    words = ["data", "build", "e-vqa", "--annotations", str(file), "--on-missing-image", "skip-edit"]
    for more, out in (([], "plain"), (["--scenario", "by-entity", "--seed", "3"], "arranged")):
        with pytest.raises(SystemExit) as ended:
            cli.main([*words, *more, "--out", str(tmp_path / out), "--json"])
        assert not ended.value.code
    said = json.loads(capsys.readouterr().out.rpartition("}\n{")[2].join(["{", ""]))
    plain, found = (EditStream.load(tmp_path / name) for name in ("plain", "arranged"))
    assert found.sha256 == arrange(plain, ["by-entity"], seed=3).sha256 == said["sha256"]
    assert said["scenario"] == "by-entity"
    card = json.loads((tmp_path / "arranged" / "scenario.json").read_text())
    assert [plain[origin].id for origin in card["origins"]] == [edit.id for edit in found]
    assert (tmp_path / "arranged" / "records.jsonl").read_bytes() == (tmp_path / "plain" / "records.jsonl").read_bytes()
