"""SIGQUIT in `supervise run`: it writes the flight record, and the program goes on, as a Java program prints its threads.

It is taken only where it has its default meaning, which is to end the process with a core dump. A program that has a handler of
its own keeps it, and so does one that was started with the signal ignored.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from supervise._signals import say

if TYPE_CHECKING:
    from collections.abc import Generator

    from supervise.tree.running import RunningSupervisor


@contextmanager
def record_at_quit(app: RunningSupervisor) -> Generator[None]:
    """Write the record of a tree at each SIGQUIT that comes in the block. For the main thread, if the tree runs there."""
    recorder = app._branch.tree.recorder
    if recorder is None or sys.platform == "win32" or not has_default():
        yield
        return

    process = os.getpid()

    def heard(*_: object) -> None:
        if os.getpid() != process:  # a fork has the handler too, but isn't the command
            signal.signal(signal.SIGQUIT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGQUIT)
        elif not recorder.record_at_signal("asked for by SIGQUIT", _tell):
            say("supervise: SIGQUIT: a flight record is being written already")

    signal.signal(signal.SIGQUIT, heard)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGQUIT) is heard:
            signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def has_default() -> bool:
    """Whether nobody has taken it. `faulthandler` takes it below Python, which then knows nothing of it; Linux tells."""
    if signal.getsignal(signal.SIGQUIT) is not signal.SIG_DFL:
        return False
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return True
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return caught is None or not int(caught[1], 16) >> (signal.SIGQUIT - 1) & 1


def _tell(file: Path) -> None:
    say(f"supervise: SIGQUIT: supervise postmortem {file}")
