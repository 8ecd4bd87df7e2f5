"""From the parts that a user has to a folder that `HuggingFaceBackbone.load` opens.

Nothing is downloaded but what is named: of BLIP-2 only the files with vision tower and Q-Former are fetched and read.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import safetensors
import torch
import transformers
from torch import Tensor
from transformers.utils import hub

from ....errors import BenchError
from .model import MiniGpt4Config, MiniGpt4ForConditionalGeneration
from .processing import CHAT_TEMPLATE, MiniGpt4Processor
from .projection import Projection, read_projection

_library = cast(Any, transformers)
_EYES = ("vision_model.", "qformer.", "query_tokens")
_WITHOUT_QFORMER = 4 * 1408
"""Width of the projection for Llama 2: patches of the tower four by four, and no Q-Former."""


@dataclass(frozen=True)
class Composed:
    """What was written. notes: what is unlike the published model, in words."""

    folder: Path
    parameters: int
    rows: int
    notes: tuple[str, ...]


def compose(*, blip2: str, llama: str, projection: Path, out: Path) -> Composed:
    """Write MiniGPT-4 as a folder, each weight as its file has it.

    blip2, llama: a folder or a hub id. projection: the published file.

    Raises `BenchError` when a part cannot be read or does not fit the others; nothing is left behind then.
    """
    if out.exists():
        raise BenchError(f"{out} exists and is not overwritten; give another --out")
    layer = read_projection(projection)
    eyes, text = _configs(blip2, llama)
    _check_widths(layer, projection, eyes, text)
    processor = _processor(blip2, llama, eyes.num_query_tokens)
    language = _language(llama)
    config = MiniGpt4Config(
        vision_config=eyes.vision_config,
        qformer_config=eyes.qformer_config,
        text_config=language.config,
        num_query_tokens=eyes.num_query_tokens,
        image_token_index=processor.image_token_id,
        composed_of={"blip2": Path(blip2).name, "llama": Path(llama).name, "projection_sha256": layer.sha256},
    )
    with torch.device("meta"):
        model = MiniGpt4ForConditionalGeneration(config)
    weights = {
        **_eyes(blip2),
        **{f"language_model.{name}": value for name, value in language.state_dict().items()},
        "language_projection.weight": layer.weight,
        "language_projection.bias": layer.bias,
    }
    _fill(model, weights, blip2)
    _save(model, processor, out)
    return Composed(out, sum(value.numel() for value in model.parameters()), eyes.num_query_tokens, _notes(eyes, text))


def _configs(blip2: str, llama: str) -> tuple[Any, Any]:
    eyes = _opened(blip2, "BLIP-2", lambda: _library.AutoConfig.from_pretrained(blip2))
    if eyes.model_type != "blip-2" or eyes.qformer_config.use_qformer_text_input:
        raise BenchError(
            f"{blip2} is no BLIP-2 whose Q-Former reads pictures alone (model_type {eyes.model_type}); "
            "give Salesforce/blip2-flan-t5-xxl or a copy of it"
        )
    text = _opened(llama, "Llama", lambda: _library.AutoConfig.from_pretrained(llama))
    if text.model_type != "llama":
        raise BenchError(f"{llama} is no Llama (model_type {text.model_type}); give a folder or hub id of Vicuna v0")
    return eyes, text


def _check_widths(layer: Projection, path: Path, eyes: Any, text: Any) -> None:
    wide, narrow = layer.weight.shape
    if narrow == _WITHOUT_QFORMER and narrow != eyes.qformer_config.hidden_size:
        raise BenchError(
            f"{path} belongs to MiniGPT-4 on Llama 2, which has no Q-Former and is not supported; "
            "give the checkpoint aligned with Vicuna 7B or 13B"
        )
    if narrow != eyes.qformer_config.hidden_size:
        raise BenchError(
            f"{path} projects from width {narrow}, the Q-Former has {eyes.qformer_config.hidden_size}; "
            "give the BLIP-2 and the checkpoint of one release"
        )
    if wide != text.hidden_size:
        raise BenchError(
            f"{path} projects to width {wide}, the Llama has {text.hidden_size} (Vicuna: 4096 for 7B, 5120 for 13B); "
            "give the checkpoint that is aligned with this Llama"
        )


def _processor(blip2: str, llama: str, rows: int) -> MiniGpt4Processor:
    images = _opened(
        blip2, "image processor", lambda: _library.AutoImageProcessor.from_pretrained(blip2, backend="pil")
    )
    _check_reader(llama)
    words = _opened(llama, "tokenizer", lambda: _library.AutoTokenizer.from_pretrained(llama))
    if words("")["input_ids"] != [words.bos_token_id]:
        raise BenchError(
            f"the tokenizer of {llama} puts no BOS before a text, which MiniGPT-4 was trained with; "
            "set add_bos_token to true in its tokenizer_config.json"
        )
    return MiniGpt4Processor(images, words, num_query_tokens=rows, chat_template=CHAT_TEMPLATE)


def _check_reader(llama: str) -> None:
    """The library's own words for a lacking package name another one."""
    if _file(llama, "tokenizer.json") is not None or _file(llama, "tokenizer.model") is None:
        return
    if not (find_spec("sentencepiece") and find_spec("google") and find_spec("google.protobuf")):
        raise BenchError(
            f"the tokenizer of {llama} is a tokenizer.model, and what reads it is not installed: "
            "pip install 'liveedit-bench[sentencepiece]'"
        )


