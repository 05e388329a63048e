"""A real Chromium, asked over its debugging protocol: what a page looks like, what it runs and what it asks for."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--remote-debugging-port=0",
)  # fmt: skip

VISIBLE = (
    "[...document.querySelectorAll('.drawing > div')].filter(one => one.offsetHeight > 0).map(one => one.className)"
)
SMALLEST = (
    "Math.min(...[...document.querySelectorAll('.drawing text')].map(one => one.getBoundingClientRect().height)"
    ".filter(height => height > 0))"
)
LEAST_CONTRAST = """
(() => {
  const light = text => {
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(Number)
      .map(one => one / 255).map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = one => {
    for (; one; one = one.parentElement) {
      const found = getComputedStyle(one).backgroundColor;
      if (!found.startsWith('rgba(0, 0, 0, 0')) { return found; }
    }
    return 'rgb(255, 255, 255)';
  };
  let least = 21;
  for (const one of document.querySelectorAll('p, h1, h2, h3, li, dt, dd, td, th, small, mark, i, b, a, summary')) {
    if (!one.offsetHeight || !one.textContent.trim()) { continue; }
    const [a, b] = [light(getComputedStyle(one).color), light(ground(one))].sort((x, y) => y - x);
    least = Math.min(least, (a + 0.05) / (b + 0.05));
  }
  return least;
})()
"""

# The middle of an element; null unless it is the element there, twice at the same place.
_MIDDLE = """(() => {
  const one = %s
  if (!one) return null
  one.scrollIntoView({block: 'nearest'})
  const {x, y, width, height} = one.getBoundingClientRect(), middle = [x + width / 2, y + height / 2]
  const still = String(middle) === one.dataset.middle, top = document.elementFromPoint(...middle)
  one.dataset.middle = middle
  return still && !one.disabled && top && (one.contains(top) || top.contains(one)) ? middle : null
})()"""


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
        elif method == "Network.webSocketCreated":
            self._asked[params["requestId"]] = params["url"]
        elif method == "Network.loadingFailed" and params.get("blockedReason") == "csp":
            self._asked.pop(params["requestId"], None)
        self._loaded = self._loaded or method == "Page.loadEventFired"
        return message

    def requests(self) -> list[str]:
        """The addresses that it asked for since the last page was opened; what the page's policy stopped is not."""
        self.ask("1")
        return list(self._asked.values())

    def open(self, page: Path | str, *, width: int, height: int = 900, dark: bool = False, script: bool = True) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        self._loaded = False
        self._asked.clear()
        self.call("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        while not self._loaded:
            self._next()

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, expression: str, *, seconds: float = 60, again: Callable[[], None] | None = None) -> Any:
        """The value of a JavaScript expression, once it is true in JavaScript's sense; True for an element.

        Args:
            expression: what is asked, over and over.
            seconds: how long; AssertionError with what the page shows after that.
            again: what is done every ten seconds to make it true, such as opening the page again.
        """
        end, then = time.monotonic() + seconds, time.monotonic() + 10
        while (found := self._evaluate(f"(found => found instanceof Node || found || null)({expression})")) is None:
            assert time.monotonic() < end, f"not within {seconds} s: {expression}\n{self.text()}"
            if again and time.monotonic() > then:
                again()
                then = time.monotonic() + 10
            time.sleep(0.1)
        return found

    def _evaluate(self, expression: str) -> Any:
        """The value; None when the page changed meanwhile, or when the expression cannot be evaluated in it yet."""
        self._number += 1
        asked = {"expression": expression, "returnByValue": True}
        self.socket.send(json.dumps({"id": self._number, "method": "Runtime.evaluate", "params": asked}))
        while (message := self._next()).get("id") != self._number:
            pass
        found = message.get("result", {})
        return None if "exceptionDetails" in found else found.get("result", {}).get("value")

    def _seen(self, whole: bool) -> str:
        return str(self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"])

    def text(self) -> str:
        """What a person can read in the page."""
        return str(self._evaluate("document.body.innerText"))

    def click(self, element: str, *, until: str | None = None, seconds: float = 60) -> None:
        """Press the mouse in the middle of an element, once it can be seen, lies still and is covered by nothing.

        Args:
            element: JavaScript expression of it.
            until: what is true afterwards; the mouse is pressed again where it is not, since a page that is still
                being made may not hear it. None: once is enough, and twice would be wrong.
            seconds: how long to wait for the element, and for what is true afterwards.
        """
        end = time.monotonic() + seconds
        while True:
            x, y = self.wait(_MIDDLE % element, seconds=seconds)
            for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
                button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
                self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)
            if until is None or self._becomes(until, seconds=15):
                return
            assert time.monotonic() < end, f"clicked, but not true within {seconds} s: {until}\n{self.text()}"

    def _becomes(self, expression: str, *, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not self._evaluate(f"!!({expression})"):
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def type(self, text: str) -> None:
        """Write into what has the focus."""
        self.call("Input.insertText", text=text)

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """The page as PNG of 256 colours, once nothing moves on it: all of it, or what is in the window."""
        from PIL import Image

        data, before = self._seen(whole), ""
        end = time.monotonic() + 15
        while data != before and time.monotonic() < end:
            time.sleep(1)  # a cursor that blinks is again what it was
            data, before = self._seen(whole), data
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            image.convert("RGB").quantize(256).save(path, optimize=True)


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
    with connect(page["webSocketDebuggerUrl"], max_size=None, max_queue=None, ping_interval=None, proxy=None) as socket:
        yield Tab(socket)
