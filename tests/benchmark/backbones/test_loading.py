import importlib.util
import shutil
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from tiny_families import ALL, Tiny, picture
from transformers import AutoImageProcessor

from liveedit_bench.benchmark.backbone import BackboneChoice, Query
from liveedit_bench.benchmark.backbones.huggingface import HuggingFaceBackbone
from liveedit_bench.benchmark.backbones.pristine import PristineWeights
from liveedit_bench.benchmark.editors.ft_l import FtL
from liveedit_bench.benchmark.plugins import load_backbone
from liveedit_bench.errors import BenchError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
QUESTIONS = [Query(picture(1), "which clan is this ?"), Query(None, "who lives there ?")]


def has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def tiny_of(model_type: str) -> Tiny:
    return next(tiny for tiny in ALL if tiny.model_type == model_type)


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_of("llava").save(tmp_path_factory.mktemp("llava"))


@pytest.fixture
def hub(llava: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `hf download owner/tiny` leaves behind, and no network."""
    root = tmp_path / "hub" / "models--owner--tiny"
    shutil.copytree(llava, root / "snapshots" / COMMIT)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("transformers.utils.hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return root


def test_a_hub_id_is_taken_from_the_cache_and_its_commit_recorded(hub: Path, llava: Path):
    backbone = load_backbone("owner/tiny", device="cpu")
    assert backbone.name == "owner/tiny"
    assert cast(Any, backbone).loaded_as == {"revision": COMMIT}
    assert backbone.weights_sha256 == HuggingFaceBackbone.load(llava).weights_sha256
    pinned = load_backbone(BackboneChoice("owner/tiny", revision=COMMIT), device="cpu")
    assert cast(Any, pinned).loaded_as == {"revision": COMMIT}
    with pytest.raises(BenchError, match="owner/tiny is not on this machine and the hub cannot be reached"):
        load_backbone(BackboneChoice("owner/tiny", revision="f" * 40), device="cpu")
    with pytest.raises(BenchError, match="owner/other is not on this machine"):
        load_backbone("owner/other", device="cpu")


def test_the_hub_pins_what_it_names(hub: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[tuple[str, str | None]] = []

    def model_info(_: object, name: str, *, revision: str | None, timeout: float) -> Any:
        asked.append((name, revision))
        return type("Info", (), {"sha": COMMIT})()

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", model_info)
    backbone = load_backbone(BackboneChoice("owner/tiny", revision="v1"), device="cpu")
    assert asked == [("owner/tiny", "v1")]
    assert cast(Any, backbone).loaded_as == {"revision": COMMIT}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("GatedRepoError", "accepted its licence"),
        ("RepositoryNotFoundError", "the hub has no model owner/tiny"),
        ("RevisionNotFoundError", "no revision 'v1'"),
    ],
)
def test_what_the_hub_refuses_is_one_line(error: str, words: str, monkeypatch: pytest.MonkeyPatch):
    import huggingface_hub.errors as errors

    def refuse(*_: object, **__: object) -> None:
        kind = getattr(errors, error)
        raise kind.__new__(kind)

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", refuse)
    with pytest.raises(BenchError, match=words):
        load_backbone(BackboneChoice("owner/tiny", revision="v1"), device="cpu")


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (BackboneChoice("{llava}", revision="main"), "is a folder and has no revision"),
        (BackboneChoice("{llava}", quantization="3bit"), "unknown quantization '3bit'; use 8bit or 4bit"),
        (BackboneChoice("{llava}", quantization="4bit"), "4bit needs an accelerator"),
        (BackboneChoice("{llava}", template="chat"), "has no chat template; use --template plain"),
        (BackboneChoice("{llava}", template="Say it"), "must have {prompt} once"),
        (BackboneChoice("emblem-llava", quantization="8bit"), "takes no quantization; leave --quantization out"),
        (BackboneChoice("./nowhere"), r"\./nowhere holds no model"),
    ],
)
def test_wishes_that_cannot_be_met(choice: BackboneChoice, words: str, llava: Path):
    wish = BackboneChoice(choice.name.replace("{llava}", str(llava)), **choice.options)
    with pytest.raises(BenchError, match=words):
        load_backbone(wish, device="cpu")


def test_packages_that_are_missing_are_named(llava: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for wish in ({"quantization": "8bit"}, {"device_map": "auto"}):
        with pytest.raises(BenchError, match=r"needs accelerate, which is not installed: pip install 'liveedit-bench"):
            load_backbone(BackboneChoice(str(llava), **wish), device="cpu")


def test_a_folder_without_its_tokenizer_is_told(llava: Path, tmp_path: Path):
    folder = shutil.copytree(llava, tmp_path / "model")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(BenchError, match=r"model is no .* can load: it holds no tokenizer \(tokenizer.json is missing"):
        HuggingFaceBackbone.load(folder)


def test_a_template_of_ones_own(llava: Path):
    wish = BackboneChoice(str(llava), template=r"USER: {image}\n{prompt} ASSISTANT:")
    backbone = cast(HuggingFaceBackbone, load_backbone(wish, device="cpu"))
    assert backbone.loaded_as == {"template": "USER: {image}\n{prompt} ASSISTANT:"}
    batch = backbone.encode(QUESTIONS, ["bala", "ra"])
    words = backbone.processor.tokenizer
    whole = [
        words.decode(ids[mask.bool()].tolist()) for ids, mask in zip(batch.input_ids, batch.attention_mask, strict=True)
    ]
    assert whole[0] == "<s>USER: " + "<image>" * 4 + "\nwhich clan is this ? ASSISTANT: bala"
    assert whole[1] == "<s>USER: who lives there ? ASSISTANT: ra"
    assert backbone.decode(batch.input_ids[0][batch.prompt_mask[0]].tolist()) == "which clan is this ?"
    assert backbone.decode(batch.input_ids[1][batch.prompt_mask[1]].tolist()) == "who lives there ?"


class Eight(torch.nn.Module):
    """A layer as bitsandbytes leaves it: integers, and their scales where no parameter is."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.arange(4, dtype=torch.int8).view(2, 2), requires_grad=False)
        self.state = type("State", (), {"SCB": torch.full((2,), scale)})()


def test_scales_of_quantised_weights_are_named_and_restored():
    one, other = Eight(1.0), Eight(2.0)
    pristine = PristineWeights(one)
    assert pristine.sha256 == PristineWeights(Eight(1.0)).sha256 != PristineWeights(other).sha256
    cast(Any, one.state).SCB.mul_(3)
    one.weight.data.add_(1)
    assert set(pristine.changed()) == {"weight"}
    pristine.restore()
    assert torch.equal(cast(Any, one.state).SCB, torch.ones(2))
    assert torch.equal(one.weight, torch.arange(4, dtype=torch.int8).view(2, 2))


if has("bitsandbytes"):

    @pytest.mark.extras
    @pytest.mark.filterwarnings("ignore")
    def test_eight_bits(llava: Path):
        wish = BackboneChoice(str(llava), quantization="8bit")
        backbone = cast(HuggingFaceBackbone, load_backbone(wish, device="cpu"))
        assert backbone.loaded_as == {"quantization": "8bit"}
        sha256 = backbone.weights_sha256
        assert sha256 == cast(Any, load_backbone(wish, device="cpu")).weights_sha256
        assert sha256 != HuggingFaceBackbone.load(llava).weights_sha256
        before = backbone.generate(QUESTIONS)
        for parameter in backbone.model.parameters():
            parameter.data.add_(1)
        assert len(backbone.changed_weights()) == len(list(backbone.model.parameters()))
        backbone.restore()
        assert backbone.changed_weights() == {}
        assert backbone.generate(QUESTIONS) == before
        with pytest.raises(BenchError, match="quantised weights cannot be trained"):
            FtL(backbone)

    @pytest.mark.extras
    def test_torchvision_resizes_to_other_pixels_by_two_levels_at_most(llava: Path):
        def levels(backend: str) -> torch.Tensor:
            processor: Any = cast(Any, AutoImageProcessor).from_pretrained(llava, backend=backend)
            pictures = [picture(seed, *size).open() for seed, size in enumerate([(48, 24), (100, 70), (300, 200)])]
            found = processor(pictures, do_rescale=False, do_normalize=False, return_tensors="pt")
            return found["pixel_values"].float()

        gap = (levels("pil") - levels("torchvision")).abs()
        assert 0 < gap.max() <= 2

    @pytest.mark.extras
    def test_a_device_map(llava: Path):
        backbone = cast(Any, load_backbone(BackboneChoice(str(llava), device_map="cpu"), device="cpu"))
        assert backbone.loaded_as == {"device_map": "cpu"}
        plain = HuggingFaceBackbone.load(llava)
        assert backbone.weights_sha256 == plain.weights_sha256
        assert backbone.generate(QUESTIONS) == plain.generate(QUESTIONS)
else:

    def test_a_processor_that_needs_torchvision_says_so(llava: Path, tmp_path: Path):
        folder = shutil.copytree(llava, tmp_path / "qwen")
        text = (folder / "processor_config.json").read_text()
        (folder / "processor_config.json").write_text(text.replace("LlavaProcessor", "Qwen2VLProcessor"))
        with pytest.raises(BenchError, match=r"needs torchvision, which is not installed: .*\[video\]"):
            HuggingFaceBackbone.load(folder)
