from types import SimpleNamespace
from typing import Any, cast

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from liveedit_bench.benchmark.backbones.encoding import ANSWER, PROMPT, Encoder
from liveedit_bench.benchmark.backbones.template import PLAIN


@pytest.fixture
def encoder() -> Encoder:
    """Byte-level BPE without merges but one: ``Ġa`` is one token, every other space a token of its own."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = ["<unk>", "<image>", *letters, "Ġa"]
    backend = Tokenizer(models.BPE({piece: index for index, piece in enumerate(pieces)}, [("Ġ", "a")]))
    backend.pre_tokenizer = cast(Any, pre_tokenizers).ByteLevel(add_prefix_space=False)
    backend.decoder = cast(Any, decoders).ByteLevel()
    words = cast(Any, PreTrainedTokenizerFast)(
        tokenizer_object=backend, unk_token="<unk>", additional_special_tokens=["<image>"]
    )
    return Encoder(SimpleNamespace(tokenizer=words, image_token="<image>"), PLAIN)


@pytest.mark.parametrize(("target", "first"), [("ab", "Ġa"), ("ba", "Ġ")])
def test_the_space_before_an_answer_is_part_of_it(encoder: Encoder, target: str, first: str):
    row = encoder.row("what ?", None, target)
    spoken = row.ids[row.parts == ANSWER].tolist()
    assert encoder.tokenizer.convert_ids_to_tokens(spoken)[0] == first
    assert encoder.tokenizer.decode(spoken) == f" {target}"
    assert encoder.tokenizer.decode(row.ids[row.parts == PROMPT].tolist()) == "what ?"
    assert tuple(spoken) == encoder.target_ids(target)
    joined = encoder.row_with_ids("what ?", None, spoken)
    assert joined.ids.tolist() == row.ids.tolist()
    assert joined.parts.tolist() == row.parts.tolist()
