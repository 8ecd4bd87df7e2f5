"""Scenarios: the same edits in another order, edited again later, or with cleaner neighbours.

>>> from liveedit_bench.data_builders.emblems import build
>>> arrange(build(4), ["by-entity"], seed=1).source.scenario
'by-entity'
"""

from .arranging import SCENARIOS, Arranged, arrange, arranged

__all__ = ["SCENARIOS", "Arranged", "arrange", "arranged"]
