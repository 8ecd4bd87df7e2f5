"""Bytes to pixels, the same way wherever pictures come from: a file, a stored stream.

What the loaders of the field do is done here too: the first frame, then a plain ``convert("RGB")``. An EXIF
orientation is not applied, an alpha channel is dropped, a palette and CMYK are converted, and greys of more than
8 bits are clipped at 255.
"""

from __future__ import annotations

import hashlib
import io
import stat
import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BenchError

if TYPE_CHECKING:
    from PIL.Image import Image

# Raster formats only: Pillow opens EPS by running Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF", "PPM")
# Pillow's own line, a quarter of a gigabyte of RGB, where it warns; here it is refused.
LARGEST_PIXELS = 2**30 // 12
LARGEST_BYTES = 2**28


@dataclass(frozen=True)
class Decoded:
    """A picture as RGB, with what its header said.

    width and height are in pixels; mode is Pillow's, before the conversion.
    """

    image: Image
    format: str
    mode: str


def decode(data: bytes, *, name: str) -> Decoded:
    """Decode the bytes of a picture file.

    Raises:
        BenchError: the bytes are no picture, a damaged one, or one of more than `LARGEST_PIXELS`; says `name`.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with _quiet(), Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            if opened.width * opened.height > LARGEST_PIXELS:
                raise _too_large(name, f"{opened.width} x {opened.height} by its header")
            return Decoded(opened.convert("RGB"), opened.format or "", opened.mode)
    except BenchError:
        raise
    except UnidentifiedImageError:
        raise BenchError(f"{name} is no picture: {_beginning(data)}; get the file again") from None
    except Image.DecompressionBombError:
        raise _too_large(name, f"more than {2 * LARGEST_PIXELS:,} by its header") from None
    except Exception as error:  # what a decoder raises over damaged bytes is anybody's guess
        raise BenchError(f"{name} is damaged ({str(error) or type(error).__name__}); get the file again") from error


def pixels_sha256(image: Image) -> str:
    """Hex digest of mode, size and pixels: equal for files that differ only in how they are encoded without loss."""
    header = f"{image.mode} {image.width}x{image.height} ".encode()
    return hashlib.sha256(header + image.tobytes()).hexdigest()


@dataclass(frozen=True)
class PictureFile:
    """Opens one picture file, decodes it and closes it again.

    `name` is what messages call it: the path in the annotation.
    """

    file: Path
    name: str

    def encoded(self) -> bytes:
        """The bytes of the file. Raises `BenchError` when it cannot be read."""
        try:
            status = self.file.stat()
            if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
                raise BenchError(f"{self.name} is no file ({self.file})")
            if status.st_size > LARGEST_BYTES:
                size = f"{status.st_size:,} bytes; the largest that is read has {LARGEST_BYTES:,}"
                raise BenchError(f"{self.name} has {size}")
            return self.file.read_bytes()
        except OSError as error:
            raise BenchError(f"{self.name} cannot be read ({self.file}: {error.strerror or error})") from error

    def __call__(self) -> Image:
        """The picture as RGB. Raises `BenchError` as `encoded` and `decode` do."""
        return decode(self.encoded(), name=self.name).image


def _too_large(name: str, size: str) -> BenchError:
    return BenchError(
        f"{name} is too large ({size}; at most {LARGEST_PIXELS:,} pixels are decoded); replace it by a smaller copy"
    )


def _beginning(data: bytes) -> str:
    if not data:
        return "it is empty"
    text = data[:24].decode("ascii", errors="replace")
    return (
        f"it begins with {text!r}"
        if text.isprintable()
        else f"no {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, or cut short"
    )


class _Quiet:
    """Silences warnings while any thread is inside; `warnings.catch_warnings` alone mixes threads up."""

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._caught: warnings.catch_warnings[None] = warnings.catch_warnings()

    @contextmanager
    def __call__(self) -> Generator[None]:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    self._caught.__exit__(None, None, None)


_quiet = _Quiet()
