"""The vocabulary: pictures, probes, edits and the streams they form.

Data flows one way: a builder makes an `EditStream`, a runner replays it. An editor never sees a
`Probe`; it is handed `EditRequest` and `Query` objects (see `benchmark.editor`) and nothing more.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NoReturn, Protocol, get_args, overload, runtime_checkable

from ..errors import BenchError
from .pictures import pixels_sha256

if TYPE_CHECKING:
    from PIL.Image import Image

Kind = Literal[
    "reliability",
    "text_generality",
    "image_generality",
    "portability",
    "text_locality",
    "image_locality",
    "locality_twin_same",
    "locality_twin_other",
    "locality_other_question",
    "locality_no_image",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
GENERALITY_KINDS: tuple[Kind, ...] = ("text_generality", "image_generality")
LOCALITY_KINDS: tuple[Kind, ...] = tuple(kind for kind in KINDS if "locality" in kind)


def canonical_json(value: object) -> str:
    """One spelling per value: sorted keys, no spaces, no NaN, no escapes. What every digest covers."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def sha256_text(text: str) -> str:
    """Hex sha256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


@runtime_checkable
class HasBytes(Protocol):
    """An opener of pictures that knows the encoded bytes, a file's for one: they are hashed and stored as they are."""

    def encoded(self) -> bytes:
        """The bytes of the picture file."""
        ...


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture that is opened only when somebody looks.

    Generated pictures are known by mode, size and pixels; pictures read from files by the bytes of
    the file, so that hashing ten thousand of them decodes none. `path` is what an annotation calls
    the picture, for messages and audits; no digest covers it.
    """

    opener: Callable[[], Image] = field(repr=False)
    known_sha256: str | None = None
    path: str | None = field(default=None, compare=False)

    @property
    def missing(self) -> bool:
        """Whether the picture stands for a file that was not there (see `missing_picture`)."""
        return isinstance(self.opener, _Missing)

    def open(self) -> Image:
        """The picture as RGB, freshly decoded or drawn."""
        return self.opener().convert("RGB")

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the file bytes, or of mode, size and pixels."""
        if self.known_sha256 is not None:
            return self.known_sha256
        if isinstance(self.opener, HasBytes):
            return hashlib.sha256(self.opener.encoded()).hexdigest()
        return pixels_sha256(self.open())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Picture) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)


@dataclass(frozen=True)
class _Missing:
    path: str
    looked_in: tuple[str, ...]

    def __call__(self) -> NoReturn:
        where = f" (looked in {', '.join(self.looked_in)})" if self.looked_in else ""
        raise BenchError(f"there was no picture {self.path} when the stream was built{where}; build it again with it")


def missing_picture(path: str, looked_in: Sequence[str] = ()) -> Picture:
    """What stands for a picture that an annotation names and no folder holds.

    It has a digest (of its path), so that a stream can be built, stored and audited; opening it raises `BenchError`.

    Args:
        path: as the annotation has it.
        looked_in: every place that was tried.
    """
    return Picture(_Missing(path, tuple(looked_in)), sha256_text(f"missing:{path}"), path)


@dataclass(frozen=True)
class Probe:
    """One question asked of the edited model.

    `target` is the right answer in the world as it stands right after the edit: the edit's target
    for reliability and generality, the fact of the target for portability, the truth of the
    unedited world for locality. `fact` is the key the ledger knows the answer by
    (``thing/attribute``); whatever stands before the slash is the thing whose probes are resampled together.
    `facts_used` are the further keys the answer rests on: when one of them is edited, the probe expires.
    """

    kind: Kind
    image: Picture | None
    prompt: str
    target: str
    fact: str
    facts_used: tuple[str, ...] = ()
    seen: bool | None = None  # did the question's template stand in the training streams of editors?

    @property
    def thing(self) -> str:
        """What the question is about; probes of one thing form one cluster of the bootstrap."""
        return self.fact.partition("/")[0]

    def canonical(self) -> dict[str, object]:
        """What the digests cover."""
        return {
            "kind": self.kind,
            "image": None if self.image is None else self.image.sha256,
            "prompt": self.prompt,
            "target": self.target,
            "fact": self.fact,
            "facts_used": list(self.facts_used),
            "seen": self.seen,
        }


@dataclass(frozen=True)
class Facts:
    """What is known about an edit beside its request. Never shown to an editor.

    `key` is the fact the edit overrides (``thing/attribute``), `old` the answer of the base world,
    `task` the kind of question, `seen_target` whether the target stands in a training stream.
    """

    key: str
    old: str
    entity: str
    task: str
    provenance: str
    seen_target: bool | None = None

    def canonical(self) -> dict[str, object]:
        """What the digests cover."""
        return dict(vars(self))


