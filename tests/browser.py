"""A headless Chromium that tests drive, over a pipe, by its own DevTools protocol: no driver, no port, no package.

The fixture `browser` is one for the whole run. Without a Chromium its tests are skipped; the variable CHROMIUM names one that
isn't on PATH under a usual name. It is started so that it reaches nothing but this machine, and nothing by itself.
"""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
GUARD: Final = 60.0  # seconds after which what hangs is given up
FLAGS: Final = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",  # as root it doesn't start otherwise; what it shows is made by these tests
    "--disable-gpu",
    "--disable-dev-shm-usage",  # a container's is small
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-quic",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)
READS, WRITES = 3, 4  # the file descriptors by which it expects the two pipes
BEGIN: Final = f"""\
import os, sys
os.dup2(int(sys.argv[1]), {READS})
os.dup2(int(sys.argv[2]), {WRITES})
os.execv(sys.argv[3], sys.argv[3:])
"""


def chromium() -> str | None:
    """Where it is. CHROMIUM must name one, if it is set: who sets it wants these tests to run."""
    named = os.environ.get("CHROMIUM")
    if named:
        found = shutil.which(named)
        assert found is not None, f"CHROMIUM={named!r} is no program: name one, or unset it"
        return found
    return next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = chromium()
    if program is None:
        pytest.skip(f"there is no browser on PATH ({', '.join(NAMES)}), and CHROMIUM names none")
    with Browser(program) as started:
        yield started


class BrowserFailed(Exception):
    """It refused a command, raised, ended, or didn't answer."""


class Browser:
    """It ends with the block."""

    def __init__(self, program: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        its_input, self._input = _pipe()
        self._output, its_output = _pipe()
        self._said = (Path(self._folder.name) / "said").open("w+b")
        command = [program, *FLAGS, f"--user-data-dir={self._folder.name}/profile", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", BEGIN, str(its_input), str(its_output), *command],
            pass_fds=(its_input, its_output),
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        os.close(its_input)
        os.close(its_output)
        self._numbers = itertools.count(1)
        self._part = b""
        self._pages: dict[str, Page] = {}  # by session

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)  # its profile goes anyway
        finally:
            self._process.wait()
            os.close(self._input)
            os.close(self._output)
            self._said.close()
            self._folder.cleanup()

    def page(self, width: int = 1200, height: int = 800) -> Page:
        """An empty one, of that size in pixels; close it, or leave its block."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session, target)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        page.resize(width, height)
        return page

    def call(self, method: str, session: str | None = None, /, **parameters: Any) -> dict[str, Any]:
        """One command, and its result."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        text = json.dumps(message).encode() + b"\0"
        while text:
            text = text[os.write(self._input, text) :]
        while True:
            answer = self.hear(method)
            if answer.get("id") == number:
                if "error" in answer:
                    raise BrowserFailed(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    def hear(self, what_for: str) -> dict[str, Any]:
        """The next message. If it is an event, its page has it."""
        deadline = time.monotonic() + GUARD
        while b"\0" not in self._part:
            ready, _, _ = select.select([self._output], [], [], max(0.0, deadline - time.monotonic()))
            read = os.read(self._output, 1 << 20) if ready else b""
            if not read:
                why = "it ended" if ready else f"no answer after {GUARD:g} s"
                raise BrowserFailed(f"{what_for}: {why}. It said: {self._last_words()}")
            self._part += read
        whole, _, self._part = self._part.partition(b"\0")
        message: dict[str, Any] = json.loads(whole)
        page = self._pages.get(message.get("sessionId", ""))
        if page is not None and "method" in message:
            page.note(message["method"], message["params"])
        return message

    def _last_words(self) -> str:
        self._said.seek(0)
        return self._said.read().decode(errors="replace")[-2000:]


class Page:
    """One page, and what happened on it: `requests`, their URLs, and `complaints`: exceptions, and what its policy refused."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser = browser
        self._session = session
        self._target = target
        self._loaded = False
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)

    def call(self, method: str, /, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)

    def note(self, event: str, parameters: dict[str, Any]) -> None:
        if event == "Page.loadEventFired":
            self._loaded = True
        elif event == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif event == "Log.entryAdded":
            self.complaints.append(parameters["entry"]["text"])
        elif event == "Page.javascriptDialogOpening":  # nothing goes on before somebody answers it
            self.complaints.append(f"dialog: {parameters['message']}")

    def open(self, url: str) -> None:
        """Go there, and wait until it is loaded. What happened before is forgotten."""
        self._loaded = False
        self.requests.clear()
        self.complaints.clear()
        answer = self.call("Page.navigate", url=url)
        if "errorText" in answer:
            raise BrowserFailed(f"{url}: {answer['errorText']}")
        while not self._loaded:
            self._browser.hear(f"the load of {url}")

    def ask(self, expression: str) -> Any:
        """What a JavaScript expression is, as JSON; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserFailed(f"{expression}: {details.get('exception', {}).get('description', details['text'])}")
        return answer["result"].get("value")

    def settle(self) -> None:
        """Wait until what was begun has been drawn: two frames have passed."""
        self.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def until(self, condition: str) -> None:
        """Wait, frame by frame, until a JavaScript expression is true."""
        deadline = time.monotonic() + GUARD
        while not self.ask(condition):
            if time.monotonic() > deadline:
                raise BrowserFailed(f"after {GUARD:g} s this isn't true: {condition}")
            self.settle()

    def press(self, key: str, code: int, text: str = "") -> None:
        """A key, as a user's keyboard sends it; `code` is its number in Windows, by which Chromium knows what it does."""
        about = {"key": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **about)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)
        self.settle()

    def write(self, text: str) -> None:
        """Into what has the focus."""
        self.call("Input.insertText", text=text)
        self.settle()

    def click(self, selector: str) -> None:
        """With the mouse, in its middle."""
        box = self.ask(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({_one(selector)}.getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)
        self.settle()

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.settle()

    def prefer(self, **features: str) -> None:
        """Media features, with `_` for `-`: `prefer(prefers_color_scheme="dark")`."""
        given = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", features=given)
        self.settle()

    def texts(self, selector: str) -> list[str]:
        """The text of each element that fits, in the page's order."""
        texts: list[str] = self.ask(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent)")
        return texts

    def picture(self, file: Path) -> None:
        """A PNG of what is in view, for a person to look at."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


def _one(selector: str) -> str:
    return f"document.querySelector({json.dumps(selector)})"


def _pipe() -> tuple[int, int]:
    """What is read and what is written, both with numbers that aren't those of the browser's own."""
    ends: list[int] = []
    for end in os.pipe():
        ends.append(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10))
        os.close(end)
    return ends[0], ends[1]
