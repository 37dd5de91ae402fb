"""`supervise run` in a process of its own, with all that it says in one stream, and all that it leaves behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from tests.house import ROOT

GUARD = 60.0  # seconds after which what hangs is given up
AS_MODULE = ("-m", "supervise.cli.main")
MARK = "SUPERVISE_TESTS_MARK"
DYING = 1.0  # seconds that a process may need for it


class Command:
    """What is begun here ends with the block; `said` is all of its stdout and stderr so far."""

    def __init__(
        self,
        *arguments: str,
        program: Sequence[str] = AS_MODULE,
        folder: Path = ROOT,
        more: Mapping[str, str] | None = None,
        **variables: str,
    ) -> None:
        self.said = ""
        self._mark = uuid.uuid4().hex
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'strategies'}",
            **marked(self._mark),
            **(more or {}),
            **(more or {}),
            **variables,
        }
        self._process = subprocess.Popen(
            [sys.executable, *program, "run", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdout is not None
        self._output: IO[bytes] = self._process.stdout
        os.set_blocking(self._output.fileno(), False)
        self._deadline = time.monotonic() + GUARD

    def __enter__(self) -> Command:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._output.close()
        kill_marked(self._mark)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def until_said(self, text: str) -> None:
        """Wait until a line ends like this."""
        while f"{text}\n" not in self.said:
            if self._process.poll() is not None and not self._hear():
                raise AssertionError(f"it ended with {self._process.returncode}, and never said {text!r}: {self.said}")
            self._wait(f"says {text!r}")

    def until_said_times(self, text: str, times: int) -> None:
        """Wait until it has said this so often, wherever in a line."""
        while self.said.count(text) < times:
            if self._process.poll() is not None and not self._hear():
                raise AssertionError(f"it ended with {self._process.returncode}, and didn't say {text!r}: {self.said}")
            self._wait(f"says {text!r} {times} times")
        self.until_said(self.said.rpartition("\n")[2])  # the whole line

    def until_asleep(self) -> None:
        """Wait until its main thread waits for something. A signal just before it does is only seen at the next one."""
        stat, before = Path(f"/proc/{self._process.pid}/stat"), ""
        while stat.exists():
            now = stat.read_text().rpartition(")")[2]
            if now == before and now.split()[0] == "S":
                return
            before = now
            time.sleep(0.05)

    def status(self) -> int:
        """Wait until it has ended, and nothing that it had started is left."""
        while self._process.poll() is None:
            self._wait("ends")
        while self.left():
            self._wait("leaves no process")
        self._hear()
        return self._process.returncode

    def left(self) -> list[int]:
        """The processes that came from it, itself included. Empty where there is no list of them."""
        return processes_with(self._mark)

    def _wait(self, what_for: str) -> None:
        if time.monotonic() > self._deadline:
            raise AssertionError(f"after {GUARD:g} s nothing {what_for}: {self.said}")
        if not self._hear():
            time.sleep(0.01)

    def _hear(self) -> bool:
        heard = self._output.read()
        self.said += (heard or b"").decode(errors="replace")
        return bool(heard)


def marked(mark: str) -> dict[str, str]:
    """Variables by which a process, and all that come from it, are known again."""
    return {MARK: mark}


def processes_with(mark: str) -> list[int]:
    found: list[int] = []
    wanted = f"{MARK}={mark}".encode()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in environ.read_bytes():  # a zombie has none
                found.append(int(environ.parent.name))
        except OSError:  # it is another's, or gone
            continue
    return found


def kill_marked(mark: str) -> int:
    """How many there were. One that was killed just before may be seen dying, and isn't counted."""
    deadline = time.monotonic() + DYING
    while (left := processes_with(mark)) and time.monotonic() < deadline:
        time.sleep(0.01)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(left)
