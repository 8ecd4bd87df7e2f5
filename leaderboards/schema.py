"""The shape of `result.json`: what a run leaves behind for others to read.

The models are the source; `result.schema.json` beside this file is their published JSON Schema
(``python -m liveedit_bench.leaderboards.schema [FILE]`` writes it). A value that does not exist is left out of the
file: neither null nor NaN nor a placeholder stands for it. In Python such a field may be given as None.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, ValidationInfo, model_validator
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from ..benchmark.edits import Kind, Normalisation, Texts
from ..errors import BenchError
from ..runners.folder import read_bounded

SCHEMA_FILE = Path(__file__).with_name("result.schema.json")

Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Difference = Annotated[float, Field(strict=True, ge=-1, le=1, allow_inf_nan=False)]
Amount = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[int, Field(strict=True, ge=1)]
Text = Annotated[str, Field(strict=True)]
Name = Annotated[str, Field(strict=True, min_length=1)]
Sha256 = Annotated[str, Field(strict=True, pattern="^[0-9a-f]{64}$")]
Scorer = Literal["teacher_forced", "free_running"]


class Part(BaseModel):
    """Unknown keys are refused, and so are nulls in a file."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_what_is_missing(cls, data: Any, info: ValidationInfo) -> Any:
        if info.mode == "json" and isinstance(data, dict):
            nulls = [str(key) for key, value in cast("dict[str, Any]", data).items() if value is None]
            if nulls:
                raise ValueError(f"null stands for {', '.join(nulls)}: a value that does not exist is left out")
        return cast("Any", data)


class Estimate(Part):
    """A mean in [0, 1] over `n` edits or probes, with its 95 % interval within the stream."""

    value: Share
    n: Count
    ci95: tuple[Share, Share] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_interval(self.ci95)
        return self


class Headline(Part):
    """A number made of several means (`score`, `paper_average`, `generality`, `locality`)."""

    value: Share
    n: Count | None = None
    ci95: tuple[Share, Share] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_interval(self.ci95)
        return self


class Scores(Part):
    """One kind of probe under every scorer; `truth` and `leak` (free-running) stand beside locality."""

    teacher_forced: Estimate | None = None
    free_running: Estimate | None = None
    truth: Estimate | None = None
    leak: Estimate | None = None


class Combined(Part):
    """A mean over kinds (`generality`, `locality`) at the last step, under both scorers."""

    teacher_forced: Headline | None = None
    free_running: Headline | None = None


class Areas(Part):
    """Area under one kind's curve over log-steps from 10 to the last step, scaled to [0, 1]."""

    teacher_forced: Share | None = None
    free_running: Share | None = None


class CurvePoint(Part):
    """What was measured after `step` edits (of every block, under the paper protocol).

    average, records, failed: of the paper protocol alone. The plain mean of its five columns, how many records were
    asked, and how many of their edits could not be applied.
    """

    step: Positive
    metrics: dict[Kind, Scores]
    expired: Count | None = None
    superseded: Positive | None = None
    average: Headline | None = None
    records: Positive | None = None
    failed: Count | None = None


class Split(Part):
    """Scores at the last step over one half of a split: by the edit's target, by the question's template."""

    targets: dict[Kind, Scores] | None = None
    prompts: dict[Kind, Scores] | None = None


class Floor(Part):
    """What an editor that knows nothing gets on the same stream (`none`, `majority`), free-running."""

    score: Share | None = None
    metrics: dict[Kind, Share]


class Forgetting(Part):
    """Right immediately after the edit minus right at the last step, for edits of an age (first and last included)."""

    age: tuple[Positive, Positive]
    value: Difference
    n: Count
    ci95: tuple[Difference, Difference] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_interval(self.ci95)
        if self.age[0] > self.age[1]:
            raise ValueError(f"age runs from {self.age[0]} to {self.age[1]}")
        return self


