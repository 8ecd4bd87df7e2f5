"""The invented language: names of two to four syllables, each syllable one token.

A name is a first syllable, up to two middle ones and a last one; the three sets share no syllable, so a
name's tokens say where in the name they stand. Middle syllables end in a, e or i, last ones in a consonant after
o or u: a longest-match tokenizer can cut a name in one way only.
"""

from __future__ import annotations

from .dice import Dice

FIRST = tuple(
    consonant + vowel for consonant in ("B", "D", "F", "G", "K", "L", "M", "N", "R", "S", "P", "V") for vowel in "aeo"
)[:30]
MIDDLE = tuple(consonant + vowel for consonant in ("b", "d", "g", "l", "m", "n", "r", "s") for vowel in "aei")[:22]
LAST = tuple(
    consonant + vowel + end
    for consonant, end in (
        ("d", "r"),
        ("l", "n"),
        ("m", "s"),
        ("n", "k"),
        ("r", "th"),
        ("t", "l"),
        ("v", "m"),
        ("s", "x"),
        ("k", "p"),
        ("b", "t"),
        ("f", "g"),
    )
    for vowel in "ou"
)


def coin_names(count: int, key: str, taken: set[str]) -> tuple[str, ...]:
    """`count` new names; `taken` grows by them. Two names never agree, in this list or in another."""
    dice, names = Dice("names", key), list[str]()
    while len(names) < count:
        middles = (0, 1, 1, 2)[dice.below(4)]
        name = dice.choice(FIRST) + "".join(dice.choice(MIDDLE) for _ in range(middles)) + dice.choice(LAST)
        if name not in taken:
            taken.add(name)
            names.append(name)
    return tuple(names)
