"""Which stored edit does `ike` put before a question, and why? On validation; no answer is asked for.

python perf/nearest_edit.py

For each own question of every fifth edit (reliability, rephrased, another picture), after 10, 100 and 1,000 edits: how
often the nearest stored edit is the right one, and the cosines of picture and prompt to the right and the nearest one.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import torch

from liveedit_bench.benchmark.backbone import Query
from liveedit_bench.benchmark.editors.ike import Ike
from liveedit_bench.benchmark.edits import Edit
from liveedit_bench.benchmark.plugins import load_backbone, load_stream

HERE = Path(__file__).resolve().parent
KINDS = ("reliability", "text_generality", "image_generality")


def nearest(editor: Ike, edits: Sequence[Edit], stored: torch.Tensor) -> dict[str, dict[str, float]]:
    """Per kind the share of questions that find their own edit, or one about the same attribute, and mean cosines.

    stored: [len(edits), 2 d], picture and prompt of each edit, each half of length 1.
    """
    half = stored.shape[1] // 2
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for own, edit in list(enumerate(edits))[:: max(1, len(edits) // 200)]:
        for probe in edit.probes:
            if probe.kind in KINDS:
                asked = editor.embedded(Query(probe.image, probe.prompt))
                pictures, prompts = stored[:, :half] @ asked[:half], stored[:, half:] @ asked[half:]
                best = int((pictures + prompts).argmax())
                found[probe.kind].append(
                    {
                        "right_edit": float(best == own),
                        "right_attribute": float(edits[best].facts.task == edit.facts.task),
                        "picture_to_right": float(pictures[own]),
                        "prompt_to_right": float(prompts[own]),
                        "picture_to_nearest": float(pictures[best]),
                        "prompt_to_nearest": float(prompts[best]),
                    }
                )
    return {
        kind: {"n": len(rows)} | {name: round(fmean(row[name] for row in rows), 4) for name in rows[0]}
        for kind, rows in found.items()
        if rows
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--edits", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--out", type=Path, default=HERE / "results" / "nearest_edit.json")
    given = parser.parse_args()
    edits = list(load_stream("emblems", edits=max(given.edits), seed=0, split="validation"))
    editor = Ike(load_backbone("emblem-llava"))
    stored = torch.stack([editor.embedded(Query(edit.image, edit.prompt)) for edit in edits])
    results = {str(size): nearest(editor, edits[:size], stored[:size]) for size in given.edits}
    evidence = {"editor": "ike", "dataset": "emblems", "split": "validation", "seed": 0, "edits": results}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(evidence, indent=2) + "\n", encoding="utf-8")
    print(given.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
