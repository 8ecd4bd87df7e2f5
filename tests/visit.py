"""A visit to a page in a real browser: Debian's Chromium, from the file system, without a network."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium")


class Visit:
    """A page with what it asked for and what it complained about."""

    def __init__(self, browser: Any, address: Path, **context: Any) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.dialogs: list[str] = []
        self.page = browser.new_context(**context).new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        self.page.on("dialog", lambda dialog: self.dialogs.append(dialog.message) or dialog.dismiss())
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address.as_uri())

    def drawn(self) -> Any:
        """The page once its charts are there."""
        self.page.wait_for_selector("body.drawn", timeout=60_000)
        return self.page

    def names(self) -> list[str]:
        """The methods of the first table from top to bottom."""
        return self.page.locator(".board").first.locator("tbody th a").all_inner_texts()

    def keep(self, name: str) -> None:
        """A screenshot where CI collects them."""
        if folder := os.environ.get("SCREENSHOTS"):
            self.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
