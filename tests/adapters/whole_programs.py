"""Whole programs that supervise processes, for what ends a program: signals, forks, loops that are closed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

GUARD: Final = 30.0  # seconds, after which a program hangs; each takes about one
ROOT: Final = Path(__file__).parents[2]
ENVIRONMENT: Final = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "strategies")])}


@contextmanager
def program(code: str, *arguments: str) -> Generator[subprocess.Popen[str]]:
    """It runs, and is killed at the end if it still does. Ctrl-C means to it what it means to a program in a terminal."""
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    ignored = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would hand on "ignored"
    try:
        running = subprocess.Popen(command, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGINT, ignored)
    with running:
        try:
            yield running
        finally:
            running.kill()


def line_of(running: subprocess.Popen[str]) -> str:
    """The next line that it prints, which it does within the guard, or has its stderr shown."""
    assert running.stdout is not None
    assert running.stderr is not None
    line = b""
    while not line.endswith(b"\n"):  # a byte at a time: what a buffer holds isn't seen by select()
        assert select.select([running.stdout], [], [], GUARD)[0], f"it says nothing after {line!r}"
        byte = os.read(running.stdout.fileno(), 1)
        if not byte:
            raise AssertionError(running.stderr.read())
        line += byte
    return line.decode().strip()


def handle_of(pid: int) -> int:
    """By which the end of a process can be waited for that isn't one's own child. To be had while it runs."""
    return os.pidfd_open(pid)


def ended(handle: int) -> bool:
    """Whether it ends within the guard. If not, it is killed here."""
    try:
        if select.select([handle], [], [], GUARD)[0]:
            return True
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        return False
    finally:
        os.close(handle)
