"""What a run asks of the pictures of a stream before a model is loaded."""

from __future__ import annotations

from ..benchmark.edits import EditStream
from ..errors import BenchError


def refuse_missing_pictures(stream: EditStream) -> None:
    """Refuse a stream that was built without some of its pictures.

    Raises:
        BenchError: with their number and the path of the first.
    """
    missing = stream.missing_pictures()
    if missing:
        pictures = "1 picture is" if len(missing) == 1 else f"{len(missing)} pictures are"
        raise BenchError(
            f"{pictures} missing from the stream (the first: {missing[0].path}); it can be audited and not run; "
            "build it again with the pictures, or with --on-missing-image skip-edit"
        )
