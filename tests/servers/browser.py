"""A real browser for tests: Debian's Chromium without a window, which reaches one server and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Route, sync_playwright

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_PATIENCE_MS = 30_000
"""A busy machine takes seconds to draw a page; a test that waits for what never comes ends after this."""


@dataclass(frozen=True, slots=True)
class Browser:
    """A window on the pages of the server at `url`. `asked_elsewhere` are the addresses beyond it that pages wanted."""

    url: str
    page: Page
    asked_elsewhere: set[str] = field(default_factory=set)

    def open(self, path: str) -> Page:
        """Go to a page of the server, and wait until it has all that it asks for."""
        self.page.goto(self.url + path)
        self.page.wait_for_load_state("networkidle")
        return self.page


@contextmanager
def browser(url: str, scratch: Path) -> Iterator[Browser]:
    """Open a window of 1280 by 900 that sees the server at `url` alone, with a profile below `scratch`."""
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        pytest.skip("no Chromium is installed: `apt-get install chromium`")
    with sync_playwright() as playwright:
        window = playwright.chromium.launch_persistent_context(
            scratch / "browser",
            executable_path=program,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            viewport={"width": 1280, "height": 900},
            timezone_id="UTC",
        )
        window.set_default_timeout(_PATIENCE_MS)
        opened = Browser(url, window.pages[0])
        allowed = urlsplit(url).netloc

        def admit(route: Route) -> None:
            asked = urlsplit(route.request.url)
            if asked.scheme in {"data", "blob"} or asked.netloc == allowed:
                route.continue_()
            else:
                opened.asked_elsewhere.add(route.request.url)
                route.abort()

        window.route("**/*", admit)
        opened.page.on(
            "websocket",
            lambda socket: None if urlsplit(socket.url).netloc == allowed else opened.asked_elsewhere.add(socket.url),
        )
        try:
            yield opened
        finally:
            window.close()
