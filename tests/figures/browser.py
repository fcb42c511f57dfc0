"""Headless Chromium, driven by playwright: one tab, what went wrong in it, and what it asked for."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Page, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 20_000  # milliseconds
FAULTS = ("error", "warning", "assert")


def browser_path() -> str | None:
    """Where a Chromium lies, if there is one."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


class Tab:
    """One tab; ``console`` holds what went wrong in it, ``requests`` what it asked for, ``page`` is playwright's."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.console: list[str] = []
        self.requests: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("console", self._note)
        page.on("request", lambda request: self.requests.append(request.url))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in FAULTS:
            self.console.append(message.text)

    def open(self, path: Path, fragment: str = "") -> None:
        """Load a file, and forget what was noted before."""
        self.page.goto("about:blank")
        self.console, self.requests = [], []
        self.page.goto(path.absolute().as_uri() + fragment)
        self.frames()

    def run(self, script: str) -> Any:
        """Evaluate JavaScript; a promise is waited for."""
        return self.page.evaluate(script)

    def wait(self, condition: str) -> None:
        """Wait until a condition holds; playwright's own way of it needs eval, which the page's policy forbids."""
        end = time.monotonic() + PATIENCE / 1000
        while not self.run(f"Boolean({condition})"):
            if time.monotonic() > end:
                raise TimeoutError(condition)
            self.frames()

    def frames(self) -> None:
        """Wait for two frames, so that what was drawn is on the screen."""
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))")

    def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """Set the window, and what the person prefers."""
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.emulate_media(color_scheme="dark" if dark else "light")

    def click(self, selector: str, *, modifiers: Sequence[Any] = ()) -> None:
        """Click the middle of an element with the mouse."""
        self.page.click(selector, modifiers=modifiers)
        self.frames()

    def follow(self, selector: str) -> None:
        """Click a link, and wait for the page that it leads to."""
        with self.page.expect_navigation():
            self.page.click(selector)

    def move(self, x: float, y: float) -> None:
        """Move the mouse."""
        self.page.mouse.move(x, y)
        self.frames()

    def middle(self, selector: str) -> tuple[float, float]:
        """The middle of an element, scrolled into view."""
        quoted = json.dumps(selector)
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({quoted}); e.scrollIntoView({{block: 'nearest'}});"
            " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        return x, y

    def press(self, *keys: str) -> None:
        """Press keys, one after another."""
        for key in keys:
            self.page.keyboard.press(key)
        self.frames()


@contextmanager
def browser(path: str) -> Iterator[Tab]:
    """Start a browser, and end it."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--disable-gpu", "--disable-dev-shm-usage"])
        try:
            yield Tab(started.new_page())
        finally:
            started.close()
