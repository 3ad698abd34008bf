"""A page in a headless Chromium, spoken to through its debugging pipe: needs no package beside the browser."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "headless_shell")


def find() -> str | None:
    """The browser: $ADEPT_BENCH_CHROMIUM, or the first of the usual names on PATH."""
    if named := os.environ.get("ADEPT_BENCH_CHROMIUM"):
        return shutil.which(named)
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """A browser with one page; a context manager."""

    def __init__(self, binary: str, profile: Path, limit: float = 120.0) -> None:
        self.limit, self.number, self.buffer = limit, 0, b""
        self.events: list[dict[str, Any]] = []
        to_browser, self.writing = os.pipe()
        self.reading, from_browser = os.pipe()
        # the browser reads from descriptor 3 and writes to 4
        script = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        options += ["--disable-background-networking", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", binary, *options],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self.session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.session = None
        try:
            self.call("Browser.close")
            self.process.wait(10)
        except (OSError, EOFError, TimeoutError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.writing)
        os.close(self.reading)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command; events that come meanwhile are kept in `events`."""
        self.number += 1
        number = self.number
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self.events.append(answer)

    def wait(self, event: str) -> None:
        """Until an event of that name has come."""
        while not any(one.get("method") == event for one in self.events):
            self.events.append(self._receive())

    def _receive(self) -> dict[str, Any]:
        end = time.monotonic() + self.limit
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.reading], [], [], max(end - time.monotonic(), 0))
            if not ready:
                raise TimeoutError(f"no answer from the browser within {self.limit} s")
            if not (piece := os.read(self.reading, 1 << 20)):
                raise EOFError("the browser has ended")
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def open(self, file: Path, width: int, height: int, mobile: bool = False) -> None:
        """Show a local file at this size in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if mobile else 1,
            mobile=mobile,
        )
        self.events.clear()
        self.call("Page.navigate", url=file.as_uri())
        self.wait("Page.loadEventFired")

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives on the page (run by the debugger, which the page's policy allows)."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def complaints(self) -> list[str]:
        """Errors and warnings of the console and the log."""
        found = []
        for event in self.events:
            parameters = event.get("params", {})
            if event["method"] == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
                found.append(parameters["entry"]["text"])
            if event["method"] in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
                found.append(json.dumps(parameters)[:300])
        return found

    def requests(self) -> list[str]:
        """Everything the page has asked for that is not in it: all URLs but its own file and data: URIs."""
        urls = [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]
        return [url for url in urls if not url.startswith("data:")][1:]

    def screenshot(self, file: Path, full: bool = False, clip: dict[str, float] | None = None) -> None:
        """The visible part, the whole page or a clip (x, y, width, height) as PNG."""
        parameters: dict[str, Any] = {"format": "png", "captureBeyondViewport": full or clip is not None}
        if clip:
            parameters["clip"] = {"scale": 1, **clip}
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", **parameters)["data"]))

    def pdf(self, file: Path) -> None:
        """The page printed on A4."""
        result = self.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, preferCSSPageSize=True)
        file.write_bytes(base64.b64decode(result["data"]))
