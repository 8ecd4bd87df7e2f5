"""The recorded model and records, loaded once; at the end, how near to the released code everything came."""

import pytest
from released_code import LARGEST, Oracle


@pytest.fixture(scope="session")
def oracle() -> Oracle:
    return Oracle.load()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if LARGEST and config.get_verbosity() > 0:
        terminalreporter.section("largest difference from the released code (allowed)")
        for what, (found, allowed) in LARGEST.items():
            terminalreporter.write_line(f"{what}: {found:.1e} ({allowed:.0e})")
