"""Questions that are none or tell too much: chatter, rephrases that are the prompt, prompts with the answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from ...benchmark.edits import Edit, Probe
from .finding import Finding, Number, Record, quoted
from .material import Material
from .wording import alike, question, stands_in, words


def _begins(*openings: str) -> Callable[[str, str], bool]:
    pattern = re.compile(rf"[\W_]*(?:{'|'.join(openings)})(?!\w)")
    return lambda rephrase, _prompt: pattern.match(rephrase) is not None


def _contains(*parts: str) -> Callable[[str, str], bool]:
    """A part that the prompt has too says nothing."""
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(parts)})")
    return lambda rephrase, prompt: pattern.search(rephrase) is not None and pattern.search(prompt) is None


def _list(rephrase: str, _prompt: str) -> bool:
    return re.search(r"(?:^|\s)1[.):]\s.*?\s2[.):]\s", f"{rephrase} ", re.DOTALL) is not None


def _long(rephrase: str, prompt: str) -> bool:
    said, asked = len(words(rephrase)), len(words(prompt))
    return said > 3 * asked and said - asked > 12


RULES: Final[dict[str, Callable[[str, str], bool]]] = {
    "empty": lambda rephrase, _prompt: not words(rephrase),
    "refusal": _begins(
        "i['\u2019]?m (?:very |so )?sorry", "i am (?:very |so )?sorry", "sorry", "i apologi[sz]e", "my apologies",
        "i can(?:not|['\u2019]t| not)", "i['\u2019]m (?:unable|not able)", "i am (?:unable|not able)",
        "unfortunately", "as an? (?:ai|language model|large language model)",
    ),
    "opening": _begins(
        "sure", "certainly", "of course", "absolutely", "okay", "ok",
        "here(?:['\u2019]s| is| are) (?:a|an|the|one|some|another|two|three|my|your)", "here you (?:go|are)",
    ),
    "talks about rephrasing": _contains(
        "rephras", "re-phras", "paraphras", "reword", "rewrit", "another way (?:to|of) (?:ask|say|phras)",
        "alternative (?:phras|version|way)", "(?:original|given|following) (?:question|sentence|prompt|text)",
    ),
    "numbered list": _list,
    "several lines": lambda rephrase, _prompt: sum(bool(line.strip()) for line in rephrase.splitlines()) > 1,
    "much longer than the prompt": _long,
}  # fmt: skip
"""Name -> does the rephrase, given the prompt, look like what a language model says around a rephrase?

`chatter_of` folds both as `wording.alike` does, line by line.
"""


def chatter_of(rephrase: str, prompt: str) -> tuple[str, ...]:
    """The rules by which a rephrase is chatter or a refusal.

    >>> chatter_of("Sure! Here is a rephrase: which sport is this?", "What sport is this?")
    ('opening', 'talks about rephrasing')
    >>> chatter_of("Which sport is this?", "What sport is this?")
    ()
    """
    said, asked = "\n".join(map(alike, rephrase.strip().splitlines())), alike(prompt)
    return tuple(name for name, rule in RULES.items() if rule(said, asked))


def chatter(given: Material) -> Finding:
    """Rephrases that a language model answered instead of rephrasing."""
    asked = list(_rephrases(given))
    found = [(at, edit, index, probe, chatter_of(probe.prompt, edit.prompt)) for at, edit, index, probe in asked]
    found = [place for place in found if place[4]]
    numbers: dict[str, Number] = {name: sum(name in place[4] for place in found) for name in RULES}
    return Finding(
        name="rephrase-chatter",
        title="rephrase is chatter or a refusal",
        count=len(found),
        of=len(asked),
        unit="rephrases",
        meaning="These rephrases look like what a language model says around a rephrase, or in place of one.",
        weight="odd",
        records=tuple(
            Record(at, edit.id, f"{', '.join(rules)}: {quoted(probe.prompt)}", probe=index)
            for at, edit, index, probe, rules in found
        ),
        numbers={name: count for name, count in numbers.items() if count},
    )


def unchanged(given: Material) -> Finding:
    """Rephrases that are the prompt."""
    asked = list(_rephrases(given))
    found = [place for place in asked if question(place[3].prompt) == question(place[1].prompt)]
    return Finding(
        name="rephrase-equals-prompt",
        title="rephrase equals the prompt",
        count=len(found),
        of=len(asked),
        unit="rephrases",
        meaning="But for case, white space, quotes and end marks these rephrases are the prompt: they test nothing.",
        weight="odd",
        records=tuple(Record(at, edit.id, quoted(probe.prompt), probe=index) for at, edit, index, probe in found),
        numbers={"letter by letter": sum(probe.prompt == edit.prompt for _, edit, _, probe in found)},
    )


def answer_in_prompt(given: Material) -> Finding:
    """Edits whose prompt contains the target."""
    found = [(at, edit) for at, edit in enumerate(given.edits) if stands_in(edit.target, question(edit.prompt))]
    return Finding(
        name="answer-in-prompt",
        title="prompt contains the target",
        count=len(found),
        of=len(given.edits),
        unit="edits",
        meaning="The target stands in these prompts word for word, so that copying is enough.",
        weight="odd",
        records=tuple(Record(at, edit.id, f"{quoted(edit.target)} in {quoted(edit.prompt)}") for at, edit in found),
        numbers={"prompts that offer a choice": sum("or" in words(edit.prompt) for _, edit in found)},
    )


def answer_in_rephrase(given: Material) -> Finding:
    """Rephrases that contain the target."""
    asked = list(_rephrases(given))
    found = [place for place in asked if stands_in(place[1].target, question(place[3].prompt))]
    return Finding(
        name="answer-in-rephrase",
        title="rephrase contains the target",
        count=len(found),
        of=len(asked),
        unit="rephrases",
        meaning="The target stands in these rephrases word for word, so that copying is enough.",
        weight="odd",
        records=tuple(
            Record(at, edit.id, f"{quoted(edit.target)} in {quoted(probe.prompt)}", probe=index)
            for at, edit, index, probe in found
        ),
        numbers={
            "of these, not in the prompt": sum(
                not stands_in(edit.target, question(edit.prompt)) for _, edit, _, _ in found
            )
        },
    )


def _rephrases(given: Material) -> Iterator[tuple[int, Edit, int, Probe]]:
    for at, edit in enumerate(given.edits):
        for index, probe in enumerate(edit.probes):
            if probe.kind == "text_generality":
                yield at, edit, index, probe
