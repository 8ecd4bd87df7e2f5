"""Streams of a few hand-made edits: who shares a picture, an entity or a fact is said in one line."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from fakes import picture

from liveedit_bench.benchmark.edits import Edit, EditStream, Facts, Kind, Probe, Source


def small_edit(
    number: int,
    *,
    entity: str | None = None,
    image: str | None = None,
    key: str | None = None,
    target: str | None = None,
    task: str = "clan",
    locality: Iterable[Probe] = (),
    portable: bool = False,
) -> Edit:
    """Everything of its own unless told otherwise: entity, picture, fact and target."""
    name = f"thing{number}" if entity is None else entity
    shown, fact = picture(image or f"picture{number}"), key or f"{name}/fact{number}"
    said, prompt = target or f"target{number}", f"what is {number}"
    probes = [
        Probe("reliability", shown, prompt, said, fact),
        Probe("text_generality", shown, f"say what is {number}", said, fact),
        Probe("image_generality", picture(f"again {number}"), prompt, said, fact),
    ]
    if portable:
        probes.append(Probe("portability", shown, "who leads it", f"leader of {said}", f"{fact}.hop", (fact,)))
    return Edit(
        shown, prompt, said, (*probes, *locality), Facts(fact, f"old{number}", name, task, "by hand", number % 2 == 0)
    )


def local(
    kind: Kind, prompt: str, *, image: str | None = None, fact: str = "free/x", truth: str = "so", **more: Any
) -> Probe:
    return Probe(kind, None if image is None else picture(image), prompt, truth, fact, **more)


def small_stream(edits: Sequence[Edit], name: str = "small", **source: Any) -> EditStream:
    return EditStream(edits, replace(Source(name, "test", None), **source))


def plain(count: int, name: str = "small") -> EditStream:
    return small_stream([small_edit(number) for number in range(count)], name)


def numbers(stream: EditStream) -> list[int]:
    """Which edits stand where, by the number in their prompts."""
    return [int(edit.prompt.split()[-1]) for edit in stream]
