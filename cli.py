"""The command line: typer verbs, each a thin call.

Nothing heavy is imported before a verb needs it, so that `liveedit-bench --help` does not wait for torch. Data goes
to stdout, progress and errors to stderr. An error is one line and a non-zero exit code; `--debug` shows its origin.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, cast

import typer
import typer.core
import typer.main

from .errors import BenchError
from .leaderboards.cli import leaderboard, submit, verify
from .leaderboards.compare_cli import compare
from .runners.checks.cli import check
from .runners.sweep.cli import sweep

if TYPE_CHECKING:
    from .benchmark.edits import EditStream

MENDABLE, UNEXPECTED, VOID, INTERRUPTED = 2, 1, 3, 130
"""Exit codes: something the user can mend, a bug or a plugin's failure, a run without a score, Ctrl-C."""


class _DataGroup(typer.core.TyperGroup):
    """The verbs of `data`, imported when somebody asks for them."""

    where = ".data_builders.cli"

    def _verbs(self) -> Any:
        from importlib import import_module

        return typer.main.get_command(cast("Any", import_module(self.where, __package__)).app)

    def list_commands(self, ctx: Any) -> list[str]:
        return self._verbs().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return self._verbs().get_command(ctx, cmd_name)


class _ConvertGroup(_DataGroup):
    """The verbs of `convert`."""

    where = ".benchmark.cli"