class Superseded(Part):
    """Edits whose fact was edited again by the last step. They stand in no mean; their `probes` are still asked.

    newest, stale: shares of the probes answered, free-running, with the newest target and with the edit's own old one.
    """

    edits: Positive
    probes: Positive
    newest: Share
    stale: Share


class Blocks(Part):
    """The paper protocol's blocks of one size: how many were full, and the records left over behind the last."""

    size: Positive
    count: Positive
    dropped: Count
    wall_seconds: Amount


class ProtocolInfo(Part):
    """How was asked, and when. `checkpoints` of the paper protocol are its block sizes."""

    id: Literal["lifelong", "paper"]
    checkpoints: Annotated[list[Positive], Field(min_length=1)]
    scorers: Annotated[list[Scorer], Field(min_length=1)]

    @model_validator(mode="after")
    def _increasing(self) -> Self:
        _check_increasing(self.checkpoints, "checkpoints")
        return self


class StreamInfo(Part):
    """On what was measured; `sha256` names it exactly. texts: how those of annotations were prepared."""

    dataset: Name
    split: Name
    edits: Positive
    seed: Annotated[int, Field(strict=True)] | None = None
    sha256: Sha256
    version: Text | None = None
    texts: Texts | None = None
    scenario: Name | None = None
    normalisation: Normalisation | None = None

    @property
    def prepared(self) -> str:
        """What was done to the data, to be read behind its name: ``, clean texts, superseding``; or nothing."""
        words = [f"{self.texts} texts"] * bool(self.texts) + [self.scenario or ""] * bool(self.scenario)
        return "".join(f", {word}" for word in words)


class TrainingStream(Part):
    """A stream an editor was trained on."""

    dataset: Name
    split: Name
    edits: Count
    seed: Annotated[int, Field(strict=True)] | None = None
    sha256: Sha256


class EditorInfo(Part):
    """What was measured.

    source_sha256: of its code. fixed_scores: kinds whose score follows from how the method is built, with the reason.
    bound: it is no method but a bound on methods, which uses what no method can know, and is never ranked.
    """

    name: Name
    version: Text
    options: dict[str, JsonValue] = {}
    source_sha256: Sha256 | None = None
    weights_sha256: Sha256 | None = None
    trained_on: list[TrainingStream] = []
    train_seconds: Amount | None = None
    fixed_scores: dict[Kind, str] | None = None
    bound: Literal[True] | None = None


class BackboneInfo(Part):
    """The model under edit, as it was before the first edit.

    loaded_as: what beside the weights decides its answers (revision, device_map, quantization, a dtype
        that is not float32, a template that is not plain).
    """

    name: Name
    weights_sha256: Sha256
    loaded_as: dict[Name, Text] | None = None


class Seconds(Part):
    """Median and 95th percentile."""

    median: Amount
    p95: Amount


class Cost(Part):
    """What the edits cost. `answering_overhead` is time per answer divided by the unedited model's."""

    edit_seconds: Seconds | None = None
    answering_overhead: Amount | None = None
    state_bytes: Count
    peak_memory_bytes: Count | None = None
    wall_seconds: Amount


class Failures(Part):
    """Edits that could not be applied, counted by kind."""

    edits: Count
    kinds: dict[str, Positive]

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if sum(self.kinds.values()) != self.edits:
            raise ValueError(f"{self.edits} failed edits, but the kinds add up to {sum(self.kinds.values())}")
        return self


class Causality(Part):
    """Answers that were asked again token by token; one mismatch voids a run."""

    checked: Count
    mismatches: Count


