"""One digest over 256 drawings: the same on every machine and every Pillow from the floor on.

To try a Pillow, give it an environment of its own; drawing needs NumPy beside it and nothing else::

    python3 -m venv ../oldest && ../oldest/bin/pip install pillow==12.0.0 numpy==2.0.0
    ln -s "$PWD" ../oldest/liveedit_bench
    PYTHONPATH=../oldest ../oldest/bin/python -m liveedit_bench.data_builders.emblems.golden
"""

from __future__ import annotations

import hashlib
import sys

import numpy
import PIL

from .dice import Dice
from .world import Emblem, emblem

GOLDEN = "d761f025f35abd000082fe70235e2fef826a5a3f8e7979b0824c12e476f2c8b6"


def golden_emblems() -> list[Emblem]:
    """256 emblems: every shape with every pattern at least twice, the other attributes as drawn."""
    dice = Dice("golden")
    return [emblem(index % 12, dice.below(12), index // 12 % 10, dice.below(6), dice.below(4)) for index in range(256)]


def golden_sha256() -> str:
    """Hex digest over the pixels of the 256, each under a view of its own."""
    digest = hashlib.sha256()
    for index, each in enumerate(golden_emblems()):
        digest.update(each.draw("golden", index).tobytes())
    return digest.hexdigest()


def main() -> int:
    """Say whether this environment draws the golden pixels."""
    found = golden_sha256()
    print(f"Pillow {PIL.__version__}, NumPy {numpy.__version__}: {found}")
    if found != GOLDEN:
        print(f"differs from {GOLDEN}", file=sys.stderr)
    return int(found != GOLDEN)


if __name__ == "__main__":
    raise SystemExit(main())
