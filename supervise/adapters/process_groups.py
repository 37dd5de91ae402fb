"""The process groups that live now, so that whoever ends this process at once can end them first."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import Final

_LIVE: Final[set[int]] = set()


def add(group: int) -> None:
    """A group has begun. Its number is the process id of its leader."""
    _LIVE.add(group)


def discard(group: int) -> None:
    """Nobody of it is left, and its number may soon be another's. Idempotent."""
    _LIVE.discard(group)


def kill_all() -> None:
    """SIGKILL to all of them. From any thread, and from a signal handler; it waits for nobody, and raises nothing."""
    if sys.platform == "win32":
        return
    for group in tuple(_LIVE):
        with contextlib.suppress(OSError):  # it is gone
            os.killpg(group, signal.SIGKILL)
