"""A run folder made of numbers: what the report is looked at and tested with, without a model or a world.

``python tests/example_run.py FOLDER`` writes one and its report, to look at.
"""

from __future__ import annotations

import hashlib
import random
import sys
from pathlib import Path
from typing import Any, cast

import pandas as pd
from PIL import Image, ImageDraw

from liveedit_bench.benchmark.edits import KINDS, LOCALITY_KINDS, Edit, EditStream, Facts, Picture, Probe, Source
from liveedit_bench.leaderboards.report import write_report
from liveedit_bench.leaderboards.schema import Result

CHECKPOINTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
ENDS = {
    "reliability": 0.934,
    "text_generality": 0.881,
    "image_generality": 0.823,
    "portability": 0.287,
    "text_locality": 1.0,
    "image_locality": 0.982,
    "locality_twin_same": 0.871,
    "locality_twin_other": 0.792,
    "locality_other_question": 0.975,
    "locality_no_image": 0.991,
}
SYLLABLES = ("vor", "nel", "ka", "tim", "or", "sha", "bru", "lin", "eth", "mar", "zo", "pel")
COLOURS = ("#c8442f", "#2f6fc8", "#d9a520", "#4f9d4f", "#7b4fa3", "#e0e0d0")


def name(rng: random.Random) -> str:
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 4)))


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def picture(seed: str) -> Picture:
    def draw() -> Image.Image:
        rng = random.Random(seed)
        image = Image.new("RGB", (64, 64), rng.choice(("#20242c", "#f0ece2", "#8fa3a0")))
        pen = ImageDraw.Draw(image)
        box = (14 + rng.randint(-5, 5), 12, 52, 52 + rng.randint(-5, 5))
        getattr(pen, rng.choice(("ellipse", "rectangle")))(box, fill=rng.choice(COLOURS))
        pen.ellipse((26, 24, 38, 36), fill=rng.choice(COLOURS))
        pixels = image.load()
        assert pixels is not None
        for _ in range(300):
            x, y = rng.randrange(64), rng.randrange(64)
            pixels[x, y] = tuple(min(255, c + rng.randint(0, 40)) for c in pixels[x, y])  # type: ignore[union-attr]
        return image

    return Picture(draw)


def make_stream(edits: int) -> EditStream:
    made: list[Edit] = []
    for position in range(edits):
        rng = random.Random(position)
        image, prompt = picture(f"{position}"), "Which clan does this emblem belong to?"
        target, old, thing = name(rng), name(rng), f"emblem{position}"
        probes = [Probe("reliability", image, prompt, target, f"{thing}/clan")]
        for kind in KINDS[1:]:
            shown = None if kind in ("text_locality", "locality_no_image") else picture(f"{position} {kind}")
            question = {
                "text_generality": "Tell me the clan that carries this emblem.",
                "text_locality": f"In which valley does {name(rng).title()} lie?",
                "portability": "Who leads the clan of this emblem?",
                "locality_other_question": "Which region is this emblem from?",
            }.get(kind, prompt)
            answer = target if kind.endswith("generality") else name(rng)
            shown = image if kind in ("text_generality", "portability", "locality_other_question") else shown
            probes.append(Probe(kind, shown, question, answer, f"{thing}/clan"))
        facts = Facts(f"{thing}/clan", old, thing, "clan", "emblems", position % 5 != 0)
        made.append(Edit(image, prompt, target, tuple(probes), facts))
    return EditStream(made, Source("emblems", "test", 0))


