"""E-IC of MMEdit: captions that are changed, on pictures of COCO val2014."""

from __future__ import annotations

from functools import partial

from .card import Card, KnownFile
from .records import Reading, build_records, file_stem
from .texts import key_text

CARD = Card(
    name="e-ic",
    title="E-IC of MMEdit: captions of pictures of COCO",
    licence="none stated for the annotations; pictures: COCO's terms",
    citation="Cheng et al., Can We Edit Multimodal Large Language Models?, EMNLP 2023, arXiv 2310.08475",
    url="https://github.com/zjunlp/EasyEdit",
    files=(
        KnownFile(split="train", records=2849, what="what editors train on", names=("caption_train_edit.json",)),
        KnownFile(split="eval", records=1000, what="what is reported", names=("caption_eval_edit.json",)),
    ),
    image_roots=("", "images"),
    suffixes={"image_locality": " The answer is:", "text_locality": "?"},
    notes=(
        "pictures are val2014/COCO_val2014_*.jpg (COCO) and val2014_image_rephrase/*.png (made for the data set)",
        "all records have one prompt, so that nothing is tested of telling edits apart by their words",
        "every image-locality question of eval also stands in train: editors were trained on what is asked there",
        "a caption is long and open: exact match is hard here, teacher-forced accuracy easy",
    ),
)


def _caption(_path: str, question: str, prompt: str) -> str:
    # Locality questions ask other things of other pictures; changing a caption does not touch their answers.
    asked = key_text(question)
    return "caption" if asked == key_text(prompt) else asked


READING = Reading(thing=file_stem, attribute=_caption, task=lambda _prompt: "caption")
build = partial(build_records, CARD, READING)