app = typer.Typer(
    name="liveedit-bench",
    help="Lifelong editing of vision-language models, measured.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(typer.Typer(cls=_DataGroup, help="Build, look at and audit datasets."), name="data")
app.add_typer(typer.Typer(cls=_ConvertGroup, help="Convert checkpoints of other code, and back."), name="convert")
app.add_typer(leaderboard, name="leaderboard", help="Published results.")

EditorName = Annotated[str, typer.Option("--editor", help="A name, path/to/file.py:Class or package.module:Class.")]
DatasetName = Annotated[str, typer.Option("--dataset", help="A name, or the folder of a stored stream.")]
BackboneName = Annotated[
    str, typer.Option("--backbone", help="A name, a hub id (owner/name), a model's folder, or package.module:load.")
]
Revision = Annotated[str | None, typer.Option(help="Of a hub id: commit, branch or tag.")]
DeviceMap = Annotated[str | None, typer.Option(help="Of accelerate, as auto: spread a large backbone over devices.")]
Quantized = Annotated[str | None, typer.Option("--quantization", help="8bit or 4bit, by bitsandbytes.")]
Asked = Annotated[str | None, typer.Option("--template", help="plain, chat, or a text with {image} and {prompt}.")]
Seed = Annotated[int, typer.Option(help="Draws the edits, their order and the editor's own randomness.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, ...; auto takes an accelerator when there is one.")]
Dtype = Annotated[str, typer.Option(help="Of the backbone's weights.")]
Options = Annotated[list[str] | None, typer.Option("--option", help="An option of the editor: name=value. Repeatable.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
RunFolderPath = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]


@app.command()
def run(
    *,
    editor: EditorName = "liveedit",
    dataset: DatasetName = "emblems",
    split: Annotated[str | None, typer.Option(help="test by default; of a stored stream, its own.")] = None,
    seed: Seed = 0,
    protocol: Annotated[
        Literal["lifelong", "paper"], typer.Option(help="How is asked; the card says more.")
    ] = "lifelong",
    steps: Annotated[
        int | None, typer.Option(help="How many edits to replay: 1000; of a stored stream under paper, all.")
    ] = None,
    backbone: BackboneName = "emblem-llava",
    revision: Revision = None,
    device_map: DeviceMap = None,
    quantization: Quantized = None,
    template: Asked = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
    batch_size: Annotated[int, typer.Option(help="Questions per forward pass.")] = 64,
    checkpoints: Annotated[str | None, typer.Option(help="Steps at which everything is asked, as 10,100,1000.")] = None,
    block: Annotated[str | None, typer.Option(help="Of the paper protocol: edits per block, as 1,10,100,1000.")] = None,
    option: Options = None,
    scenario: Annotated[
        list[str] | None, typer.Option(help="Arranges the edits, as `data arrange` does. Repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder; by default its name says what is run.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over, deleting what a run wrote there.")] = False,
    track: Annotated[
        list[str] | None, typer.Option(help="Follow live by wandb, trackio or tensorboard. Repeatable.")
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Replay a stream of edits and ask everything again: one lifelong stream, or the paper's blocks.

    The same command continues a run that was interrupted, and only prints one that is finished.
    """
    from .benchmark.backbone import BackboneChoice
    from .benchmark.options import split_pairs
    from .runners import lifelong, paper

    if scenario and protocol == "paper":
        raise BenchError(
            "--scenario belongs to the lifelong protocol; the paper protocol replays records in file order"
        )
    common: dict[str, Any] = {
        "editor": editor,
        "backbone": BackboneChoice(backbone, revision, device_map, quantization, template),
        **_stream(dataset, scenario, steps=1000 if steps is None else steps, seed=seed, split=split),
        "seed": seed,
        "options": split_pairs(option or []),
        "out": out,
        "device": device,
        "dtype": dtype,
        "batch_size": batch_size,
        "fresh": fresh,
        "track": list(dict.fromkeys(track or [])),
        "after": _report,
    }
    if protocol == "paper":
        if checkpoints is not None:
            raise BenchError("--checkpoints belongs to the lifelong protocol; give the paper protocol --block 1,10,100")
        sizes = None if block is None else _numbers(block, "--block", "sizes")
        result = paper.run(**common, steps=steps, blocks=sizes)
    else:
        if block is not None:
            raise BenchError("--block belongs to the paper protocol: add --protocol paper, or give --checkpoints")
        at = None if checkpoints is None else _numbers(checkpoints, "--checkpoints", "steps")
        result = lifelong.run(**common, steps=1000 if steps is None else steps, checkpoints=at)
    if as_json:
        _print_json(result)
    else:
        from .leaderboards.lines import result_lines

        print("\n".join(result_lines(result)))
    if result["status"] == "void":
        print(
            f"error: the run is void: {result['causality']['mismatches']} of {result['causality']['checked']} answers "
            "came out otherwise when asked token by token; the editor's logits must be causal",
            file=sys.stderr,
        )
        raise typer.Exit(VOID)


@app.command()
def train(
    *,
    editor: EditorName = "liveedit",
    dataset: DatasetName = "emblems",
    edits: Annotated[int, typer.Option(help="Edits of the training stream.")] = 5000,
    validation_edits: Annotated[int, typer.Option(help="Edits to watch during training; 0 for none.")] = 200,
    seed: Seed = 0,
    backbone: BackboneName = "emblem-llava",
    revision: Revision = None,
    device_map: DeviceMap = None,
    quantization: Quantized = None,
    template: Asked = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
    seconds: Annotated[float | None, typer.Option(help="Stop after so long (the editor's option `seconds`).")] = None,
    option: Options = None,
    out: Annotated[Path | None, typer.Option(help="Where weights, checkpoints and the log of losses go.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Train an editor on the training split of a dataset. The same command continues where it was interrupted."""
    from .benchmark.backbone import BackboneChoice
    from .benchmark.options import split_pairs
    from .runners.training import train as fit

    given = split_pairs(option or [])
    trained = fit(
        editor=editor,
        backbone=BackboneChoice(backbone, revision, device_map, quantization, template),
        stream=dataset,
        edits=edits,
        validation_edits=validation_edits,
        seed=seed,
        options=given if seconds is None else {**given, "seconds": str(seconds)},
        out=out,
        device=device,
        dtype=dtype,
    )
    facts = {name: str(value) if isinstance(value, Path) else value for name, value in vars(trained).items()}
    if as_json:
        _print_json({name: value for name, value in facts.items() if value is not None})
    else:
        print(f"{trained.editor} is trained; its weights are in {trained.out}")


app.command()(check)
app.command()(sweep)
app.command()(compare)
app.command()(submit)
app.command()(verify)


@app.command()
def score(run: RunFolderPath, *, as_json: AsJson = False, debug: Debug = False) -> None:
    """Compute every headline number of a run again from its probes.parquet, without a model."""
    from .runners.result import rescore

    part, agrees = rescore(run)
    if as_json:
        _print_json({**part, **({} if agrees is None else {"agrees_with_result": agrees})})
    else:
        from .leaderboards.lines import number_lines

        print("\n".join(number_lines(part)))
    if agrees is False:
        raise BenchError(f"{run / 'result.json'} says otherwise than {run / 'probes.parquet'}: one of them was changed")


@app.command()
def report(run: RunFolderPath, *, as_json: AsJson = False, debug: Debug = False) -> None:
    """Write report.html, curve.png and curve.svg of a finished run again."""
    from .leaderboards.report import write_report

    write_report(run)
    written = [str(run / name) for name in ("report.html", "curve.png", "curve.svg")]
    if as_json:
        _print_json({"written": written})
    else:
        print("\n".join(written))


@app.command("list")
def list_(
    what: Annotated[Literal["editors", "datasets", "backbones"], typer.Argument(help="What to list.")],
    *,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """The names that can be given without a path; of backbones also published ones, and what they need in memory."""
    from .benchmark.plugins import names, place_of

    known = {name: place_of(what, name) for name in names(what)}
    if what == "backbones":
        from .benchmark.backbones import memory

        if as_json:
            _print_json(memory.as_json(known))
            return
        print("\n".join(memory.lines(known)))
        print("any other: a hub id or a model's folder; sizes are estimates, of weights alone", file=sys.stderr)
    elif as_json:
        _print_json(known)
    else:
        print("\n".join(known))


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry point of `liveedit-bench`."""
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without a letter gets a question mark, not a traceback
    try:
        code = typer.main.get_command(app).main(args=words, prog_name="liveedit-bench", standalone_mode=False)
    except BenchError as error:
        _fail(error, str(error), MENDABLE, debug)
    except KeyboardInterrupt:
        print("interrupted; the same command continues", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:  # `| head`
        sys.stderr.close()
        raise SystemExit(UNEXPECTED) from None
    except Exception as error:
        # A mistake in the arguments knows its own words and exit code; typer does not say of what class it is.
        if words_for_user := getattr(error, "format_message", None):
            _fail(error, f"{words_for_user()} (liveedit-bench --help)", int(getattr(error, "exit_code", 2)), False)
        _fail(error, f"{type(error).__name__}: {error} (--debug shows where)", UNEXPECTED, debug)
    raise SystemExit(code if isinstance(code, int) else 0)


def _fail(error: BaseException, text: str, code: int, debug: bool) -> NoReturn:
    if debug:
        import traceback

        traceback.print_exception(error)
    print(f"error: {' '.join(text.split())}", file=sys.stderr)
    raise SystemExit(code)


def _stream(
    dataset: str, scenarios: list[str] | None, *, steps: int, seed: int, split: str | None
) -> dict[str, str | EditStream | None]:
    """What is replayed; arranged, when there is a scenario."""
    if not scenarios:
        return {"stream": dataset, "split": split}
    from .data_builders.cli_arrange import told
    from .data_builders.scenarios.opening import open_arranged

    found = open_arranged(dataset, scenarios, edits=steps, seed=seed, split=split)
    for line in told(found.summary):
        print(line, file=sys.stderr)
    return {"stream": found.stream, "split": None}


def _report(folder: Path, stream: EditStream) -> None:
    if all((folder / name).exists() for name in ("report.html", "curve.png", "curve.svg")):
        return
    from .leaderboards.report import write_report

    write_report(folder, loader=lambda _: stream)


def _numbers(text: str, option: str, what: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise BenchError(f"{option} {text} is no list of {what}; write 10,100,1000") from None


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False))