def make_answers(stream: EditStream) -> pd.DataFrame:
    """The rows of the last checkpoint (and of two steps before it, which a gallery must not pick)."""
    rows: list[dict[str, Any]] = []
    for step in (len(stream) // 2 or 1, len(stream)):
        for position, edit in enumerate(stream[:step]):
            rng = random.Random(f"{position} answers")
            for index, probe in enumerate(edit.probes):
                local = probe.kind in LOCALITY_KINDS
                right = rng.random() < ENDS[probe.kind]
                wrong = rng.choice([edit.target if local else edit.facts.old, name(rng)])
                ids = [len(rows) * 2, 1]
                rows.append(
                    {
                        "step": step,
                        "when": "checkpoint",
                        "position": position,
                        "edit": edit.id,
                        "probe": index,
                        "kind": probe.kind,
                        "status": "asked",
                        "expected": probe.target,
                        "leak": edit.target if local or probe.kind == "portability" else None,
                        "expected_ids": ids if right else [7, 1],
                        "ids": ids,
                        "answer": probe.target if right else wrong,
                        "free_running": float(right),
                    }
                )
    return pd.DataFrame(rows)


def estimate(value: float, n: int) -> dict[str, Any]:
    half = 2.4 / n**0.5 * (value * (1 - value)) ** 0.5
    return {"value": value, "n": n, "ci95": [max(0.0, value - half), min(1.0, value + half)]}


def make_scores(kind: str, share: float, n: int) -> dict[str, Any]:
    free = 1 - (1 - ENDS[kind]) * share
    scores = {"free_running": estimate(free, n), "teacher_forced": estimate(1 - (1 - free) * 0.55, n)}
    if kind in LOCALITY_KINDS:
        scores |= {"truth": estimate(free * 0.98, n), "leak": estimate((1 - free) * 0.6, n)}
    return scores


def make_point(step: int) -> dict[str, Any]:
    share = (len(f"{step}") - 1 + step / 10 ** len(f"{step}")) / 3.1
    counts = {kind: 300 if kind in LOCALITY_KINDS else step for kind in KINDS}
    metrics = {kind: make_scores(kind, min(1.0, share), counts[kind]) for kind in KINDS}
    return {"step": step, "metrics": metrics, "expired": step // 50}


def make_result(**changes: Any) -> dict[str, Any]:
    """A complete `result.json` as plain values."""
    last = {kind: make_scores(kind, 1.0, 1000) for kind in KINDS}
    half = {kind: make_scores(kind, 1.0, 500) for kind in ("reliability", "text_generality", "image_generality")}
    less = {kind: make_scores(kind, 2.1, 200) for kind in ("reliability", "text_generality", "image_generality")}
    bins = ((1, 10, 0.0), (11, 20, 0.0), (21, 50, 0.033), (51, 100, 0.02), (101, 200, 0.05), (201, 500, 0.07))
    return {
        "schema_version": "1",
        "status": "complete",
        "protocol": {
            "id": "lifelong",
            "checkpoints": list(CHECKPOINTS),
            "scorers": ["teacher_forced", "free_running"],
        },
        "stream": {"dataset": "emblems", "split": "test", "edits": 1000, "seed": 0, "sha256": sha("stream")},
        "editor": {
            "name": "liveedit",
            "version": "1",
            "options": {"layer": 2, "rank": 4, "scale": 1.0, "filter": "sentinel", "seed_bank": None},
            "weights_sha256": sha("editor"),
            "trained_on": [
                {"dataset": "emblems", "split": "train", "seed": 0, "edits": 5000, "sha256": sha("train")},
            ],
            "train_seconds": 1834.2,
            "fixed_scores": {"text_locality": "an input without a picture is answered by the unedited model"},
        },
        "backbone": {"name": "emblem-llava", "weights_sha256": sha("backbone")},
        "score": {"value": 0.902, "ci95": [0.893, 0.911]},
        "paper_average": {"value": 0.958, "ci95": [0.951, 0.964]},
        "immediate": {"free_running": estimate(0.985, 997), "teacher_forced": estimate(0.991, 997)},
        "portability_given_edit_holds": {"free_running": estimate(0.307, 934)},
        "generality": {"free_running": {"value": 0.852, "n": 2000, "ci95": [0.83, 0.871]}},
        "locality": {"free_running": {"value": 0.935, "ci95": [0.925, 0.944]}},
        "curve": [*map(make_point, CHECKPOINTS[:-1]), {"step": 1000, "metrics": last, "expired": 37}],
        "area": {"reliability": {"free_running": 0.952, "teacher_forced": 0.974}},
        "forgetting": [
            *({"age": [a, b], "value": v, "n": b - a + 1, "ci95": [v - 0.03, v + 0.03]} for a, b, v in bins),
            {"age": [501, 1000], "value": 0.084, "n": 500, "ci95": [0.062, 0.107]},
        ],
        "seen": {"targets": half, "prompts": half},
        "unseen": {"targets": less, "prompts": less},
        "by_task": {task: {"reliability": last["reliability"]} for task in ("clan", "region", "craft", "era", "motto")},
        "floors": {
            "none": {"score": 0.0, "metrics": {kind: float(kind in LOCALITY_KINDS) for kind in KINDS}},
            "majority": {"score": 0.031, "metrics": {kind: 0.02 for kind in KINDS}},
        },
        "expired": 37,
        "cost": {
            "edit_seconds": {"median": 0.0123, "p95": 0.0189},
            "answering_overhead": 1.34,
            "state_bytes": 4_096_000,
            "peak_memory_bytes": 713_031_680,
            "wall_seconds": 148.2,
        },
        "failures": {"edits": 3, "kinds": {"text_only": 2, "not_a_number": 1}},
        "causality": {"checked": 200, "mismatches": 0},
        "environment": {"python": "3.12.4", "torch": "2.13.0", "threads": 2, "device": "cpu", "image_backend": "pil"},
        "digest": sha("digest"),
        **changes,
    }


def make_run(folder: Path, *, edits: int = 60, **changes: Any) -> EditStream:
    """Write `result.json` and `probes.parquet`; the stream is what a loader would give."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(Result.model_validate(make_result(**changes)).to_json(), encoding="utf-8")
    stream = make_stream(edits)
    cast("Any", make_answers(stream)).to_parquet(folder / "probes.parquet")
    return stream


if __name__ == "__main__":
    target = Path(sys.argv[1])
    made = make_run(target)
    write_report(target, loader=lambda _: made)