def _language(llama: str) -> Any:
    """The Llama, in the dtype of its files."""
    options = {"dtype": "auto", "output_loading_info": True}
    model, told = _opened(llama, "Llama", lambda: _library.LlamaForCausalLM.from_pretrained(llama, **options))
    if told["missing_keys"]:  # the library would make them up
        raise BenchError(f"{llama} lacks {min(told['missing_keys'])}; download it again")
    model.config.name_or_path = ""  # where it lay on this machine is not written
    return model


def _eyes(blip2: str) -> dict[str, Tensor]:
    """Vision tower, Q-Former and queries of BLIP-2."""
    index = _file(blip2, "model.safetensors.index.json")
    if index is None:
        single = _file(blip2, "model.safetensors")
        if single is None:
            raise BenchError(
                f"{blip2} holds no safetensors; load it with transformers and save it again (save_pretrained)"
            )
        files = [single]
    else:
        places: Mapping[str, str] = json.loads(index.read_text())["weight_map"]
        names = sorted({file for name, file in places.items() if name.startswith(_EYES)})
        files = [file for name in names if (file := _file(blip2, name)) is not None]
        if len(files) < len(names):
            raise BenchError(f"{blip2} lacks a file of {', '.join(names)}; download it again")
    found: dict[str, Tensor] = {}
    for file in files:
        with cast(Any, safetensors).safe_open(file, framework="pt") as opened:
            names = cast("list[str]", opened.keys())
            found |= {name: opened.get_tensor(name) for name in names if name.startswith(_EYES)}
    return found


def _file(place: str, name: str) -> Path | None:
    missing_is_none = {"_raise_exceptions_for_missing_entries": False}
    found = _opened(place, name, lambda: cast(Any, hub).cached_file(place, name, **missing_is_none))
    return None if found is None else Path(found)


def _opened(place: str, what: str, opening: Callable[[], Any]) -> Any:
    """What the library makes of a place. Its own words end in the error, in one line."""
    try:
        return opening()
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise BenchError(
            f"no {what} can be read from {place}: {first}; give a folder that transformers opens, or a hub id"
        ) from error


def _fill(model: Any, weights: Mapping[str, Tensor], blip2: str) -> None:
    wanted = {name: value.shape for name, value in model.state_dict().items()}
    missing, extra = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    if missing or extra:
        which = f"lacks {missing[0]}" if missing else f"holds {extra[0]}, which MiniGPT-4 does not have"
        raise BenchError(f"{blip2} {which} ({len(missing)} missing, {len(extra)} left over); is it complete?")
    for name, shape in wanted.items():
        if weights[name].shape != shape:
            raise BenchError(
                f"{name} has shape {list(weights[name].shape)} where config.json asks for {list(shape)}; "
                "the files of a part do not belong together: download it again"
            )
    model.load_state_dict(weights, assign=True)


def _save(model: Any, processor: MiniGpt4Processor, out: Path) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as half:
            folder = Path(half) / "model"
            model.save_pretrained(folder)
            cast(Any, processor).save_pretrained(folder)
            folder.rename(out)
    except OSError as error:
        raise BenchError(f"cannot write {out}: {error.strerror or error}; mend that and repeat") from error


def _notes(eyes: Any, text: Any) -> tuple[str, ...]:
    found: list[str] = []
    beside = eyes.text_config
    if (beside.model_type, getattr(beside, "d_model", None)) != ("t5", 4096):
        found.append(
            "the published projection was trained on the Q-Former of blip2-flan-t5-xxl; this is another BLIP-2"
        )
    if text.hidden_size not in (4096, 5120):
        found.append(f"the published Llamas are Vicuna 7B and 13B; this one is {text.hidden_size} wide")
    return tuple(found)
