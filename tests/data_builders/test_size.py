"""A file of E-VQA's size: what building and storing its stream costs without pictures."""

import json
import subprocess
import sys
from pathlib import Path

from made_up_files import e_vqa

MEASURE = """
import os, resource, sys
from pathlib import Path
import datasets, datasets.arrow_writer, pyarrow
from liveedit_bench.data_builders import assembly, e_vqa, images
from liveedit_bench.data_builders.choices import Choices

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

before = peak()
built = e_vqa.build(Path(sys.argv[1]), Choices(on_missing_image="report"))
built.save(Path(sys.argv[2]))
probes = sum(len(edit.probes) for edit in built.stream)
print(len(built.stream), probes, sum(os.times()[:2]), (peak() - before) / 2**20)
"""


def test_two_thousand_edits_are_built_in_seconds_and_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "vqa_eval.json"
    file.write_text(json.dumps(e_vqa().evaluation))
    command = [sys.executable, "-c", MEASURE, str(file), str(tmp_path / "stream")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    edits, probes, seconds, megabytes = map(float, done.stdout.split())
    assert (edits, probes) == (2093, 10465)
    assert seconds < 20  # of the processor, imports included
    assert megabytes < 60
