"""A submission as a record of Every Eval Ever, the shared database of evaluation results.

The shape is that of ``every_eval_ever/schemas/eval.schema.json``, version 0.2.2, in the repository
evaleval/every_eval_ever (read at commits a5616db and 21b3d1a), which refuses other keys at the top. The models below
are our words for the part of it that is written here; what it does not require and what has no counterpart here is left
out. Every number of the curve becomes a result of its own: each kind of probe under each scorer at each checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from ... import __version__
from ..schema import Estimate
from ..submission import Submission

VERSION = "0.2.2"
Relationship = Literal["first_party", "third_party", "collaborative", "other"]
RELATIONSHIPS: tuple[Relationship, ...] = get_args(Relationship)
"""What the evaluator may be to the model, in the schema's words."""

Details = dict[str, str]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceMetadata(_Part):
    """Who ran it."""

    source_name: str
    source_type: Literal["evaluation_run"]
    source_organization_name: str
    evaluator_relationship: Relationship
    additional_details: Details


class Library(_Part):
    """With what it was run."""

    name: str
    version: str


class ModelInfo(_Part):
    """The editor on its backbone: what answered."""

    name: str
    id: str
    additional_details: Details


class SourceData(_Part):
    """On what was asked. Streams are built, not downloaded, hence `other`."""

    dataset_name: str
    source_type: Literal["other"]
    additional_details: Details


class MetricConfig(_Part):
    """What the number is. metric_id is of this benchmark alone: no kind means quite what others call accuracy."""

    evaluation_description: str
    metric_id: str
    metric_name: str
    metric_unit: Literal["proportion"]
    metric_parameters: dict[str, str | int]
    lower_is_better: Literal[False]
    score_type: Literal["continuous"]
    min_score: float
    max_score: float


class Interval(_Part):
    """95 %."""

    lower: float
    upper: float
    confidence_level: Annotated[float, Field(ge=0, le=1)]
    method: str


class Uncertainty(_Part):
    """Of one number."""

    confidence_interval: Interval


class ScoreDetails(_Part):
    """One number."""

    score: float
    details: Details
    uncertainty: Uncertainty | None = None


class EvaluationResult(_Part):
    """One kind of probe under one scorer at one checkpoint."""

    evaluation_result_id: str
    evaluation_name: str
    source_data: SourceData
    metric_config: MetricConfig
    score_details: ScoreDetails


class Evaluation(_Part):
    """The whole file."""

    schema_version: Literal["0.2.2"]
    evaluation_id: str
    retrieved_timestamp: Annotated[str, Field(pattern=r"^[0-9]+$")]
    source_metadata: SourceMetadata
    eval_library: Library
    model_info: ModelInfo
    evaluation_results: Annotated[list[EvaluationResult], Field(min_length=1)]


def every_eval_ever(submission: Submission, *, relationship: Relationship, now: int) -> str:
    """The text of the file. relationship: of who ran it to the method. now: seconds since 1970."""
    model = f"liveedit-bench/{submission.backbone}+{submission.editor}".replace(" ", "-")
    benchmark = f"liveedit-bench-{submission.dataset}-{submission.protocol}"
    made = Evaluation(
        schema_version=VERSION,
        evaluation_id=f"{benchmark}/{model}/{now}",
        retrieved_timestamp=str(now),
        source_metadata=SourceMetadata(
            source_name="LiveEdit-Bench",
            source_type="evaluation_run",
            source_organization_name=submission.by or "not said",
            evaluator_relationship=relationship,
            additional_details=_evidence(submission),
        ),
        eval_library=Library(name="liveedit-bench", version=_ran_with(submission)),
        model_info=ModelInfo(
            name=f"{submission.name} on {submission.backbone}", id=model, additional_details=_method(submission)
        ),
        evaluation_results=list(_results(submission)),
    )
    return json.dumps(made.model_dump(exclude_none=True), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def _results(submission: Submission) -> Iterator[EvaluationResult]:
    stream = submission.result.stream
    source = SourceData(
        dataset_name=f"{submission.dataset}/{submission.split}",
        source_type="other",
        additional_details=_texts({"version": stream.version, "edits": stream.edits, "seeds": submission.seeds}),
    )
    for point in submission.curve:
        for kind, scorers in point.metrics.items():
            for scorer, number in scorers.items():
                yield EvaluationResult(
                    evaluation_result_id=f"{kind}/{scorer}/{point.step}",
                    evaluation_name=f"{kind}, {scorer}, after {point.step} edits",
                    source_data=source,
                    metric_config=MetricConfig(
                        evaluation_description=(
                            f"{kind} of lifelong editing ({submission.protocol} protocol), answers scored {scorer}"
                        ),
                        metric_id=f"liveedit-bench.{kind}",
                        metric_name=kind.replace("_", " "),
                        metric_unit="proportion",
                        metric_parameters={"scorer": scorer, "edits": point.step},
                        lower_is_better=False,
                        score_type="continuous",
                        min_score=0.0,
                        max_score=1.0,
                    ),
                    score_details=ScoreDetails(
                        score=number.value,
                        details={"edits": str(point.step), "runs": str(number.n)},
                        uncertainty=_uncertainty(number),
                    ),
                )


def _uncertainty(number: Estimate) -> Uncertainty | None:
    if number.ci95 is None:
        return None
    low, high = number.ci95
    how = "two-level bootstrap: seeds, then clusters of edits about one thing"
    return Uncertainty(confidence_interval=Interval(lower=low, upper=high, confidence_level=0.95, method=how))


def _evidence(submission: Submission) -> Details:
    return _texts(
        {
            "official": submission.official,
            "reasons": submission.reasons or None,
            "submission_sha256": submission.sha256,
            "answers": submission.probes.file,
            "answers_sha256": submission.probes.sha256,
            "answers_rows": submission.probes.rows,
            "stream_sha256": [run.result.stream.sha256 for run in submission.runs],
        }
    )


def _method(submission: Submission) -> Details:
    editor, backbone = submission.result.editor, submission.result.backbone
    return _texts(
        {
            "editor": editor.name,
            "editor_version": editor.version,
            "editor_options": editor.options,
            "editor_source_sha256": editor.source_sha256,
            "editor_weights_sha256": editor.weights_sha256,
            "editor_trained_on": [each.model_dump(exclude_none=True) for each in editor.trained_on] or None,
            "backbone": backbone.name,
            "backbone_weights_sha256": backbone.weights_sha256,
        }
    )


def _texts(values: dict[str, Any]) -> Details:
    """The schema's details are texts; what is no text becomes JSON, and what is missing is left out."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for name, value in values.items()
        if value is not None
    }


def _ran_with(submission: Submission) -> str:
    versions = submission.result.environment.get("versions")
    found = versions.get("liveedit-bench") if isinstance(versions, dict) else None
    return found if isinstance(found, str) else __version__
