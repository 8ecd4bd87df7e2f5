"""How long a stream of the size of E-VQA takes to build and store, and how much memory: without pictures, and with.

python perf/stream_scale.py

The annotations (2,093 records, 10,465 probes) and the small photos are made up. Each way is measured twice, in fresh
processes, which must come to the same sha256. Memory is the peak of the resident set (VmHWM, so mapped files count)
from the end of the imports on, after a stream of ten edits has been built and loaded.
"""

import argparse
import io
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RECORDS = 2093
SECONDS, MEGABYTES = 20, 60  # what is allowed


def make_annotations(file: Path, *, records: int = RECORDS) -> None:
    """A file in the schema of E-VQA, with its usual oddities; the same for every call."""
    dice = random.Random(0)
    words = "red blue tennis plate grass two wooden bus standing on the table left woman umbrella kitchen".split()

    def phrase(count: int) -> str:
        return " ".join(dice.choice(words) for _ in range(count))

    def record(number: int) -> dict[str, str]:
        quote = '"' if dice.random() < 0.27 else ""
        return {
            "src": f"What is the {phrase(5)}?",
            "pred": phrase(1),
            "alt": f"{phrase(1)}\u200b" if dice.random() < 0.02 else phrase(1),
            "rephrase": f"{quote}Which {phrase(8)} can be seen?{quote}",
            "image": f"val2014/COCO_val2014_{dice.randrange(RECORDS):012}.jpg",
            "image_rephrase": f"val2014_image_rephrase/{number:06}.png",
            "loc": f"nq question: who wrote the {phrase(6)}",
            "loc_ans": phrase(2),
            "m_loc": f"val2014/COCO_val2014_{dice.randrange(RECORDS, 2 * RECORDS):012}.jpg",
            "m_loc_q": f"Is the {phrase(4)}?",
            "m_loc_a": phrase(1),
        }

    file.write_text(json.dumps([record(number) for number in range(records)]), encoding="utf-8")


def make_pictures(annotations: Path, folder: Path) -> int:
    """A small photo for every path; how many bytes they have together."""
    from PIL import Image

    size = 0
    records: list[dict[str, str]] = json.loads(annotations.read_text(encoding="utf-8"))
    paths = dict.fromkeys(record[field] for record in records for field in ("image", "image_rephrase", "m_loc"))
    for number, path in enumerate(paths):
        base = Image.effect_mandelbrot((96, 72), (-2 - number / 1e4, -1.2, 0.8, 1.2), 20).convert("RGB")
        buffer = io.BytesIO()
        base.save(buffer, "JPEG" if path.endswith("jpg") else "PNG")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        size += (folder / path).write_bytes(buffer.getvalue())
    return size


def measure(annotations: Path, images: Path, out: Path) -> dict[str, Any]:
    """Build, store, load and list, in this process."""
    from liveedit_bench.benchmark.edits import EditStream
    from liveedit_bench.data_builders import e_vqa
    from liveedit_bench.data_builders.choices import Choices

    def build(to: Path, *, limit: int | None) -> tuple[str, float]:
        began = time.perf_counter()
        built = e_vqa.build(annotations, Choices(images=images, on_missing_image="report", limit=limit))
        built.save(to)
        return built.stream.sha256, time.perf_counter() - began

    build(out / "warm", limit=10)
    list(EditStream.load(out / "warm"))
    before = _memory("VmRSS")
    _forget_peak()
    sha256, seconds = build(out / "stream", limit=None)
    peak = _memory("VmHWM") - before
    before = _memory("VmRSS")
    _forget_peak()
    began = time.perf_counter()
    stored = EditStream.load(out / "stream")
    edits = list(stored)
    return {
        "edits": len(edits),
        "probes": sum(len(edit.probes) for edit in edits),
        "sha256": sha256,
        "build_and_store_seconds": round(seconds, 2),
        "build_and_store_megabytes": round(peak, 1),
        "same_when_loaded": stored.sha256 == sha256,
        "load_and_list_seconds": round(time.perf_counter() - began, 2),
        "load_and_list_megabytes": round(_memory("VmHWM") - before, 1),
        "stored_megabytes": round(sum(file.stat().st_size for file in (out / "stream").iterdir()) / 1e6, 1),
    }


def _memory(name: str) -> float:
    """Megabytes of VmRSS (now) or VmHWM (at its peak); Linux only."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(name))) / 1024


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def in_a_fresh_process(annotations: Path, images: Path) -> dict[str, Any]:
    """What `measure` says, and the seconds that the process took with all its imports."""
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        words = [sys.executable, __file__, "--measure", annotations, images, out]
        said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        return {**json.loads(said), "process_seconds": round(time.perf_counter() - began, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "stream_scale.json")
    parser.add_argument("--measure", nargs=3, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(*given.measure)))
        return
    evidence: dict[str, Any] = {
        "command": "python perf/stream_scale.py",
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "allowed": {"seconds": SECONDS, "megabytes": MEGABYTES},
    }
    with tempfile.TemporaryDirectory() as folder:
        annotations, images = Path(folder) / "vqa_eval.json", Path(folder) / "images"
        make_annotations(annotations, records=given.records)
        for way in ("without_pictures", "with_pictures"):
            images.mkdir(exist_ok=True)
            size = make_pictures(annotations, images) if way == "with_pictures" else 0
            runs = [in_a_fresh_process(annotations, images) for _ in range(2)]
            evidence[way] = {"picture_megabytes": round(size / 1e6, 1), "runs": runs}
    given.out.write_text(json.dumps(evidence, indent=2) + "\n", encoding="utf-8")
    for way in ("without_pictures", "with_pictures"):
        runs = evidence[way]["runs"]
        if len({run["sha256"] for run in runs}) > 1 or not all(run["same_when_loaded"] for run in runs):
            sys.exit(f"a rebuilt stream differs: see {given.out}")
        for run in runs:
            if run["process_seconds"] > SECONDS or run["build_and_store_megabytes"] > MEGABYTES:
                sys.exit(f"more than {SECONDS} s or {MEGABYTES} MB {way.replace('_', ' ')}: see {given.out}")


if __name__ == "__main__":
    main()
