"""A real Chromium, asked over its debugging protocol: what a page looks like, what it runs and what it asks for."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--remote-debugging-port=0",
)  # fmt: skip


def installed() -> str | None:
    """The browser's command; None where none is installed."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Tab:
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket, self._asked, self._number = socket, {}, 0
        self._loaded = False
        for domain in ("Page", "Network", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        self.socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = self._next()
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]

    def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.socket.recv(timeout=60))
        method, params = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self._asked[params["requestId"]] = params["request"]["url"]
        elif method == "Network.loadingFailed" and params.get("blockedReason") == "csp":
            del self._asked[params["requestId"]]
        self._loaded = self._loaded or method == "Page.loadEventFired"
        return message

    def requests(self) -> list[str]:
        """The addresses that it asked for since the last page was opened; what the page's policy stopped is not."""
        self.ask("1")
        return list(self._asked.values())

    def open(self, path: Path, *, width: int, dark: bool = False, script: bool = True) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        self._loaded = False
        self._asked.clear()
        self.call("Page.navigate", url=path.as_uri())
        while not self._loaded:
            self._next()

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def picture(self, path: Path) -> None:
        """The whole page as PNG."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))


@contextmanager
def tab(command: str, profile: Path) -> Iterator[Tab]:
    """A tab of a browser of its own, with an empty profile; both are gone afterwards."""
    profile.mkdir()
    with subprocess.Popen(  # noqa: S603
        [command, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, "HOME": str(profile)},
    ) as process:  # fmt: skip
        try:
            yield from _tab(process, profile / "DevToolsActivePort")
        finally:
            os.killpg(process.pid, 9)


def _tab(process: subprocess.Popen[bytes], port_file: Path) -> Iterator[Tab]:
    from urllib.request import urlopen

    end = time.monotonic() + 90
    while not (port_file.exists() and port_file.read_text().count("\n")):
        assert process.poll() is None, "the browser ended"
        assert time.monotonic() < end, "the browser does not answer"
        time.sleep(0.1)
    port = port_file.read_text().split()[0]
    with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=30) as answer:  # noqa: S310
        (page,) = [one for one in json.load(answer) if one["type"] == "page"]
    with connect(page["webSocketDebuggerUrl"], max_size=None, proxy=None) as socket:
        yield Tab(socket)
