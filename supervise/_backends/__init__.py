"""The few primitives of the hot path, once for asyncio and once for trio; everything else goes through anyio.

Above it are all rooms; it may import `supervise_strategies` alone. Start reading with `_base.py`, the protocol of both.
"""

from __future__ import annotations

import asyncio
import sys

from ._base import Backend, Expired, Future, Handle, Scope, Sleeper, answered, fail, give, is_cancellation, note
from ._errands import Gone
from ._forks import NOWHERE
from ._steps import MUST_CANCEL, Pause

__all__ = (
    "MUST_CANCEL",
    "NOWHERE",
    "Backend",
    "Expired",
    "Future",
    "Gone",
    "Handle",
    "Pause",
    "Scope",
    "Sleeper",
    "answered",
    "current_backend",
    "fail",
    "give",
    "is_cancellation",
    "note",
)


def current_backend() -> Backend:
    """The primitives of the event loop that runs in this thread; raises RuntimeError where none does."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        from ._trio import TrioBackend

        return TrioBackend()
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError("no event loop runs in this thread: call this from async code under asyncio or trio") from None
    from ._asyncio import AsyncioBackend

    return AsyncioBackend(loop)
