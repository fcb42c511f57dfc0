"""Headless Chromium, driven over a pipe by its DevTools protocol: nothing to install but the browser itself."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 20.0  # seconds


def browser_path() -> str | None:
    """Where a Chromium lies, if there is one."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


class Browser:
    """One Chromium process with one tab; ``console`` holds what went wrong in it, ``requests`` what it asked for."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._buffer, self._last = b"", 0
        self._session: str | None = None
        self.console: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._last:
            self._note(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            chunk = os.read(self._from, 1 << 20)
            if not chunk:
                raise RuntimeError("the browser has gone")
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        method, content = event.get("method"), event.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown":
            self.console.append(str(content["exceptionDetails"].get("exception", content)))
        elif method == "Runtime.consoleAPICalled" and content["type"] in ("error", "warning", "assert"):
            self.console.append(str(content["args"]))
        elif method == "Log.entryAdded" and content["entry"]["level"] in ("error", "warning"):
            self.console.append(str(content["entry"]))
        elif method == "Network.requestWillBeSent":
            self.requests.append(content["request"]["url"])

    # ---- what tests do

    def open(self, path: Path, fragment: str = "") -> None:
        """Load a file, and forget what was noted before."""
        self.call("Page.navigate", url="about:blank")
        self.console, self.requests, self._loaded = [], [], False
        self.call("Page.navigate", url=path.absolute().as_uri() + fragment)
        self.wait("document.readyState === 'complete'")
        self.frames()

    def run(self, script: str) -> Any:
        """Evaluate JavaScript; a promise is waited for."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until a condition holds."""
        end = time.monotonic() + PATIENCE
        while not self.run(f"Boolean({condition})"):
            if time.monotonic() > end:
                raise TimeoutError(condition)
            time.sleep(0.02)

    def frames(self) -> None:
        """Wait for two frames, so that what was drawn is on the screen."""
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def size(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """Set the window, and what the person prefers."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def click(self, selector: str) -> None:
        """Click the middle of an element with the mouse."""
        self._press(selector)
        self.frames()

    def follow(self, selector: str) -> None:
        """Click a link, and wait for the page that it leads to."""
        before = json.dumps(self.run("location.href"))
        self._press(selector)
        end = time.monotonic() + PATIENCE
        while not self._arrived(f"location.href !== {before} && document.readyState === 'complete'"):
            if time.monotonic() > end:
                raise TimeoutError(f"the link {selector} leads nowhere")
            time.sleep(0.02)

    def _arrived(self, condition: str) -> bool:
        """Whether a condition holds; a script that runs while the page changes is lost with the old page, so then it does not."""
        try:
            return self.run(condition)
        except RuntimeError:
            return False

    def _press(self, selector: str) -> None:
        x, y = self.middle(selector)
        self.move(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def move(self, x: float, y: float) -> None:
        """Move the mouse."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.frames()

    def middle(self, selector: str) -> tuple[float, float]:
        """The middle of an element, scrolled into view."""
        quoted = json.dumps(selector)
        box = self.run(
            f"(() => {{ const e = document.querySelector({quoted}); e.scrollIntoView({{block: 'nearest'}});"
            " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        return box[0], box[1]

    def press(self, *keys: str) -> None:
        """Press keys, one after another."""
        for key in keys:
            text = {"Enter": "\r", "Space": " "}.get(key, key if len(key) == 1 else "")
            name = " " if key == "Space" else key
            codes = {
                "Enter": 13,
                "Tab": 9,
                "Escape": 27,
                "ArrowLeft": 37,
                "ArrowUp": 38,
                "ArrowRight": 39,
                "ArrowDown": 40,
            }
            self.call(
                "Input.dispatchKeyEvent", type="keyDown", key=name, text=text, windowsVirtualKeyCode=codes.get(key, 0)
            )
            self.call("Input.dispatchKeyEvent", type="keyUp", key=name, windowsVirtualKeyCode=codes.get(key, 0))
        self.frames()

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Take a screenshot."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def browser(path: str) -> Iterator[Browser]:
    """Start a browser, and end it."""
    (read_by_it, to_it), (from_it, written_by_it) = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        # The pipe is on the file descriptors 3 and 4; a shell puts them there, since any others are closed by Popen.
        command = f'exec "$0" "$@" 3<&{read_by_it} 4>&{written_by_it}'
        options = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--remote-debugging-pipe",
        ]
        quiet = ["--no-first-run", "--disable-extensions", "--disable-background-networking", "--hide-scrollbars"]
        process = subprocess.Popen(
            ["bash", "-c", command, path, *options, *quiet, f"--user-data-dir={home}"],
            pass_fds=(read_by_it, written_by_it), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read_by_it)
        os.close(written_by_it)
        try:
            yield Browser(to_it, from_it)
        finally:
            os.close(to_it)
            os.close(from_it)
            process.terminate()
            process.wait(10)


Driver = Callable[[], Browser]
