import hashlib
import io
import struct
import threading
import time
import warnings
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from liveedit_bench.benchmark import pictures
from liveedit_bench.benchmark.edits import Picture
from liveedit_bench.benchmark.pictures import PictureFile, decode, pixels_sha256
from liveedit_bench.errors import BenchError


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(mode: str = "RGB") -> Image.Image:
    return Image.effect_noise((16, 12), 80).convert(mode)


def png_of(width: int, height: int) -> bytes:
    """A header that asks for so many pixels, over a handful of bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb_by_a_plain_conversion(mode: str) -> None:
    image = noise().convert(mode) if mode != "I;16" else Image.new("I;16", (16, 12), 300)
    decoded = decode(encoded(image, "TIFF"), name="x")
    assert (decoded.mode, decoded.format) == (mode, "TIFF")
    assert decoded.image.mode == "RGB"
    assert decoded.image.tobytes() == image.convert("RGB").tobytes()


def test_an_orientation_in_the_file_is_not_applied() -> None:
    image = noise()
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    assert decode(encoded(image, exif=exif), name="x").image.size == (16, 12)
    assert decode(encoded(image, exif=exif), name="x").image.tobytes() == image.tobytes()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = encoded(
        frames[0], kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
    )
    assert decode(data, name="x").image.getpixel((0, 0)) == (255, 0, 0)


def test_pictures_that_pillow_warns_of_are_decoded_in_silence(recwarn: pytest.WarningsRecorder) -> None:
    palette = noise("P")
    data = encoded(palette, transparency=bytes(range(200)))
    with Image.open(io.BytesIO(data)) as image:
        image.convert("RGB")
    assert len(recwarn.list) == 1, "the picture is one that Pillow warns of"
    recwarn.clear()
    decode(data, name="x")
    assert recwarn.list == []
    warnings.warn("still heard", stacklevel=1)
    assert [str(one.message) for one in recwarn.list] == ["still heard"]


def test_warnings_are_heard_again_after_threads_that_overlap() -> None:
    before = warnings.filters[:]
    entered = threading.Event()

    def stay() -> None:
        with pictures._quiet():
            entered.set()
            time.sleep(0.05)

    thread = threading.Thread(target=stay)
    with pictures._quiet():
        thread.start()
        entered.wait()
    thread.join()
    assert warnings.filters == before


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", r"x\.jpg is no picture: it is empty"),
        (
            b"<!DOCTYPE html><title>404",
            r"x\.jpg is no picture: it begins with '<!DOCTYPE html><title>40'; get the file",
        ),
        (bytes(range(256)), r"x\.jpg is no picture: no JPEG, PNG, .* or PPM, or cut short; get the file again"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", r"x\.jpg is no picture"),
        (encoded(noise().resize((80, 60)), "JPEG")[:-400], r"x\.jpg is damaged \(.*truncated.*\); get the file again"),
        (encoded(noise())[:60], r"x\.jpg is damaged \("),
        (png_of(10_000, 10_000), r"x\.jpg is too large \(10000 x 10000 by its header; at most 89,478,485 pixels"),
        (png_of(30_000, 30_000), r"x\.jpg is too large \(more than 178,956,970 by its header"),
    ],
)
def test_what_is_no_picture_is_one_line(data: bytes, words: str, recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(BenchError, match=words) as raised:
        decode(data, name="x.jpg")
    assert "\n" not in str(raised.value)
    assert recwarn.list == []


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise KeyboardInterrupt("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", refuse)
    with pytest.raises(BenchError, match="too large"):
        decode(png_of(10_000, 10_000), name="x")
    with pytest.raises(KeyboardInterrupt):
        decode(png_of(10, 10), name="x")


def test_equal_pixels_have_one_digest_however_they_are_encoded() -> None:
    image = noise()
    digests = {pixels_sha256(decode(encoded(image, kind), name="x").image) for kind in ("PNG", "BMP", "TIFF", "PPM")}
    assert digests == {Picture(lambda: image).sha256}


def test_a_file_is_read_when_asked_and_named_by_its_bytes(tmp_path: Path) -> None:
    picture = Picture(PictureFile(tmp_path / "x.png", "a/x.png"))
    with pytest.raises(BenchError, match=r"a/x\.png cannot be read \(.*No such file"):
        picture.open()
    data = encoded(noise())
    (tmp_path / "x.png").write_bytes(data)
    assert picture.sha256 == hashlib.sha256(data).hexdigest()
    assert picture.open().size == (16, 12)


def test_folders_pipes_and_giants_are_no_picture_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    for file in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(BenchError, match="x is no file"):
            PictureFile(file, "x").encoded()
    monkeypatch.setattr(pictures, "LARGEST_BYTES", 10)
    (tmp_path / "giant").write_bytes(bytes(11))
    with pytest.raises(BenchError, match="x has 11 bytes; the largest that is read has 10"):
        PictureFile(tmp_path / "giant", "x").encoded()
