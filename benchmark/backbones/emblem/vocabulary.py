"""Tokenizer and processor of the embedded backbone: one token per word of the templates, one per syllable."""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import CLIPImageProcessorPil, LlavaProcessor, PreTrainedTokenizerFast

from ....data_builders.emblems import drawing, names, questions

PATCH = 8
IMAGE_TOKENS = (drawing.SIZE // PATCH) ** 2
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "<image>")


def build_tokenizer() -> PreTrainedTokenizerFast:
    """WordPiece over whole words, first syllables, and middle and last syllables as continuations."""
    pieces = [*SPECIAL, *sorted(questions.words() - set(names.FIRST)), *names.FIRST]
    pieces += [f"##{syllable}" for syllable in (*names.MIDDLE, *names.LAST)]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>", continuing_subword_prefix="##"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", vocabulary["<s>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=["<image>"],
        padding_side="right",
    )


def build_processor() -> LlavaProcessor:
    """Pictures are used as they are, 48 x 48, scaled to [-1, 1]."""
    size = {"height": drawing.SIZE, "width": drawing.SIZE}
    pictures = CLIPImageProcessorPil(
        size=size,
        crop_size=size,
        do_center_crop=False,
        do_resize=True,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=build_tokenizer(),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
