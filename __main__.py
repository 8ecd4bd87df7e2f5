"""`python -m liveedit_bench` is the same as `liveedit-bench`."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main()
