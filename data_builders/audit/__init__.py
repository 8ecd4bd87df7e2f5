"""What is odd about a stream: repeats, leaks, locality that is none, wording that gives the answer away.

Each check is a function of the material (edits, training edits, which pictures are the same) and returns a `Finding`.
An audit reports; it changes nothing and fails on nothing that it can read.
"""

from .finding import Finding, Record
from .report import Report, audit

__all__ = ["Finding", "Record", "Report", "audit"]