class Result(Part):
    """`result.json`.

    immediate: reliability asked right after each edit. portability_given_edit_holds: portability, last step, of
    the edits whose own question is answered rightly then.
    """

    schema_version: Literal["1"]
    status: Literal["complete", "void"]
    protocol: ProtocolInfo
    stream: StreamInfo
    editor: EditorInfo
    backbone: BackboneInfo
    score: Headline | None = None
    paper_average: Headline | None = None
    generality: Combined | None = None
    locality: Combined | None = None
    immediate: Scores | None = None
    portability_given_edit_holds: Scores | None = None
    blocks: list[Blocks] | None = None
    curve: Annotated[list[CurvePoint], Field(min_length=1)]
    area: dict[Kind, Areas] | None = None
    forgetting: list[Forgetting]
    seen: Split | None = None
    unseen: Split | None = None
    by_task: dict[str, dict[Kind, Scores]] | None = None
    floors: dict[str, Floor] | None = None
    expired: Count | None = None
    superseded: Superseded | None = None
    cost: Cost
    failures: Failures
    causality: Causality | None = None
    environment: dict[str, JsonValue]
    digest: Sha256 | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        steps = [point.step for point in self.curve]
        _check_increasing(steps, "steps of the curve")
        if strangers := sorted(set(steps) - set(self.protocol.checkpoints)):
            raise ValueError(f"the curve has points at {strangers}, which are no checkpoints")
        if self.protocol.checkpoints[-1] > self.stream.edits:
            raise ValueError(f"a checkpoint at {self.protocol.checkpoints[-1]} lies behind edit {self.stream.edits}")
        if self.protocol.id == "paper":
            _check_blocks(self.blocks or [], self.protocol.checkpoints, self.curve, self.stream.edits)
        if self.failures.edits > self.stream.edits:
            raise ValueError(f"{self.failures.edits} edits failed of {self.stream.edits}")
        if self.causality and self.causality.mismatches and self.status != "void":
            raise ValueError("a causality mismatch voids a run; its status must be 'void'")
        return self

    def to_json(self) -> str:
        """The text of `result.json`: missing values left out, no NaN, one trailing newline."""
        value = self.model_dump(mode="json", exclude_none=True)
        return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def read_result(path: Path) -> Result:
    """Read a `result.json`.

    Raises `BenchError` with the first thing that is wrong when the file is missing or no result.
    """
    try:
        return Result.model_validate_json(read_bounded(path, 64 * 2**20))
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}; finish the run first") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BenchError(f"{path} is no result of schema version 1: {where}: {first['msg']}") from error


class _Published(GenerateJsonSchema):
    """What may be missing is optional, and never null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        inner = super().default_schema(schema)
        return inner if inner.get("default", 0) is not None else {k: v for k, v in inner.items() if k != "default"}


def json_schema(model: type[BaseModel] = Result) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of `result.json`, or of another file."""
    schema = model.model_json_schema(schema_generator=_Published)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def json_schema_text(model: type[BaseModel] = Result) -> str:
    """`json_schema` as the text of the published file."""
    return json.dumps(json_schema(model), indent=2, allow_nan=False) + "\n"


def _check_interval(interval: tuple[float, float] | None) -> None:
    if interval is not None and interval[0] > interval[1]:
        raise ValueError(f"the interval {interval} is upside down")


def _check_blocks(blocks: list[Blocks], sizes: list[int], curve: list[CurvePoint], edits: int) -> None:
    """Of the paper protocol: every block size has its blocks and its point, and no record is unaccounted for."""
    if [block.size for block in blocks] != sizes or [point.step for point in curve] != sizes:
        raise ValueError(f"the paper protocol needs blocks and a point of the curve for every size of {sizes}")
    for block, point in zip(blocks, curve, strict=True):
        full = block.size * block.count
        if point.records != full or full + block.dropped != edits:
            raise ValueError(f"the blocks of {block.size} do not add up to the {edits} records of the stream")


def _check_increasing(values: list[int], what: str) -> None:
    if any(after <= before for before, after in pairwise(values)):
        raise ValueError(f"the {what} must increase, not {values}")


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else SCHEMA_FILE
    target.write_text(json_schema_text(), encoding="utf-8")
