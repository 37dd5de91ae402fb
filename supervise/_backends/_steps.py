"""A step of somebody else's task, made by hand: what asyncio documents for who implements tasks ("Extending asyncio").

It is the only place that knows of it. Where a Python has no such thing, no call is answered inline by a coroutine function, and
all else is the same.
"""

from __future__ import annotations

from asyncio import tasks
from collections.abc import Callable
from typing import Any, Final, TypeAlias

Swap: TypeAlias = Callable[[Any, Any], object]
"""Is told a loop, and its task that is the current one from now on, or isn't any more."""

ENTER: Final[Swap | None] = getattr(tasks, "_enter_task", None)
LEAVE: Final[Swap | None] = getattr(tasks, "_leave_task", None)


def swaps() -> tuple[Swap | None, Swap | None]:
    """How a task is left, and another one entered. None: it can't be."""
    return (None, None) if ENTER is None or LEAVE is None else (LEAVE, ENTER)
