"""`report.html`, `curve.png` and `curve.svg` of a finished run."""

from __future__ import annotations

import os
from pathlib import Path

from ..benchmark.edits import EditStream
from ..errors import BenchError
from . import figures, page, paper_page
from .gallery import Gallery, NoGallery, StreamLoader, make_gallery
from .schema import StreamInfo, read_result


def write_report(run: Path, *, loader: StreamLoader | None = None) -> None:
    """Write `report.html`, `curve.svg` and `curve.png` into the run folder `run`.

    Reads `result.json`, and `probes.parquet` for the examples. `loader` gives the stream that a result names (by
    default its dataset is asked); when that cannot be had the page says so and shows no pictures.

    Raises:
        BenchError: `result.json` is missing or none, or a file cannot be written.
    """
    result = read_result(run / "result.json")
    svg = figures.static_svg(result)
    _write(run / "curve.svg", svg.encode())
    _write(run / "curve.png", figures.static_png(svg))
    if result.protocol.id == "paper":  # nothing was answered freely, so there are no answers to show
        _write(run / "report.html", paper_page.render(result, svg=svg).encode())
        return
    gallery: Gallery | None = None
    no_gallery = ""
    try:
        gallery = make_gallery(run / "probes.parquet", result.stream, loader=loader or rebuild_stream)
    except NoGallery as reason:
        no_gallery = str(reason)
    _write(run / "report.html", page.render(result, svg=svg, gallery=gallery, no_gallery=no_gallery).encode())


def rebuild_stream(stream: StreamInfo) -> EditStream:
    """The stream a result was measured on, built anew from its dataset.

    Raises `BenchError` when the dataset is unknown here or cannot give it.
    """
    from ..benchmark.plugins import load_stream

    if stream.scenario is not None:
        from ..data_builders.scenarios.opening import open_arranged

        names, seed = stream.scenario.split("+"), stream.seed or 0
        return open_arranged(stream.dataset, names, edits=stream.edits, seed=seed, split=stream.split).stream
    return load_stream(stream.dataset, edits=stream.edits, seed=stream.seed or 0, split=stream.split)


def _write(path: Path, data: bytes) -> None:
    """All or nothing: a reader never sees half a file."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_bytes(data)
        os.replace(draft, path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise BenchError(f"cannot write {path}: {error.strerror}; make room or choose another folder") from error
