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


class Pause:
    """Between a step that was made by hand and the next one, which its task makes.

    A coroutine that awaits a future of asyncio's marks it as the one that its task is to wait for, and the task looks at the
    mark in the same step. Here that step is over, and somebody else may come to wait for the very same future meanwhile.
    """

    __slots__ = ("_marked", "_waits_for")

    def __init__(self, waits_for: Any) -> None:
        self._waits_for = waits_for
        self._marked = bool(getattr(waits_for, "_asyncio_future_blocking", False))
        if self._marked:
            waits_for._asyncio_future_blocking = False

    def cancel(self, error: BaseException) -> bool:
        """Cancel what is waited for, as the task would, and for the same reason: scopes know by it what is theirs."""
        cancel = getattr(self._waits_for, "cancel", None)
        return cancel is not None and bool(cancel(*error.args[:1]))

    def end(self) -> Any:
        """What the task is to be given, to wait for."""
        if self._marked:
            self._waits_for._asyncio_future_blocking = True
        return self._waits_for


MUST_CANCEL: Final = "_must_cancel"
"""Of a task that runs: it has been cancelled, and is told of it when it next waits. Some tasks have no such thing."""
