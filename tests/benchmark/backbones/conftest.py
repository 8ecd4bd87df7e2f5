"""The tiny models. `missing_operators` comes first: without them torchvision, where it is there, cannot be imported."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from missing_operators import HAS_TORCHVISION
from tiny_families import ALL, Tiny

from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone

assert HAS_TORCHVISION or not any("torchvision" in tiny.needs and tiny.available for tiny in ALL)


def _param(tiny: Tiny) -> Any:
    return pytest.param(tiny, id=tiny.model_type, marks=[pytest.mark.extras] if tiny.needs else [])


@pytest.fixture(scope="session", params=[_param(tiny) for tiny in ALL if tiny.available])
def tiny(request: pytest.FixtureRequest) -> Tiny:
    return request.param


@pytest.fixture(scope="session")
def family_folder(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp(tiny.model_type.replace("-", "")))


@pytest.fixture(scope="session")
def loaded_family(family_folder: Path, tiny: Tiny) -> HuggingFaceBackbone:
    return HuggingFaceBackbone.load(family_folder, name=tiny.model_type)


@pytest.fixture
def family(loaded_family: HuggingFaceBackbone) -> Iterator[HuggingFaceBackbone]:
    """Named `family` and not `backbone`, which other modules of this folder make for themselves."""
    yield loaded_family
    loaded_family.restore()
