"""A stream on disk: a Hugging Face `datasets` dataset with the picture bytes inside.

The folder holds what `datasets.load_from_disk` opens, and `stream.json`, which says where the stream
comes from. One row is one edit; its probes are a list of structs. Every picture stands as an `Image`
feature (the bytes of its file, or a PNG of a generated one) beside the sha256 it is known by and the path
that an annotation calls it by. A missing picture has sha256 and path, and no image.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast, overload

from ..errors import BenchError
from .edits import Edit, EditStream, Facts, HasBytes, Picture, Probe, Source, canonical_json, missing_picture
from .pictures import decode, pixels_sha256

if TYPE_CHECKING:
    from PIL.Image import Image

SCHEMA_VERSION = "1"
STREAM_FILE = "stream.json"


def save_stream(stream: EditStream, path: Path, *, beside: Mapping[str, bytes] = MappingProxyType({})) -> None:
    """Store `stream` in the new or empty folder `path`; nothing is left there when it fails.

    Args:
        stream: with one edit at least.
        path: of the folder.
        beside: further files of the folder, by name.

    Raises:
        BenchError: The stream is empty; `path` holds something already, or cannot be written.
    """
    with new_folder(stream, path) as folder:
        _write(stream, folder)
        for name, content in beside.items():
            with (folder / name).open("xb") as file:  # nothing of the stream's own is written over
                file.write(content)


@contextmanager
def new_folder(stream: EditStream, path: Path) -> Generator[Path]:
    """A folder to be made and filled, which becomes `path` at the end, or vanishes when something fails.

    Raises:
        BenchError: as `save_stream`.
    """
    if not len(stream):
        raise BenchError(f"the stream has no edit, so there is nothing to store in {path}")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise BenchError(f"{path} exists and is not empty; give a new folder for the stream")
    partial = path.absolute().with_name(f".{path.absolute().name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        yield partial / "stream"
        (partial / "stream").rename(path)
    except OSError as error:
        raise BenchError(
            f"cannot store the stream in {path}: {error.strerror or error}; mend that and repeat"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def load_stream(path: Path) -> EditStream:
    """Open what `save_stream` stored or `export_parquet` wrote. Rows and pictures are read when asked for.

    Raises:
        BenchError: `path` holds no stream, or a damaged one. A row or picture that does not have the
            digest stored with it says so when it is read.
    """
    if not (path / STREAM_FILE).is_file():
        raise BenchError(f"{path} holds no stream ({STREAM_FILE} is missing); give a folder written by EditStream.save")
    try:
        card = json.loads((path / STREAM_FILE).read_text(encoding="utf-8"))
        if card["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"its schema is {card['schema_version']!r}, this release reads {SCHEMA_VERSION!r}")
        source = Source(**card["source"])
        dataset = _open(path)
        rows = _Rows(dataset.with_format("arrow"), path)
        if len(rows) != card["edits"]:
            raise ValueError(f"it has {len(rows)} rows and should have {card['edits']}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{path} holds a damaged stream ({error}); build or copy it again") from error
    return EditStream(rows, source)


def _open(path: Path) -> Any:
    import datasets

    shards = sorted(str(file) for file in (path / "data").glob("*.parquet"))
    with _no_progress_bars():
        if shards:  # `datasets` keeps an Arrow copy in its cache: rows of Parquet cannot be opened one by one
            return cast(Any, datasets).Dataset.from_parquet(shards)
        return cast(Any, datasets).Dataset.load_from_disk(str(path))


def _write(stream: EditStream, folder: Path) -> None:
    """Rows go to the file as they come: neither the stream nor its pictures have to fit into memory."""
    import datasets

    source, features = stream.source, columns()
    about = f"Edits of {source.dataset}, split {source.split}, seed {source.seed}; stream sha256 {stream.sha256}."
    # An empty dataset makes the folder what `load_from_disk` expects; its one file is then written here.
    # (`save_to_disk` of the rows would copy every picture once more, through memory.)
    info = datasets.DatasetInfo(description=about, features=features)
    empty = cast(Any, datasets).Dataset.from_dict({name: [] for name in features}, features=features, info=info)
    with _no_progress_bars():
        empty.save_to_disk(folder, num_shards=1)
    (file,) = folder.glob("*.arrow")
    _write_rows(stream, file, features.arrow_schema)
    (folder / STREAM_FILE).write_text(canonical_json(stream_card(stream)) + "\n", encoding="utf-8")


def stream_card(stream: EditStream) -> dict[str, object]:
    """What `stream.json` says."""
    return {
        "schema_version": SCHEMA_VERSION,
        "source": stream.source.canonical(),
        "edits": len(stream),
        "sha256": stream.sha256,
    }


def _write_rows(stream: EditStream, file: Path, schema: Any) -> None:
    import pyarrow

    pa: Any = pyarrow
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches(stream, rows=64, size=2**22):
            writer.write_batch(pa.RecordBatch.from_pylist(batch.rows, schema=schema))


@dataclass(frozen=True)
class RowBatch:
    """Some rows, and the bytes that their pictures take."""

    rows: list[dict[str, Any]]
    size: int


def batches(stream: EditStream, *, rows: int, size: int) -> Iterator[RowBatch]:
    """The rows of a stream: at most `rows` at a time, and at most `size` bytes of pictures, unless one has more."""
    taken: list[dict[str, Any]] = []
    filled = 0
    for edit in stream:
        row, weight = _row(edit)
        if taken and (len(taken) == rows or filled + weight > size):
            yield RowBatch(taken, filled)
            taken, filled = [], 0
        taken.append(row)
        filled += weight
    if taken:
        yield RowBatch(taken, filled)


def columns() -> Any:
    """Columns of a row. Whoever changes them keeps `_Rows` able to read what was stored before."""
    from datasets import Features, Image, List, Value

    text, flag = Value("string"), Value("bool")
    picture = {"image": Image(), "image_sha256": text, "image_path": text}
    return Features(
        {
            "id": text,
            **picture,
            "prompt": text,
            "target": text,
            "facts": dict.fromkeys(("key", "old", "entity", "task", "provenance"), text) | {"seen_target": flag},
            "probes": List(
                {"kind": text, **picture}
                | dict.fromkeys(("prompt", "target", "fact"), text)
                | {"facts_used": List(text), "seen": flag}
            ),
        }
    )


def _row(edit: Edit) -> tuple[dict[str, Any], int]:
    """What the digests cover, and the pictures; with the bytes that the pictures take."""
    encoded: dict[str, bytes] = {}  # most probes of an edit share its picture

    def shown(picture: Picture | None) -> dict[str, Any]:
        if picture is None:
            return {"image": None, "image_sha256": None, "image_path": None}
        known = {"image_sha256": picture.sha256, "image_path": picture.path}
        if picture.missing:
            return {"image": None, **known}
        if picture.sha256 not in encoded:
            encoded[picture.sha256] = _encode(picture)
        return {"image": {"bytes": encoded[picture.sha256], "path": None}, **known}

    probes = [{**probe.canonical(), **shown(probe.image)} for probe in edit.probes]
    row: dict[str, Any] = {"id": edit.id, **edit.canonical(), **shown(edit.image), "probes": probes}
    return row, sum(len(each["image"]["bytes"]) for each in (row, *row["probes"]) if each["image"] is not None)


def _encode(picture: Picture) -> bytes:
    if isinstance(picture.opener, HasBytes):
        data, name = picture.opener.encoded(), picture.path or "a picture"
        if hashlib.sha256(data).hexdigest() != picture.sha256 and not _has_pixels(data, picture.sha256, name):
            raise BenchError(f"{name} changed while the stream was being built; build it again")
        return data
    buffer = io.BytesIO()
    picture.open().save(buffer, format="PNG")
    return buffer.getvalue()


def _has_pixels(data: bytes, sha256: str, name: str) -> bool:
    """Whether these are the bytes of a generated picture, which goes by its pixels."""
    return pixels_sha256(decode(data, name=name).image) == sha256


@dataclass(frozen=True)
class _StoredPicture:
    """Opens one picture of a stored stream, and only it."""

    read: Callable[[], bytes]
    sha256: str
    path: str | None

    def encoded(self) -> bytes:
        return self.read()

    def __call__(self) -> Image:
        data = self.read()
        image = decode(data, name="a stored picture" if self.path is None else f"the stored picture {self.path}").image
        if self.sha256 not in (hashlib.sha256(data).hexdigest(), pixels_sha256(image)):
            raise BenchError(f"a stored picture does not have its sha256 {self.sha256}; build the stream again")
        return image


class _Rows(Sequence[Edit]):
    """The rows of a stored stream as edits."""

    def __init__(self, dataset: Any, path: Path) -> None:
        self._dataset, self._path = dataset, path

    def __len__(self) -> int:
        return len(self._dataset)

    @overload
    def __getitem__(self, index: int) -> Edit: ...
    @overload
    def __getitem__(self, index: slice) -> list[Edit]: ...
    def __getitem__(self, index: int | slice) -> Edit | list[Edit]:
        positions = range(len(self))[index]
        return self._edit(positions) if isinstance(positions, int) else [self._edit(at) for at in positions]

    def _edit(self, position: int) -> Edit:
        table = self._dataset[position]
        texts = table.drop_columns(["image", "probes"]).to_pylist()[0]
        probes = table["probes"].chunk(0).flatten()  # one row lies in one chunk; combining would copy its pictures
        edit = Edit(
            image=_picture(table["image"].chunk(0), 0, texts["image_sha256"], texts.get("image_path")),
            prompt=texts["prompt"],
            target=texts["target"],
            probes=tuple(_probes(probes)),
            facts=Facts(**texts["facts"]),
        )
        if edit.id != texts["id"]:
            raise BenchError(f"edit {position} of {self._path} has id {edit.id}, stored {texts['id']}; build it again")
        return edit


def _probes(structs: Any) -> Iterator[Probe]:
    """Probes of a pyarrow StructArray; every field but the picture is read."""
    names = [field.name for field in structs.type if field.name != "image"]
    columns = {name: cast(list[Any], structs.field(name).to_pylist()) for name in names}
    digests = columns.pop("image_sha256")
    paths = columns.pop("image_path", [None] * len(digests))  # streams of the first release have none
    columns["facts_used"] = [tuple(keys) for keys in columns["facts_used"]]
    images = structs.field("image")
    for at, values in enumerate(zip(*columns.values(), strict=True)):
        image = _picture(images, at, digests[at], paths[at])
        yield Probe(image=image, **dict(zip(columns, values, strict=True)))


def _picture(images: Any, at: int, sha256: str | None, path: str | None) -> Picture | None:
    """A picture whose bytes stay in the mapped file until it is opened."""
    if sha256 is None:
        return None
    if path is not None and images.slice(at, 1).null_count:  # images[at] would read the picture
        return missing_picture(path)
    return Picture(_StoredPicture(lambda: images.field("bytes")[at].as_py(), sha256, path), sha256, path)


@contextmanager
def _no_progress_bars() -> Generator[None]:
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    were_disabled = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not were_disabled:
            enable_progress_bars()
