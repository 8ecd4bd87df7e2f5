"""The same command twice into two fresh folders: equal digest, equal bytes of `probes.parquet`.

python perf/digest_check.py --editor liveedit --steps 1000
"""

import argparse
import hashlib
import json
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCRIPT = Path(sysconfig.get_path("scripts")) / "liveedit-bench"


def run(out: Path, words: list[str]) -> dict[str, object]:
    """One run: digest, answers, seconds."""
    subprocess.run([SCRIPT, "run", *words, "--out", out], check=True, stdout=subprocess.DEVNULL)
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    return {
        "digest": result["digest"],
        "probes_sha256": hashlib.sha256((out / "probes.parquet").read_bytes()).hexdigest(),
        "wall_seconds": result["cost"]["wall_seconds"],
        "threads": result["environment"]["threads"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--editor", default="liveedit")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "digest.json")
    given = parser.parse_args()
    words = ["--editor", given.editor, "--steps", str(given.steps), "--split", given.split]
    with tempfile.TemporaryDirectory() as folder:
        runs = [run(Path(folder) / name, words) for name in ("first", "second")]
    equal = all(runs[0][name] == runs[1][name] for name in ("digest", "probes_sha256"))
    evidence = {"command": " ".join(["liveedit-bench", "run", *words]), "equal": equal, "runs": runs}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(evidence, indent=2) + "\n", encoding="utf-8")
    if not equal:
        sys.exit(f"the two differ: see {given.out}")


if __name__ == "__main__":
    main()
