"""The page: one file, no script, no network, nothing unescaped, pictures inside."""

import base64
import io
import re
from html.parser import HTMLParser
from typing import Any

from made_up_edits import Draft, clean, gone, made, material, stream
from PIL import Image

from liveedit_bench.benchmark.edits import Picture
from liveedit_bench.data_builders.audit import audit
from liveedit_bench.data_builders.audit.examples import MOST, Thumbnails, gallery
from liveedit_bench.data_builders.audit.page import render
from liveedit_bench.data_builders.audit.repeats import no_ops, shared_pictures
from liveedit_bench.errors import BenchError

NASTY = "<script>alert('x')</script> \"quoted\" & more"


class Tags(HTMLParser):
    """Opened and closed in order; keeps what they hold."""

    VOID = ("meta", "img", "br", "line", "rect")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def page(**more: Any) -> str:
    lost = Draft(5)
    lost.pictures["image"], lost.texts["target"] = gone("far/away.jpg"), "old eval shade 5"
    edits = [
        *clean(3),
        made(3, prompt=NASTY, old="red", target="RED", rephrase=f"{NASTY}."),
        made(4, image="eval/thing2.jpg", other="eval/thing0.jpg"),
        lost.edit(),
    ]
    train = stream([made(0, "train", image="eval/thing1.jpg")], split="train")
    return render(*audit(stream(edits), train=train, notes=[NASTY], **more))


def test_one_file_without_network_or_script() -> None:
    text = page(hardness={"backbone": "0", "twins": 3, "majority_floor": 0.25})
    tags = Tags(text)
    assert not tags.of("script")
    assert not tags.of("link")
    assert "<script>" not in text
    assert text.count("&lt;script&gt;") >= 4
    for name, attributes in tags.found:
        for attribute in ("src", "href"):
            value = attributes.get(attribute)
            assert value is None or value.startswith(("data:image/", "#")), (name, value)
    assert not re.search(r"url\(|@import|https?://", text)
    policy = next(meta["content"] for meta in tags.of("meta") if meta.get("http-equiv"))
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert "0.250" in text


def test_links_lead_to_sections() -> None:
    tags = Tags(page())
    sections = {section["id"] for section in tags.of("section") if "id" in section}
    assert {link["href"] for link in tags.of("a")} == {f"#{name}" for name in sections}
    assert {"no-op", "shared-pictures", "locality-edited-picture", "train-edited-picture"} <= sections


def test_pictures_are_inside_and_small() -> None:
    tags = Tags(page())
    shown = [image["src"] or "" for image in tags.of("img")]
    assert len(shown) > 5
    for uri in shown:
        head, _, data = uri.partition(",")
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert head == f"data:image/{(image.format or '').lower()};base64"
            assert max(image.size) == 160
    assert "missing: far/away.jpg" in page()


def test_a_page_is_the_same_every_time() -> None:
    assert page() == page()


def test_a_picture_that_cannot_be_read() -> None:
    def broken() -> Image.Image:
        raise BenchError("truncated")

    shot = Thumbnails().shot(Picture(broken, "0" * 64, "x.jpg"), "edited")
    assert (shot.uri, shot.says) == (None, "cannot be read: x.jpg")


def test_small_drawings_keep_their_pixels() -> None:
    uri = Thumbnails().shot(Picture(lambda: Image.new("RGB", (48, 48), (1, 2, 3))), "edited").uri or ""
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        assert (image.format, image.getpixel((5, 5))) == ("PNG", (1, 2, 3))


def test_examples_are_few_and_groups_stay_together() -> None:
    shared = material(*(made(n, image=f"p{n // 5}.jpg") for n in range(40)))
    found = gallery(shared_pictures(shared), shared, Thumbnails())
    assert (found.cards, found.edits, [len(group) for group in found.groups]) == (MOST, 40, [3, 3])
    for group in found.groups:
        assert len({card.position // 5 for card in group}) == 1
    same = material(*(made(n, old="red", target="Red") for n in range(40)))
    found = gallery(no_ops(same), same, Thumbnails())
    assert [len(group) for group in found.groups] == [1] * MOST
    assert len({group[0].position for group in found.groups}) == MOST
    assert [group[0].position for group in found.groups] != list(range(MOST))
