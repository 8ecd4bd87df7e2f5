from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from visit import CHROMIUM


@pytest.fixture(scope="module")
def browser() -> Generator[Any]:
    sync_api: Any = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        # Containers run as root, where Chromium has no sandbox.
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()
