"""A tiny LLaVA, LiveEdit modules that are random and loud, and a stream of noise pictures to train on."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_llava import SIDE, picture, save_tiny_llava, word

from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone
from liveedit_bench.benchmark.editors.liveedit import LiveEdit, LiveEditOptions
from liveedit_bench.benchmark.editors.liveedit.modules import Architecture, LiveEditModules
from liveedit_bench.benchmark.editors.liveedit.weights import TrainedModules
from liveedit_bench.benchmark.edits import Edit, EditStream, Facts, Kind, Picture, Probe, Source

PROMPTS = ["which clan is this ?", "where does it come from ?", "who lives there ?", "say the motto of this era ?"]

MakeModules = Callable[..., LiveEditModules]
MakeEditor = Callable[..., LiveEdit]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llava(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def backbone(tiny_folder: Path) -> HuggingFaceBackbone:
    return HuggingFaceBackbone.load(tiny_folder, name="tiny")


def architecture(**changes: object) -> Architecture:
    shape = Architecture(hidden_size=48, layer=2, sentinel_rows=4, width=16, heads=4, rank=3, slots=2, scale=8.0)
    return replace(shape, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def make_modules() -> MakeModules:
    """Random modules, every parameter away from where it starts; some experts pass the filter and some do not."""

    def make(seed: int = 0, **changes: object) -> LiveEditModules:
        torch.manual_seed(seed)
        modules = LiveEditModules(architecture(**changes))
        with torch.no_grad():
            for parameter in modules.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
            for extractor in (modules.edit_features, modules.input_features):
                extractor.read_vision.value.weight.mul_(3)
                extractor.read_question.value.weight.mul_(3)
        return modules.requires_grad_(False)

    return make


@pytest.fixture(scope="session")
def make_editor(backbone: HuggingFaceBackbone, make_modules: MakeModules) -> MakeEditor:
    def make(*, seed: int = 0, changes: dict[str, object] | None = None, **options: object) -> LiveEdit:
        editor = LiveEdit(backbone, LiveEditOptions(**options))  # type: ignore[arg-type]
        modules = make_modules(seed, **(changes or {}))
        editor.use(TrainedModules(modules, "tiny", backbone.weights_sha256, [], 0.0, {}))
        return editor

    return make


def again(seed: int, view: int) -> Picture:
    """The picture of `seed` with a little noise of its own."""

    def draw() -> Image.Image:
        pixels = picture(seed).open().tobytes()
        noise = random.Random(f"{seed} {view}").randbytes(len(pixels))
        return Image.frombytes(
            "RGB", (SIDE, SIDE), bytes(max(0, min(255, a + (b - 128) // 8)) for a, b in zip(pixels, noise, strict=True))
        )

    return Picture(draw)


def make_edit(position: int) -> Edit:
    rng = random.Random(position)
    image, prompt, target, old = picture(position), PROMPTS[position % 3], word(rng, 1 + position % 3), word(rng)
    key = f"thing{position}/clan"

    def probe(kind: Kind, shown: Picture | None, asked: str, answer: str) -> Probe:
        return Probe(kind, shown, asked, answer, key if answer == target else f"other{position}/clan")

    probes = (
        probe("reliability", image, prompt, target),
        probe("text_generality", image, "the " + prompt, target),
        probe("image_generality", again(position, 1), prompt, target),
        probe("image_locality", picture(1000 + position), PROMPTS[(position + 1) % 3], old),
        probe("locality_twin_same", picture(2000 + position), prompt, old),
        probe("locality_twin_other", picture(3000 + position), prompt, old),
        probe("locality_other_question", image, PROMPTS[3], old),
        probe("locality_no_image", None, prompt, old),
    )
    return Edit(image, prompt, target, probes, Facts(key, old, f"thing{position}", "clan", "made by hand"))


@pytest.fixture(scope="session")
def stream() -> EditStream:
    return EditStream([make_edit(position) for position in range(24)], Source("noise", "train", 0))
