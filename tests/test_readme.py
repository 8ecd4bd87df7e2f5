"""The README and the card: every command is run, every link leads somewhere, every number of the world is the code's.

Commands run as they stand, in order and in one empty folder, unless the tables below name what stands for them.
"""

import importlib
import json
import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import annotated
import example_run
import pytest
import small_streams
import typer.main
from console import MainJob

import liveedit_bench
from liveedit_bench import cli
from liveedit_bench.benchmark.plugins import BUNDLED
from liveedit_bench.data_builders.choices import Choices
from liveedit_bench.data_builders.emblems import capacity, world
from liveedit_bench.data_builders.sources import find_source
from liveedit_bench.leaderboards.schema import Result

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CARD = (ROOT / "LiveEditBench.md").read_text(encoding="utf-8")
DATASETS = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
SCENARIOS = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
DOCUMENTS = (
    "README.md",
    "LiveEditBench.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/add-a-method.md",
    "docs/datasets.md",
    "docs/emblems.md",
    "docs/minigpt4.md",
    "docs/parity.md",
    "docs/scenarios.md",
    "docs/sweeps.md",
    "docs/why-numbers-differ.md",
)

BY_THE_ENVIRONMENT = (
    "python3 -m venv .venv",
    ". .venv/bin/activate",
    "pip install -c constraints.txt .",
    "pip install -c constraints.txt '.[test]'",
    "python -m pytest -m ''",
)
"""What stands for these is that this test runs at all; CI gives the last two itself (see below)."""

BY_THE_MAIN_JOB = "liveedit-bench run --editor liveedit --steps 1000"
"""Runs once a test session, as a user gives it; its folder is put where the command would have left it."""

REDUCED = {
    "liveedit-bench run --editor my_editor.py:HeadTuner --split validation --steps 100": (
        "liveedit-bench run --editor my_editor.py:HeadTuner --split validation --steps 5"
    ),
    "liveedit-bench data audit --split validation --edits 1000": (
        "liveedit-bench data audit --split validation --edits 12"
    ),
    "liveedit-bench data build emblems --split validation --edits 1000 --out streams/validation": (
        "liveedit-bench data build emblems --split validation --edits 12 --out streams/validation"
    ),
    "liveedit-bench run --editor none --dataset streams/validation --steps 1000": (
        "liveedit-bench run --editor none --dataset streams/validation --steps 12"
    ),
    "liveedit-bench run --editor ft-l --option max_steps=50 --seed 1 --checkpoints 1,10,100,1000 --out runs/ft-l-50": (
        "liveedit-bench run --editor ft-l --option max_steps=50 --seed 1 --checkpoints 1,3 --out runs/ft-l-50 --steps 5"
    ),
    "liveedit-bench run --editor liveedit --protocol paper --block 1,10,100,1000": (
        "liveedit-bench run --editor liveedit --protocol paper --block 1,5 --steps 12"
        " --out runs/paper-liveedit-emblems-test-s0-n1000"
    ),
    "liveedit-bench train --editor liveedit --edits 5000 --out runs/train-liveedit": (
        "liveedit-bench train --editor liveedit --edits 16 --out runs/train-liveedit"
        " --validation-edits 4 --option steps=2"
    ),
    "liveedit-bench run --editor liveedit --option weights=runs/train-liveedit/modules.safetensors --steps 1000"
    " --out runs/liveedit-anew": (
        "liveedit-bench run --editor liveedit --option weights=runs/train-liveedit/modules.safetensors --steps 5"
        " --out runs/liveedit-anew"
    ),
    "liveedit-bench run --editor retrieval --steps 1000": (
        "liveedit-bench run --editor retrieval --steps 5 --out runs/retrieval"
    ),
    "liveedit-bench compare runs/liveedit-emblems-test-s0-n1000 runs/retrieval-emblems-test-s0-n1000 --power"
    " --html compare.html": ("liveedit-bench compare runs/liveedit-anew runs/retrieval --power --html compare.html"),
    "python -m liveedit_bench.benchmark.backbones.emblem.train --out weights/": (
        "python -m liveedit_bench.benchmark.backbones.emblem.train --out weights/ --emblems 64 --views 1 --workers 1"
        " --see-steps 1 --answer-steps 1 --settle-steps 1 --count 2"
    ),
    "python -m liveedit_bench.benchmark.backbones.emblem.measure weights/": (
        "python -m liveedit_bench.benchmark.backbones.emblem.measure weights/ --count 2"
    ),
}
"""Commands that take minutes, and the same with smaller numbers. All others run as they stand."""


