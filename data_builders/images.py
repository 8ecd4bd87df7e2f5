"""The paths in annotation files, and the picture files behind them."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..benchmark.edits import Picture, missing_picture
from ..benchmark.pictures import PictureFile, decode, pixels_sha256
from ..errors import BenchError
from .manifest import Entry, Manifest

_LONG_SCAN = 500  # pictures from which on a bar is worth its lines
_AHEAD = 64  # pictures per worker that are queued at a time


class Resolver:
    """Finds the pictures of an annotation file below one folder.

    Tried in this order: the folder itself, each of `roots` below it (the layouts seen in the wild), and the folder
    above where the folder is already the first part of the path (``--images coco/val2014`` with ``val2014/x.jpg``).
    Links that lie in the folder are followed; a path of the annotation that is absolute or climbs with ``..`` must
    end in the folder.

    Args:
        root: the folder with the pictures.
        roots: folders below it.

    Raises:
        BenchError: `root` is no folder.
    """

    def __init__(self, root: str | Path, *, roots: Sequence[str] = ()) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise BenchError(f"{self.root} is no folder; give the one that holds the pictures with --images")
        self._bases = [self.root, *(self.root / name for name in roots if name not in ("", "."))]
        self._absolute = Path(os.path.abspath(root))
        self._real = Path(os.path.realpath(root))
        self._known: dict[str, Picture] = {}

    def resolve(self, path: str) -> Picture:
        """The picture behind a path; nothing of it is read before somebody looks. A missing one says so when opened.

        Raises:
            BenchError: the path leads out of the folder.
        """
        if path not in self._known:
            file, looked_in = self.find(path)
            self._known[path] = (
                missing_picture(path, looked_in) if file is None else Picture(PictureFile(file, path), path=path)
            )
        return self._known[path]

    def find(self, path: str) -> tuple[Path | None, tuple[str, ...]]:
        """The file behind a path, if there is one, and the folders looked in.

        Raises:
            BenchError: the path leads out of the folder.
        """
        candidates = self._candidates(path)
        found = next((each for each in candidates if _is_there(each)), None)
        return found, tuple(dict.fromkeys(str(each.parent) for each in candidates))

    def check(self, paths: Iterable[str], *, workers: int | None = None, progress: bool = True) -> Manifest:
        """Decode every picture once, in threads, and write down what was found.

        Args:
            paths: as the annotations have them; each is looked at once.
            workers: threads; by default as many as there are processors, at most 8.
            progress: show a bar on stderr while a long scan goes on.
        """
        todo = list(dict.fromkeys(paths))
        workers = workers or min(8, os.cpu_count() or 1)
        columns = (TextColumn("pictures"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        shown = Progress(*columns, console=Console(stderr=True), transient=True, disable=True)
        shown.disable = not progress or len(todo) < _LONG_SCAN
        with shown, ThreadPoolExecutor(workers) as pool:
            batches = (todo[at : at + _AHEAD * workers] for at in range(0, len(todo), _AHEAD * workers))
            entries = (entry for batch in batches for entry in pool.map(self._look, batch))
            return Manifest(tuple(shown.track(entries, total=len(todo))))

    def _look(self, path: str) -> Entry:
        try:
            file, looked_in = self.find(path)
        except BenchError as error:
            return Entry(path, "refused", problem=str(error))
        if file is None:
            return Entry(path, "missing", problem=f"there is no {path}", looked_in=looked_in)
        entry = Entry(path, "ok", file=str(file))
        try:
            data = PictureFile(file, path).encoded()
            entry = replace(entry, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
            decoded = decode(data, name=path)
        except BenchError as error:
            return replace(entry, status="broken", problem=str(error), looked_in=looked_in)
        return replace(
            entry,
            pixels_sha256=pixels_sha256(decoded.image),
            width=decoded.image.width,
            height=decoded.image.height,
            format=decoded.format,
            mode=decoded.mode,
        )

    def _candidates(self, path: str) -> list[Path]:
        """The places where the picture may lie; all of them inside the folder."""
        if not path or "\0" in path:
            raise BenchError(f"{path!r} is no path of a picture; correct the annotation")
        parts = PurePosixPath(path).parts
        climbs = ".." in parts
        if not climbs and PurePosixPath(path).is_relative_to(self._absolute):
            return [Path(path)]
        if not climbs and not PurePosixPath(path).is_absolute():
            candidates = [base / path for base in self._bases]
            if parts[:1] == (self._absolute.name,) and len(parts) > 1:
                candidates.append(self.root.joinpath(*parts[1:]))
            return candidates
        if not self._holds(self.root / path):
            raise BenchError(
                f"the picture {path!r} lies outside {self.root}; "
                "an absolute path, or one with '..', is only followed inside the image folder"
            )
        return list(dict.fromkeys(base / path for base in self._bases if self._holds(base / path)))

    def _holds(self, file: Path) -> bool:
        return Path(os.path.realpath(file)).is_relative_to(self._real)


def _is_there(file: Path) -> bool:
    try:
        return not stat.S_ISDIR(file.stat().st_mode)
    except PermissionError:  # it is there, and opening it says so
        return True
    except OSError:  # also a name that is too long
        return False
