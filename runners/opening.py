"""How a run opens and closes under every protocol: names become objects, a folder is begun, continued or only read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ..benchmark.backbone import Backbone, BackboneChoice
from ..benchmark.editor import Editor
from ..benchmark.edits import EditStream
from ..benchmark.options import parse_options
from ..benchmark.plugins import find_editor, load_backbone, load_editor
from ..errors import BenchError
from . import environment, identity
from .folder import RunFolder, opened
from .journal import Journal
from .pictures import refuse_missing_pictures
from .randomness import seed_everything
from .vocabulary import refuse_unsayable_targets

BATCH_SIZE = 64
DEFAULT_BACKBONE = "emblem-llava"
"""Its name is left out of the names of run folders."""

Result = dict[str, Any]
After = Callable[[Path, EditStream], None]
"""Called with the folder and the stream once `result.json` stands."""
Play = Callable[[RunFolder, Journal, Mapping[str, Any]], Result]
"""Does what is still to be done, given folder, journal and environment; returns the content of `result.json`."""


@dataclass(frozen=True)
class Chosen:
    """An editor whose name and options are known to be good. ready: it was given as an object."""

    kind: type[Editor]
    options: Any
    ready: Editor | None

    def load(
        self,
        backbone: str | BackboneChoice | Backbone,
        stream: EditStream,
        *,
        seed: int,
        device: str,
        dtype: str,
        batch_size: int,
    ) -> System:
        """The editor over its backbone; every random generator starts at `seed`.

        Raises `BenchError` for a stream with missing pictures, before a model is loaded, and for one whose targets the
        backbone cannot say.
        """
        refuse_missing_pictures(stream)
        model = self.ready.backbone if self.ready else load_backbone(backbone, device=device, dtype=dtype)
        refuse_unsayable_targets(stream, model)
        seed_everything(seed)
        editor = self.ready or load_editor(self.kind, model, options=self.options, seed=seed)
        return System(editor, model, stream, seed=seed, dtype=dtype, batch_size=batch_size)


def choose(editor: str | type[Editor] | Editor, options: Mapping[str, str] | None, *, batch_size: int) -> Chosen:
    """Look at what costs nothing first: a mistyped name must not wait for a model. Raises `BenchError`."""
    if batch_size < 1:
        raise BenchError(f"--batch-size {batch_size} asks nothing; give 1 or more")
    ready = editor if isinstance(editor, Editor) else None
    kind = type(editor) if isinstance(editor, Editor) else find_editor(editor)
    return Chosen(kind, parse_options(kind, options) if options else None, ready)


@dataclass(frozen=True)
class System:
    """What is measured, and on what."""

    editor: Editor
    backbone: Backbone
    stream: EditStream
    seed: int
    dtype: str
    batch_size: int

    def spec(self, protocol: str, **more: Any) -> dict[str, Any]:
        """Everything that decides the answers; a folder is continued only when all of it is the same."""
        versions = environment.describe()["versions"]
        source = self.stream.source
        return {
            "protocol": protocol,
            "editor": self.editor.name,
            "editor_version": self.editor.version,
            "options": identity.plain_options(self.editor),
            "editor_weights_sha256": self.editor.weights_sha256,
            "backbone": self.backbone.name,
            "backbone_weights_sha256": self.backbone.weights_sha256,
            **({"backbone_loaded_as": loaded_as} if (loaded_as := _loaded_as(self.backbone)) else {}),
            "device": str(self.backbone.device),
            "dtype": self.dtype,
            "dataset": source.dataset,
            "split": source.split,
            "dataset_version": source.version,
            "normalisation": source.normalisation,
            **({} if source.texts is None else {"texts": source.texts}),
            **({} if source.scenario is None else {"scenario": source.scenario}),
            "steps": len(self.stream),
            "seed": self.seed,
            # A stored stream may have been drawn by another seed than the editor's.
            **({} if source.seed in (None, self.seed) else {"stream_seed": source.seed}),
            **more,
            "batch_size": self.batch_size,
            "stream_sha256": self.stream.sha256,
            "code_sha256": identity.code_sha256(self.editor),
            "torch": versions.get("torch"),
            "transformers": versions.get("transformers"),
        }

    def folder(self, out: str | Path | None, *, protocol: str = "") -> Path:
        """The run folder: `out`, or one whose name says what is run."""
        if out is not None:
            return Path(out)
        source = self.stream.source
        parts = (
            protocol,
            self.editor.name,
            _in_a_path(source.dataset),
            _in_a_path(source.split),
            _in_a_path(source.scenario or ""),
            "" if self.backbone.name == DEFAULT_BACKBONE else _in_a_path(self.backbone.name),
        )
        return Path("runs") / f"{'-'.join(part for part in parts if part)}-s{self.seed}-n{len(self.stream)}"


def carry_out(
    system: System, spec: Mapping[str, Any], out: Path, play: Play, *, fresh: bool, after: After | None
) -> Result:
    """Begin or continue a run in the folder `out`, or read a finished one. Returns the content of `result.json`."""
    with opened(out, fresh=fresh) as folder:
        content = identity.begin_or_check(folder, spec, environment.describe(system.backbone))
        if content["status"] == "running":
            journal = Journal(folder.journal)
            try:
                journal.append({"event": "resume" if journal.events else "begin"})
                result = play(folder, journal, content["environment"])
            finally:
                journal.close()
            identity.finish(folder, content, result["status"])
        else:
            result = _finished(folder)
        folder.remove_parts()
        if after is not None:
            after(folder.path, system.stream)
        return result


def _finished(folder: RunFolder) -> Result:
    try:
        return json.loads(folder.result.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BenchError(
            f"{folder.result} of a finished run is missing or damaged ({type(error).__name__}); start over with --fresh"
        ) from error


def _loaded_as(backbone: Backbone) -> dict[str, str]:
    """What beside its weights decides a backbone's answers, where it says so."""
    return dict(cast("Mapping[str, str]", getattr(backbone, "loaded_as", {})))


def _in_a_path(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_.+" else "_" for letter in name)