def blocks(language: str, document: str = README) -> list[str]:
    """The fenced blocks of a document in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", document, flags=re.MULTILINE | re.DOTALL)


def commands(document: str = README) -> list[str]:
    """Every command of a document, in order."""
    lines = [line for block in blocks("bash", document) for line in block.replace("\\\n", " ").splitlines()]
    return [part.strip() for line in lines if line.strip() for part in line.split(" && ")]


def options(command: str) -> set[str]:
    return {word for word in shlex.split(command) if word.startswith("--")}


def parse(words: list[str]) -> None:
    """Have the command line check names and types of all arguments, and run nothing."""
    command: Any = typer.main.get_command(cli.app)
    while hasattr(command, "get_command"):
        name, *words = words
        found = command.get_command(command.context_class(command), name)
        assert found is not None, f"there is no verb {name}"
        command = found
    command.make_context("liveedit-bench", words)


def execute(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command in this process: importing torch once, not once a command."""
    program, *words = shlex.split(command)
    if program == "liveedit-bench":
        with pytest.raises(SystemExit) as end:
            cli.main(words)
        assert end.value.code == 0
        return
    assert (program, words[0]) == ("python", "-m"), f"this test does not know how to run {program}"
    with monkeypatch.context() as patched:
        patched.setattr(sys, "argv", words[1:])
        importlib.import_module(words[1]).main()


