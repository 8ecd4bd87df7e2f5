"""Write a small table of edits with its pictures: what `liveedit-bench data build table` reads.

``python examples/own_table.py my-table`` makes ``my-table/edits.csv`` and ``my-table/pictures``. The edits are those of
Emblems, so that the shipped model knows the words; your own table may have any columns and any pictures.
"""

import csv
import sys
from pathlib import Path

from liveedit_bench.benchmark.edits import Picture
from liveedit_bench.data_builders.emblems import build


def main(folder: Path, edits: int = 20) -> None:
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)

    def png(picture: Picture | None) -> str:
        if picture is None:
            return ""
        path = pictures / f"{picture.sha256[:12]}.png"
        picture.open().save(path)
        return path.name

    with (folder / "edits.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["picture", "question", "answer", "old", "again", "second view", "loc", "loc_ans"])
        for edit in build(edits, seed=0, split="validation"):
            asked = {probe.kind: probe for probe in edit.probes}
            text = asked["text_locality"]
            writer.writerow(
                [
                    png(edit.image),
                    edit.prompt,
                    edit.target,
                    edit.facts.old,
                    asked["text_generality"].prompt,
                    png(asked["image_generality"].image),
                    text.prompt,
                    text.target,
                ]
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
