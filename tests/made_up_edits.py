"""Edits with nothing odd about them, one trait of which a test changes at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from PIL import Image

from liveedit_bench.benchmark.edits import Edit, EditStream, Facts, Picture, Probe, Source, missing_picture, sha256_text
from liveedit_bench.data_builders.audit.material import Material


def shot(path: str, *, content: str | None = None) -> Picture:
    """A picture whose file is known by what is in it (its path, unless a test says otherwise)."""
    digest = sha256_text(content or path)
    colour = tuple(int(digest[at : at + 2], 16) for at in (0, 2, 4))
    return Picture(lambda: Image.new("RGB", (200, 120), colour), digest, path)


@dataclass
class Draft:
    """An edit in the making: number `n` of a side shares nothing with any other number or side."""

    n: int
    side: str = "eval"
    texts: dict[str, str] = field(default_factory=dict[str, str])
    pictures: dict[str, Picture] = field(default_factory=dict[str, Picture])

    def __getitem__(self, name: str) -> str:
        side, n = self.side, self.n
        mark = "" if side == "eval" else f"{side}-"
        usual = {
            "image": f"{side}/{mark}thing{n}.jpg",
            "second": f"{side}/{mark}again{n}.jpg",
            "other": f"{side}/{mark}elsewhere{n}.jpg",
            "prompt": f"What colour has {side} thing {n}?",
            "rephrase": f"Which hue does {side} thing {n} have?",
            "old": f"old {side} shade {n}",
            "target": f"{side}{n}ish",
            "text": f"who wrote {side} book {n}",
            "other_prompt": f"How many birds sit in {side} tree {n}?",
        }
        return self.texts.get(name, usual[name])

    def picture(self, name: str) -> Picture:
        return self.pictures.get(name) or shot(self[name])

    def edit(self) -> Edit:
        thing, prompt, target = PurePosixPath(self["image"]).stem, self["prompt"], self["target"]
        key = self.texts.get("key", f"{thing}/{prompt.casefold()}")
        image, other = self.picture("image"), self["other_prompt"]
        probes = (
            Probe("reliability", image, prompt, target, key),
            Probe("text_generality", image, self["rephrase"], target, key),
            Probe("image_generality", self.picture("second"), prompt, target, key),
            Probe("text_locality", None, self["text"], "somebody", f"text {self['text']}/answer"),
            Probe(
                "image_locality",
                self.picture("other"),
                other,
                "three",
                f"{PurePosixPath(self['other']).stem}/{other.casefold()}",
            ),
        )
        entity = self.texts.get("entity", thing)
        return Edit(image, prompt, target, probes, Facts(key, self["old"], entity, "what colour", f"record {self.n}"))


def made(n: int, side: str = "eval", **texts: str) -> Edit:
    """One edit, with some texts or picture paths of one's own."""
    return Draft(n, side, dict(texts)).edit()


def clean(many: int, side: str = "eval") -> list[Edit]:
    return [made(n, side) for n in range(many)]


def material(*edits: Edit, train: list[Edit] | None = None, pixels: dict[str, str] | None = None) -> Material:
    return Material(list(edits), train, pixels)


def stream(edits: list[Edit], *, split: str = "eval") -> EditStream:
    return EditStream(edits, Source("made-up", split, None, normalisation="casefold"))


def gone(path: str) -> Picture:
    return missing_picture(path)
