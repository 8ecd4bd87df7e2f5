"""Can a backbone say the answers of a stream at all?"""

from __future__ import annotations

import sys

from ..benchmark.backbone import Backbone
from ..benchmark.edits import EditStream
from ..errors import BenchError


def refuse_unsayable_targets(stream: EditStream, backbone: Backbone) -> None:
    """Refuse a stream most of whose targets do not come back from the backbone's own tokens.

    A closed vocabulary turns the words of another world into one unknown token, and every score into noise. A few such
    targets (a rare sign in a real vocabulary) are only told on stderr.

    Raises:
        BenchError: with how many targets are lost, and one of them.
    """
    targets = sorted({edit.target for edit in stream})
    lost = [target for target in targets if _letters(backbone.decode(backbone.target_ids(target))) != _letters(target)]
    if not lost:
        return
    found = (
        f"{backbone.name} cannot say {len(lost):,} of the {len(targets):,} different targets of "
        f"{stream.source.dataset} (such as {lost[0]!r}): its vocabulary lacks them"
    )
    if 2 * len(lost) > len(targets):
        raise BenchError(f"{found}; give a model that knows such words with --backbone")
    print(f"warning: {found}; no editor can be right there", file=sys.stderr)


def _letters(text: str) -> str:
    """What must survive: tokenizers fold case and move white space."""
    return "".join(text.casefold().split())