@pytest.mark.slow
def test_every_command_runs(
    subtests: pytest.Subtests,
    main_job: MainJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/liveedit-emblems-test-s0-n1000")
    shutil.copytree(main_job.folder, folder)
    editor, job = blocks("python")
    Path("my_editor.py").write_text(editor)
    Path("sweep.toml").write_text(*blocks("toml"))
    annotated.copy_of(annotated.E_VQA, Path("mmedit"))  # what a user brings: a small file of the same schema
    for command in commands():
        if command not in (*BY_THE_ENVIRONMENT, BY_THE_MAIN_JOB):
            with subtests.test(command=command):
                execute(REDUCED.get(command, command), monkeypatch)
    with subtests.test(python=job):  # finds the finished run and reads it
        scope: dict[str, object] = {}
        exec(job, scope)
        assert scope["result"] == main_job.result


def test_the_examples_of_the_datasets_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    files = (("e-vqa", annotated.E_VQA), ("e-ic", annotated.E_IC), ("train", annotated.E_VQA_TRAIN))
    for name, file in (*files, ("pool", annotated.E_VQA_TRAIN)):
        source = find_source("e-ic" if name == "e-ic" else "e-vqa")
        source.build(annotated.copy_of(file, Path("mmedit")), Choices()).save(Path("streams") / name)
    first, *others = blocks("python", DATASETS)
    exec(first, {})
    assert capsys.readouterr().out.startswith("{} {} ")  # nothing skipped, and nothing changed by the paper's recipe
    for example in others:
        exec(example, {})


def test_the_example_about_scenarios_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("e-vqa", "e-ic", "train", "pool"):
        small_streams.plain(12, name).save(Path("streams") / name)
    (example,) = blocks("python", SCENARIOS)
    exec(example, {})
    assert "'scenario': 'clean'" in capsys.readouterr().out


@pytest.mark.slow
def test_the_run_folder_is_as_described(main_job: MainJob) -> None:
    table = README.partition("## What comes out")[2].partition("![")[0]
    cells = re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
    named = {name.rstrip("/") for cell in cells for name in re.findall(r"`(.+?)`", cell)}
    assert named == {path.name for path in main_job.folder.iterdir()}


def test_every_command_is_understood_as_it_stands() -> None:
    for command in [*commands(), *commands(DATASETS), *commands(SCENARIOS)]:
        program, *words = shlex.split(command)
        if program == "liveedit-bench":
            parse(words)


def test_what_stands_for_a_command_takes_the_same_options() -> None:
    assert {*REDUCED, *BY_THE_ENVIRONMENT, BY_THE_MAIN_JOB} <= set(commands()), (
        "a command of the tables is not in the README"
    )
    for command, reduced in REDUCED.items():
        assert options(command) <= options(reduced)
        positional = [
            [word for word in shlex.split(each) if not word.startswith("-")][:2] for each in (command, reduced)
        ]
        assert positional[0] == positional[1]


def test_ci_gives_the_commands_that_install_and_test() -> None:
    given = (ROOT / ".ci" / "run").read_text().replace(" -q ", " ").splitlines()
    install, test = blocks("bash")[1].strip().split(" && ")
    assert install in given
    # In two halves that leave nothing out: the folders of one are what the other ignores.
    halves = [line.removeprefix(f"{test} ").split()[0] for line in given if line.startswith(f"{test} ")]
    assert halves == ['"${half[@]}"', '"${half[@]/#/--ignore=}"']


def test_an_editor_takes_twelve_lines() -> None:
    assert len([line for line in blocks("python")[0].splitlines() if line.strip()]) <= 12


@pytest.mark.parametrize(("document", "split"), [(README, "test"), (CARD, "validation")], ids=["readme", "card"])
def test_the_tables_are_those_of_the_committed_results(document: str, split: str) -> None:
    (found,) = re.findall(r"<!-- results.*?-->\n(.*?)\n<!-- /results -->", document, re.DOTALL)
    files = sorted((ROOT / "perf" / "results" / split).glob("*.json"))
    if split == "test":  # every bundled editor stands in the table, or is said to be missing from it
        (missing,) = re.findall(r"^Bundled too, and not in this table:(.*?)\.$", document, re.DOTALL | re.MULTILINE)
        names = re.findall(r"`(.+?)`", missing)
        assert sorted([*names, *(file.stem for file in files)]) == sorted(BUNDLED["editors"])
    else:
        assert {file.stem for file in files} == {"liveedit", "retrieval"}
    script = runpy.run_path(str(ROOT / "perf" / "results_table.py"))
    results = [Result.model_validate_json(file.read_bytes()) for file in files]
    assert {(one.stream.split, one.stream.edits, one.stream.seed) for one in results} == {(split, 1000, 0)}
    assert found == script["table"](results)


def test_the_card_describes_every_bundled_editor_in_one_table() -> None:
    (table,) = re.findall(r"^\| editor \| what it is .*\n\| --- .*\n((?:\|.*\n)+)", CARD, flags=re.MULTILINE)
    assert sorted(line.split("`")[1] for line in table.splitlines()) == sorted(BUNDLED["editors"])


def test_the_results_table_is_made_of_results() -> None:
    script = runpy.run_path(str(ROOT / "perf" / "results_table.py"))
    results = []
    for name, version in (("my-editor", "1"), ("none", "1"), ("liveedit", "2")):
        editor = {"name": name, "version": version, "fixed_scores": {"text_locality": "no"} if version == "2" else None}
        result = example_run.make_result(editor=editor)
        results.append(Result.model_validate(result))
    lines = script["table"](results).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| `liveedit`", "| `none`", "| `my-editor`"]
    assert "| 0.902 [0.893, 0.911] | 0.934 | 0.852 | 0.935† | 0.985 | 0.287 |" in lines[2]
    assert "| 0.935 |" in lines[3]
    others = example_run.make_result(stream={**result["stream"], "seed": 1, "sha256": "0" * 64})
    with pytest.raises(ValueError, match="one of each"):
        script["table"]([*results, Result.model_validate(others)])


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        leads_to = (ROOT / name).parent / path if path else ROOT / name
        assert leads_to.exists(), f"{name} links to {path}, which does not exist"
        if anchor:
            assert anchor in anchors(leads_to.read_text(encoding="utf-8")), f"{name}: no heading {target}"


def test_every_place_the_card_names_exists() -> None:
    names = re.findall(r"`((?:benchmark|data_builders|leaderboards|metrics|perf|runners)/[\w/.]*)`", CARD + README)
    assert names
    for name in names:
        assert (ROOT / name).exists(), name


def row(*cells: object) -> str:
    return "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells) + " |"


def test_the_card_counts_the_world_as_it_is() -> None:
    for split in world.SPLITS:
        emblems = world.emblems(split)
        never = sum(emblem.probe_only for emblem in emblems)
        facts = sum(fact.split == split for fact in world.text_facts())
        assert row(split, len(emblems), never, capacity(split), facts) in CARD
    looks = dict(zip(world.TASKS, ("shape", "colour", "pattern", "corner marks", "border"), strict=True))
    for task in world.TASKS:
        relations = ", ".join(world.RELATIONS[task])
        assert (
            row(looks[task], len(world.VALUES[task]), task, len(world.names(task)), relations).replace("  |", " |")
            in CARD
        )
    assert f"{sum(len(world.emblems(split)) for split in world.SPLITS):,} emblems" in CARD
    assert f"{len(world.text_facts()):,} text facts" in CARD
    assert f"`{world.VERSION}`" in CARD


def test_the_card_gives_the_measured_backbone() -> None:
    folder = Path(liveedit_bench.__file__).parent / "benchmark" / "backbones" / "emblem" / "weights"
    measured = json.loads((folder / "measurement.json").read_text())
    lines = {
        **{task: measured["attributes"][task] for task in world.TASKS},
        "text facts": measured["text_facts"],
        '"unknown" without a picture': measured["unknown_without_picture"],
        "what a statement before the question says": measured["context_same"],
        "another attribute than the statement's": measured["context_other"],
        "hops of names it was trained to hop from": measured["hops_trained"],
        "hops of names withheld from that training": measured["hops_withheld"],
        "the hop of a name that a statement gives": measured["context_hop"],
    }
    for what, share in lines.items():
        assert row(what, f"{share['exact_match']:.3f}", share["n"]) in CARD
    assert f"{measured['parameters']:,} parameters" in CARD
