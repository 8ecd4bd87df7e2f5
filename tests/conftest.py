"""What every test shares: no network, few threads, reproducible examples, and no silent skips."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from console import MainJob, run_main_job
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", str(min(2, os.cpu_count() or 1)))  # read when torch is first imported
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TRANSFORMERS_OFFLINE="1")

settings.register_profile("bench", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("bench")


@pytest.fixture(autouse=True)
def _denormals(request: pytest.FixtureRequest) -> Iterator[None]:
    """Loading a backbone flushes denormals for the whole process; tests without a model meet all floats there are."""
    torch = sys.modules.get("torch")
    if torch is None or request.path.parent.name not in ("metrics", "leaderboards", "data_builders"):
        yield
        return
    torch.set_flush_denormal(False)
    yield
    torch.set_flush_denormal(True)


_LISTED = Path(__file__).with_name("skips.txt")
_unlisted = pytest.StashKey[list[str]]()
_main_job = pytest.StashKey[MainJob]()


@pytest.fixture(scope="session")
def main_job(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MainJob:
    """The main job of 1,000 steps. It takes minutes and runs once; only tests marked slow may read it."""
    job = run_main_job(tmp_path_factory.mktemp("main_job") / "run")
    request.config.stash[_main_job] = job
    return job


def listed_skips(text: str) -> dict[str, str]:
    """Node id (or the beginning of one) -> reason. A line without a reason is an error."""
    lines = [line.strip() for line in text.splitlines()]
    entries = [line.partition(" : ") for line in lines if line and not line.startswith("#")]
    without = [test for test, _, reason in entries if not reason.strip()]
    if without:
        raise ValueError(f"tests/skips.txt gives no reason for {', '.join(without)}")
    return {test.strip(): reason.strip() for test, _, reason in entries}


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_unlisted] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report: pytest.TestReport = yield
    if report.skipped:  # an expected failure counts as well
        _note(item.config, report.nodeid)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    report: pytest.CollectReport = yield
    if report.skipped:
        _note(collector.config, report.nodeid)
    return report


def _note(config: pytest.Config, nodeid: str) -> None:
    if not nodeid.startswith(tuple(listed_skips(_LISTED.read_text()))):
        config.stash[_unlisted].append(nodeid)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if session.config.stash[_unlisted] and os.environ.get("CI") and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if _main_job in config.stash:
        terminalreporter.section("main job")
        terminalreporter.line(str(config.stash[_main_job]))
    if config.stash[_unlisted] and os.environ.get("CI"):
        terminalreporter.section("skipped without a reason in tests/skips.txt: CI fails", red=True)
        for nodeid in config.stash[_unlisted]:
            terminalreporter.line(nodeid)
