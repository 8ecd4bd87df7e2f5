"""When two texts say the same: the comparisons that the checks use."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060\ufeff]")
_QUOTES = "\"'`\u2018\u2019\u201c\u201d\u00ab\u00bb"
_WORD = re.compile(r"\w+")


@lru_cache(maxsize=65_536)
def alike(text: str) -> str:
    """An answer without what does not change it: case, white space, invisible characters, composition (NFC)."""
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFC", text)).split()).casefold()


@lru_cache(maxsize=65_536)
def question(text: str) -> str:
    """A question as `alike`, and without quotes around it, marks at its end and the templates of the paper's protocol.

    So that streams with other recipes of texts can be compared.
    """
    bare = alike(text).removesuffix("the answer is:").strip().removeprefix("nq question:").strip()
    return bare.strip(_QUOTES).rstrip("?.! ").strip(_QUOTES)


@lru_cache(maxsize=65_536)
def words(text: str) -> tuple[str, ...]:
    """The words of a text, case folded, without marks."""
    return tuple(_WORD.findall(alike(text)))


def stands_in(answer: str, text: str) -> bool:
    """Whether the words of `answer` stand in `text`, one after another.

    Answers that questions contain by their nature do not count: yes, no, and single letters.
    """
    wanted, given = words(answer), words(text)
    if wanted in ((), ("yes",), ("no",)) or (len("".join(wanted)) == 1 and not wanted[0].isdigit()):
        return False
    return any(given[at : at + len(wanted)] == wanted for at in range(len(given) - len(wanted) + 1))
