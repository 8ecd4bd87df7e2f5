"""What a bare number would leave unsaid."""

from __future__ import annotations

from ..schema import Estimate
from ..standings import HEADLINES
from ..submission import Submission


def in_words(submission: Submission, number: Estimate) -> str:
    """One line: which number, of what, its interval, and whether it may be ranked."""
    name, scorer = HEADLINES[submission.protocol]
    seeds = len(submission.seeds)
    interval = f", 95% interval [{number.ci95[0]:.3f}, {number.ci95[1]:.3f}]" if number.ci95 else ""
    ranked = "official" if submission.official else f"not official: {'; '.join(submission.reasons)}"
    return (
        f"{name} ({scorer}) of the editor {submission.name} after {submission.curve[-1].step} edits of "
        f"{submission.dataset}/{submission.split}, {seeds} seed{'s' * (seeds != 1)}{interval}; {ranked}"
    )
