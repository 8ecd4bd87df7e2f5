"""`liveedit-bench submit` and the verbs of `leaderboard`.

Only typer is imported before a verb is called.
"""

from __future__ import annotations

import contextlib
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .site.cli import agreement, build

if TYPE_CHECKING:
    from .submission import Submission

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
leaderboard = typer.Typer(no_args_is_help=True)
"""The verbs of `leaderboard`."""
leaderboard.command()(build)
leaderboard.command()(agreement)


class Shape(StrEnum):
    """What a submission is exported to."""

    EVAL_RESULTS = "eval-results"
    EVERY_EVAL_EVER = "every-eval-ever"


Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs, one for each seed.")]


def submit(
    runs: Runs,
    *,
    name: Annotated[str, typer.Option(help="Of the method, as it is to be shown.")],
    out: Annotated[Path, typer.Option(help="FILE.json; the answers go to FILE.parquet beside it.")],
    by: Annotated[str | None, typer.Option(help="Who ran it.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Pack the runs of one method (one for each seed) into a submission that carries its evidence."""
    from .submission_making import submit as pack

    packed = pack(runs, name=name, out=out, by=by)
    made, parquet = packed.submission, out.with_suffix(".parquet")
    if as_json:
        written = [str(out), str(parquet)]
        print(json.dumps({"written": written, "official": made.official, "reasons": made.reasons}, indent=2))
        return
    seeds = ", ".join(map(str, made.seeds))
    print(f"{out}: {made.name} under {made.protocol} on {made.dataset} ({made.split}), seeds {seeds}")
    print(f"{parquet}: {made.probes.rows:,} answers, {len(packed.parquet):,} bytes")
    print("official" if made.official else "not official")
    for reason in made.reasons:
        print(f"  {reason}")
    print(f"check it: liveedit-bench verify {out}", file=sys.stderr)


def verify(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Submissions; their answers lie beside them.")],
    *,
    stream: Annotated[
        list[Path] | None, typer.Option(help="The folder of a stored stream that cannot be built here. Repeatable.")
    ] = None,
    replay: Annotated[bool, typer.Option("--replay", help="Run the editor again. This runs its code.")] = False,
    editor: Annotated[
        str | None, typer.Option(help="Of a replay: path/to/file.py:Class of an editor that is not bundled.")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="Of a replay: a backbone that is not bundled.")] = None,
    device: Annotated[str, typer.Option(help="Of a replay: cpu, cuda, ...")] = "auto",
    seed: Annotated[list[int] | None, typer.Option(help="Of a replay: only this seed. Repeatable.")] = None,
    out: Annotated[Path | None, typer.Option(help="Of a replay: keep its run folders here.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Compute everything in a submission again; the exit code is 0 when it holds, 1 when not, 2 when it is none."""
    from .verification_report import Asked, examine

    asked = Asked(replay, editor, backbone, device, tuple(seed or ()), out)
    raise typer.Exit(examine(files, streams=stream or [], asked=asked, as_json=as_json))


@leaderboard.command("verify")
def verify_all(
    *,
    results: Annotated[Path, typer.Option(help="The folder of the published results.")] = Path("leaderboards/results"),
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Verify every published submission and that each lies where it ought to; exit codes as of `verify`.

    It reads files and builds streams; it never runs code that was submitted.
    """
    from .placement import misplaced, published_files, strays
    from .submission_reading import UnreadableError, read_submission
    from .verification_report import FAILS, examine

    files = published_files(results)
    readable: list[tuple[Path, Submission]] = []
    for file in files:
        with contextlib.suppress(UnreadableError):  # `examine` says so below
            readable.append((file, read_submission(file)))
    wrong = strays(results) + misplaced(results, readable)
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    if not files:
        if as_json:
            print("[]")
        raise typer.Exit(FAILS if wrong else 0)
    raise typer.Exit(max(examine(files, as_json=as_json), FAILS if wrong else 0))


@leaderboard.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A submission.")],
    *,
    to: Annotated[Shape, typer.Option(help="The shape.")],
    out: Annotated[Path, typer.Option(help="FILE.yaml or FILE.json.")],
    hub_dataset: Annotated[
        str | None, typer.Option(help="Of eval-results: OWNER/NAME of the benchmark's dataset on the Hub.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Of eval-results: the address where the submission lies.")] = None,
    relationship: Annotated[
        str, typer.Option(help="Of every-eval-ever: first_party, third_party, collaborative or other.")
    ] = "first_party",
    debug: Debug = False,
) -> None:
    """Write a submission in a shape that others read: Hugging Face's .eval_results, or Every Eval Ever."""
    from .exports.export import export as write

    write(file, to=to.value, out=out, hub_dataset=hub_dataset, source=source, relationship=relationship)
    print(out)


@leaderboard.command()
def challenge(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A submission.")],
    *,
    decisions: Annotated[Path | None, typer.Option(help="Where the seed is recorded: decisions.md.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Draw the seed on which a submission is to be run by somebody else, and record it."""
    from .challenge import challenge as draw

    drawn = draw(file, decisions=decisions)
    if as_json:
        print(json.dumps({"seed": drawn.seed, "decisions": str(drawn.decisions), "commands": drawn.commands}, indent=2))
        return
    print(f"seed {drawn.seed}, recorded in {drawn.decisions}")
    print("\n".join(drawn.commands))
