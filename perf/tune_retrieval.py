"""Sweeps the thresholds of `retrieval` on validation and prints the score of each trial, at most 20 of them.

    python perf/tune_retrieval.py --edits 500

The editor's answers follow from a table and f_0's own answers, so f_0 is asked once and no trial asks it again.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from statistics import fmean, harmonic_mean
from typing import Literal

from rich.console import Console
from rich.progress import track

from liveedit_bench.benchmark.backbone import Answer, Query
from liveedit_bench.benchmark.editor import EditRequest
from liveedit_bench.benchmark.editors.retrieval import FrozenFeatures, Retrieval, RetrievalOptions
from liveedit_bench.benchmark.edits import GENERALITY_KINDS, Edit
from liveedit_bench.benchmark.plugins import load_backbone, load_stream
from liveedit_bench.runners.ledger import Ledger

TRIALS = 20
# The first 15 trials: every image threshold with every prompt threshold. The rest go where the best of them points.
IMAGE_TRIALS: tuple[tuple[Literal["mean", "flat"], float], ...] = (
    ("mean", 0.85),
    ("mean", 0.90),
    ("mean", 0.95),
    ("flat", 0.70),
    ("flat", 0.80),
)
PROMPT_TRIALS = ((-1, 0.6), (-1, 0.7), (2, 0.8))
BATCH = 64

_stderr = Console(stderr=True)


def ask_f0(edits: list[Edit]) -> dict[Query, Answer]:
    """What the unedited model answers to every probe."""
    backbone = load_backbone("emblem-llava")
    asked = list({Query(probe.image, probe.prompt): None for edit in edits for probe in edit.probes})
    asked.sort(key=lambda query: (query.image is None, len(query.prompt)))
    answers: dict[Query, Answer] = {}
    for start in track(range(0, len(asked), BATCH), "asking f_0", console=_stderr):
        part = asked[start : start + BATCH]
        answers |= zip(part, backbone.generate(part), strict=True)
    return answers


def score(edits: list[Edit], f0: dict[Query, Answer], editor: Retrieval) -> dict[str, float]:
    """Free-running scores at the last step, by kind, with `generality`, `locality` and `score`."""
    editor.reset()
    for edit in edits:
        editor.edit(EditRequest(edit.image, edit.prompt, edit.target))
    ledger = Ledger(edits)
    found: dict[str, list[float]] = defaultdict(list)
    for position, edit in enumerate(edits):
        for probe in edit.probes:
            expected = ledger.expected(position, probe, len(edits))
            if expected is None:
                continue
            query = Query(probe.image, probe.prompt)
            said = editor.answer(query)
            answer = f0[query].text if said is None else said
            found[probe.kind].append(float(answer == (f0[query].text if "locality" in probe.kind else expected)))
    means = {kind: fmean(values) for kind, values in found.items()}
    means["generality"] = fmean(means[kind] for kind in GENERALITY_KINDS)
    means["locality"] = fmean(value for kind, value in means.items() if "locality" in kind)
    means["score"] = harmonic_mean([means["reliability"], means["generality"], means["locality"]])
    return means


def main() -> None:
    """Coarse trials first, then the neighbourhood of the best."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    edits = list(load_stream("emblems", edits=arguments.edits, seed=arguments.seed, split="validation"))
    f0 = ask_f0(edits)
    backbone = load_backbone("emblem-llava")
    features = {
        (pool, layer): FrozenFeatures(backbone, pool=pool, prompt_layer=layer)
        for pool, _ in IMAGE_TRIALS
        for layer, _ in PROMPT_TRIALS
    }
    tried: dict[RetrievalOptions, float] = {}

    def trial(options: RetrievalOptions) -> None:
        if options in tried or len(tried) == TRIALS:
            return
        editor = Retrieval(backbone, options)
        editor.features = features[options.pool, options.prompt_layer]
        means = score(edits, f0, editor)
        tried[options] = means["score"]
        print(options, {name: round(value, 3) for name, value in means.items()}, flush=True)

    for pool, image in IMAGE_TRIALS:
        for layer, prompt in PROMPT_TRIALS:
            trial(RetrievalOptions(image, prompt, pool, layer))
    while len(tried) < TRIALS:
        best = max(tried, key=lambda options: tried[options])
        before = len(tried)
        for image, prompt in ((0.5, 0), (-1.0, 0), (0, 0.5), (0, -1.0)):  # closer to 1, or further from it
            trial(
                RetrievalOptions(
                    best.threshold_image + image * (1 - best.threshold_image),
                    best.threshold_prompt + prompt * (1 - best.threshold_prompt),
                    best.pool,
                    best.prompt_layer,
                )
            )
        if len(tried) == before:
            break
    best = max(tried, key=lambda options: tried[options])
    print(f"best of {len(tried)}: {best}, score {tried[best]:.3f}")


if __name__ == "__main__":
    main()
