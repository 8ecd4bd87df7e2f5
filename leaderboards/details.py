"""Cost, failures and provenance of a run, as pairs of words for a report."""

from __future__ import annotations

from .schema import Result
from .tables import Pairs
from .words import TIMES, plain, seconds, size


def cost(result: Result) -> Pairs:
    """What the edits cost."""
    given, pairs = result.cost, Pairs()
    if given.edit_seconds:
        pairs.append(("One edit, median", seconds(given.edit_seconds.median)))
        pairs.append(("One edit, 95th percentile", seconds(given.edit_seconds.p95)))
    if given.answering_overhead is not None:
        pairs.append(("Answering", f"{given.answering_overhead:.2f} {TIMES} the unedited model's time"))
    pairs.append(("State after the last edit", size(given.state_bytes)))
    if given.state_bytes and result.stream.edits > 1:
        pairs.append(("State per edit", size(given.state_bytes / result.stream.edits)))
    if given.peak_memory_bytes is not None:
        pairs.append(("Peak memory", size(given.peak_memory_bytes)))
    pairs.append(("Whole run", seconds(given.wall_seconds)))
    if result.editor.train_seconds is not None:
        pairs.append(("Training, before the run", seconds(result.editor.train_seconds)))
    return pairs


def failures(result: Result) -> Pairs:
    """How many edits failed, and why."""
    kinds = [(kind.replace("_", " "), f"{count:,}") for kind, count in sorted(result.failures.kinds.items())]
    return [("Failed edits", f"{result.failures.edits:,} of {result.stream.edits:,}"), *kinds]


def run_facts(result: Result) -> list[tuple[str, Pairs]]:
    """Everything that names what was measured, on what and with what."""
    protocol, stream, editor, backbone = result.protocol, result.stream, result.editor, result.backbone
    measured: Pairs = [
        ("Protocol", protocol.id),
        ("Block sizes" if protocol.id == "paper" else "Checkpoints", ", ".join(f"{n:,}" for n in protocol.checkpoints)),
        ("Stream", f"{stream.dataset}/{stream.split}, {stream.edits:,} edits{_seed(stream.seed)}"),
        *([("Texts", stream.texts)] if stream.texts else []),
        *([("Scenario", stream.scenario)] if stream.scenario else []),
        ("Stream sha256", stream.sha256),
        ("Backbone", backbone.name),
        ("Backbone weights sha256", backbone.weights_sha256),
        *((f"Backbone {name.replace('_', ' ')}", value) for name, value in sorted((backbone.loaded_as or {}).items())),
    ]
    if result.causality:
        asked = (
            f"{result.causality.checked:,} answers asked again token by token, {result.causality.mismatches:,} differ"
        )
        measured.append(("Causality", asked))
    if result.digest:
        measured.append(("Digest", result.digest))
    edited: Pairs = [("Editor", f"{editor.name}, version {editor.version}")]
    if editor.bound:
        edited.append(("Bound", "uses what no method can know; never ranked"))
    edited += [(key, plain(value)) for key, value in editor.options.items()]
    if editor.weights_sha256:
        edited.append(("Weights sha256", editor.weights_sha256))
    for source in editor.trained_on:
        edited.append(("Trained on", f"{source.dataset}/{source.split}, {source.edits:,} edits{_seed(source.seed)}"))
        edited.append(("Its sha256", source.sha256))
    around = [(key.replace("_", " "), plain(value)) for key, value in result.environment.items()]
    found = [("Measured", measured), ("Editor", edited), ("Environment", around)]
    return [(title, pairs) for title, pairs in found if pairs]


def _seed(seed: int | None) -> str:
    return "" if seed is None else f", seed {seed}"
