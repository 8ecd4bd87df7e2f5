"""How the texts of annotations become the texts of a stream: two recipes of named, recorded steps.

``clean`` applies every step that changes something. ``paper`` applies none and appends to each question what the
paper's code appends, so that the model reads what it read there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from ..benchmark.edits import Texts

Role = Literal[
    "prompt",
    "rephrase",
    "target",
    "old",
    "text_locality",
    "text_locality_answer",
    "image_locality",
    "image_locality_answer",
    "portability",
    "portability_answer",
]
"""What a text is for; steps and suffixes depend on it."""

Step = Literal["zero-width", "nfc", "newlines", "strip", "quotes", "nq-question"]

# Characters without width that carry no meaning of their own: zero-width space, word joiner, byte-order mark,
# direction marks. Joiners (U+200C, U+200D) stay: they make ligatures and emoji.
_ZERO_WIDTH = dict.fromkeys((0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)))
_LINE_BREAK = re.compile(r"[^\S\n\r\v\f\x85\u2028\u2029]*[\n\r\v\f\x85\u2028\u2029\t]\s*")
_NQ = re.compile(r"^nq question:\s*", re.IGNORECASE)
_QUOTES = (('"\u201c\u201d\u201e\u00ab\u00bb', '"'), ("'\u2018\u2019`", "'"))


@dataclass(frozen=True)
class Change:
    """One step that changed one text. `before` is the text as the step found it."""

    field: str
    step: Step
    before: str


def clean(raw: str, role: Role) -> tuple[str, list[tuple[Step, str]]]:
    """The cleaned text, and each step that changed it with the text before that step."""
    text, taken = raw, list[tuple[Step, str]]()
    for step, apply in _STEPS:
        if _ONLY.get(step, role) != role:
            continue
        after = apply(text)
        if after != text:
            taken.append((step, text))
            text = after
    return text, taken


def prepare(
    raw: str, *, field: str, role: Role, recipe: Texts, suffixes: Mapping[Role, str]
) -> tuple[str, tuple[Change, ...]]:
    """One text by one recipe.

    Args:
        raw: as the annotation has it.
        field: its name there, for the record of changes.
        role: what it is for.
        recipe: ``clean`` or ``paper``.
        suffixes: what `paper` appends.
    """
    if recipe == "paper":
        return raw + suffixes.get(role, ""), ()
    text, taken = clean(raw, role)
    return text, tuple(Change(field, step, before) for step, before in taken)


def key_text(raw: str, role: Role = "prompt") -> str:
    """How a text enters a fact's key, by every recipe: cleaned, case folded, runs of white space as one blank."""
    return " ".join(clean(raw, role)[0].casefold().split())


def _one_line(text: str) -> str:
    # Outer breaks are the business of "strip", so that each step says one thing.
    core = text.strip()
    begin = text.index(core) if core else 0
    return text[:begin] + _LINE_BREAK.sub(" ", core) + text[begin + len(core) :] if core else text


def _unquoted(text: str) -> str:
    """Without quotes around the whole, or a lone one at an end; quotes around a part of it stay."""
    while True:
        for marks, plain in _QUOTES:
            inner = _without(text, marks, apostrophe=plain == "'")
            if inner is not None:
                text = inner.strip()
                break
        else:
            return text


def _without(text: str, marks: str, *, apostrophe: bool) -> str | None:
    at = [place for place, letter in enumerate(text) if letter in marks and not _inside_word(text, place)]
    last = len(text) - 1
    if len(at) == 1 and last > 0:
        if at[0] == 0:
            return text[1:]
        # A lone apostrophe at the end is a plural possessive as likely as a quote.
        return text[:-1] if at[0] == last and not apostrophe else None
    if len(at) < 2 or at[0] != 0 or at[-1] != last:
        return None
    inner = at[1:-1]
    # `"A" or "B"` begins and ends with quotes that do not belong together: its second one closes.
    closes_early = bool(inner) and inner[0] > 0 and not text[inner[0] - 1].isspace() and inner[0] != 1
    return None if len(inner) % 2 or closes_early else text[1:-1]


def _inside_word(text: str, place: int) -> bool:
    return 0 < place < len(text) - 1 and text[place - 1].isalnum() and text[place + 1].isalnum()


_STEPS: tuple[tuple[Step, Callable[[str], str]], ...] = (
    ("zero-width", lambda text: text.translate(_ZERO_WIDTH)),
    ("nfc", lambda text: unicodedata.normalize("NFC", text)),
    ("newlines", _one_line),
    ("strip", str.strip),
    ("quotes", _unquoted),
    ("nq-question", lambda text: _NQ.sub("", text)),
)
_ONLY: Mapping[Step, Role] = {"quotes": "rephrase", "nq-question": "text_locality"}
STEPS: tuple[Step, ...] = tuple(step for step, _ in _STEPS)