@dataclass(frozen=True)
class Edit:
    """One correction: for this picture and this prompt the answer is now `target`.

    `probes` holds every question about it, its own reliability probe first.
    """

    image: Picture | None
    prompt: str
    target: str
    probes: tuple[Probe, ...]
    facts: Facts

    def canonical(self) -> dict[str, object]:
        """What the digests cover: texts, picture hashes and order; never encoded bytes."""
        return {
            "image": None if self.image is None else self.image.sha256,
            "prompt": self.prompt,
            "target": self.target,
            "probes": [probe.canonical() for probe in self.probes],
            "facts": self.facts.canonical(),
        }

    @cached_property
    def id(self) -> str:
        """Sixteen hex digits of the content hash."""
        return sha256_text(canonical_json(self.canonical()))[:16]


Normalisation = Literal["exact", "casefold"]
Texts = Literal["clean", "paper"]


@dataclass(frozen=True)
class Source:
    """Where a stream comes from and how its answers are compared.

    `normalisation` is applied to both sides of a free-running exact match: ``exact`` strips outer
    white space, ``casefold`` also folds case. `texts` says how the texts of annotations were prepared
    (None: there were none) and `scenario` who arranged the edits, such as ``spread-twins+superseding``.
    """

    dataset: str
    split: str
    seed: int | None
    version: str = "1"
    normalisation: Normalisation = "exact"
    texts: Texts | None = None
    scenario: str | None = None

    def canonical(self) -> dict[str, object]:
        """What the digests cover; without `texts` and `scenario` where there are none, as before they were known."""
        newer = ("texts", "scenario")
        return {name: value for name, value in vars(self).items() if name not in newer or value is not None}


class EditStream(Sequence[Edit]):
    """Edits in the order in which they are applied.

    Slicing, `shuffled` and ``+`` give new streams and copy no edit. The backing sequence may be
    lazy (a stored stream opens one row at a time).
    """

    def __init__(self, edits: Sequence[Edit], source: Source) -> None:
        self._edits = edits
        self.source = source

    def __len__(self) -> int:
        return len(self._edits)

    @overload
    def __getitem__(self, index: int) -> Edit: ...
    @overload
    def __getitem__(self, index: slice) -> EditStream: ...
    def __getitem__(self, index: int | slice) -> Edit | EditStream:
        if isinstance(index, slice):
            return EditStream(_View(self._edits, range(len(self))[index]), self.source)
        return self._edits[index]

    def __iter__(self) -> Iterator[Edit]:
        return (self._edits[position] for position in range(len(self)))

    def __add__(self, other: EditStream) -> EditStream:
        ours, theirs = self.source, other.source
        source = (
            ours
            if ours == theirs
            else Source(
                dataset=f"{ours.dataset}+{theirs.dataset}",
                split=ours.split if ours.split == theirs.split else f"{ours.split}+{theirs.split}",
                seed=None,
                version=ours.version if ours.version == theirs.version else f"{ours.version}+{theirs.version}",
                normalisation=ours.normalisation if ours.normalisation == theirs.normalisation else "exact",
                texts=ours.texts if ours.texts == theirs.texts else None,
            )
        )
        return EditStream([*self, *other], source)

    def shuffled(self, seed: int) -> EditStream:
        """The same edits in an order that depends on `seed` and on nothing else."""
        order = list(range(len(self)))
        random.Random(seed).shuffle(order)
        return EditStream(_View(self._edits, order), self.source)

    @cached_property
    def sha256(self) -> str:
        """Hex digest of source, texts, picture hashes and order."""
        digest = hashlib.sha256(canonical_json(self.source.canonical()).encode())
        for edit in self:
            digest.update(b"\n" + edit.id.encode())
        return digest.hexdigest()

    def missing_pictures(self) -> list[Picture]:
        """Pictures that were not there when the stream was built, each once, in the order of the stream."""
        pictures = (picture for edit in self for picture in (edit.image, *(probe.image for probe in edit.probes)))
        return list(dict.fromkeys(picture for picture in pictures if picture is not None and picture.missing))

    def save(self, path: str | Path, *, beside: Mapping[str, bytes] = MappingProxyType({})) -> None:
        """Store as a Hugging Face `datasets` dataset with the picture bytes inside (see `benchmark.storage`).

        `beside` are further files, by name, for the same folder: it appears with all of them or not at all.
        """
        from .storage import save_stream

        save_stream(self, Path(path), beside=beside)

    def export_parquet(self, path: str | Path) -> None:
        """Write Parquet shards with the picture bytes inside, and a dataset card (see `benchmark.parquet`)."""
        from .parquet import export_parquet

        export_parquet(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> EditStream:
        """Open what `save` stored or `export_parquet` wrote; pictures and rows are read when asked for.

        Raises `BenchError` when `path` holds no stream.
        """
        from .storage import load_stream

        return load_stream(Path(path))


class _View(Sequence[Edit]):
    """A selection of positions of another sequence."""

    def __init__(self, base: Sequence[Edit], positions: Sequence[int]) -> None:
        self._base, self._positions = base, positions

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, index: int) -> Edit: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Edit]: ...
    def __getitem__(self, index: int | slice) -> Edit | Sequence[Edit]:
        if isinstance(index, slice):
            return _View(self._base, self._positions[index])
        return self._base[self._positions[index]]
