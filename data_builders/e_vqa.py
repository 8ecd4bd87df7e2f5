"""E-VQA of MMEdit: visual questions whose answers are changed, on pictures of COCO val2014."""

from __future__ import annotations

from functools import partial

from .card import Card, KnownFile
from .records import Reading, build_records, file_stem
from .texts import key_text

ANSWER = " The answer is:"

CARD = Card(
    name="e-vqa",
    title="E-VQA of MMEdit: answers to visual questions, on pictures of COCO",
    licence="none stated for the annotations; pictures: COCO's terms",
    citation="Cheng et al., Can We Edit Multimodal Large Language Models?, EMNLP 2023, arXiv 2310.08475",
    url="https://github.com/zjunlp/EasyEdit",
    files=(
        KnownFile(split="train", records=6345, what="what editors train on", names=("vqa_train.json",)),
        KnownFile(split="eval", records=2093, what="what is reported", names=("vqa_eval.json",)),
    ),
    image_roots=("", "images"),
    suffixes={"prompt": ANSWER, "rephrase": ANSWER, "image_locality": ANSWER, "text_locality": "?"},
    notes=(
        "pictures are val2014/COCO_val2014_*.jpg (COCO) and val2014_image_rephrase/*.png (made for the data set)",
        "every image-locality question of eval also stands in train: editors were trained on what is asked there",
        "1,124 eval records share their picture with a record of another target",
        "rephrases hold a language model's chatter; a quarter begins with a quote (`data audit` counts)",
    ),
)

_TWO_WORDS = frozenset("what which how who whose where when why in on at".split())
_ONE_WORD = frozenset(
    "is are was were am do does did can could has have had will would should may might must name identify".split()
)


def task_of(question: str) -> str:
    """The kind of a question: its first two words ("what color", "how many"), its first ("is", "are"), or "other"."""
    words = question.rstrip("?").split()
    if words and words[0] in _TWO_WORDS:
        return " ".join(words[:2])
    return words[0] if words and words[0] in _ONE_WORD else "other"


def _question(_path: str, question: str, _prompt: str) -> str:
    return key_text(question)


READING = Reading(thing=file_stem, attribute=_question, task=task_of)
build = partial(build_records, CARD, READING)
