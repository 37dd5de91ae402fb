"""What a test left behind in its event loop: tasks, timers, open nurseries, complaints that nobody heard."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any, Final, Protocol

GRACE: Final = 2.0
"""Real seconds, for a thread that is about to end: a guard, not a wait."""


class Watch(Protocol):
    """Made before a test, in its loop and its task; asked after it, in the same task."""

    def left(self, *, collect: bool = True) -> list[str]:
        """What wasn't there before, as text; asked once. `collect`: also what complains only when it is collected."""
        ...


class _AsyncioWatch:
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks = asyncio.all_tasks()
        self._timers = self._live_timers()
        self._complaints: list[str] = []
        self._handler = self._loop.get_exception_handler()
        self._loop.set_exception_handler(self._hear)

    def _hear(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._complaints.append(f"{context['message']}: {context.get('exception')!r}")

    def _live_timers(self) -> set[asyncio.TimerHandle]:
        timers: list[asyncio.TimerHandle] = getattr(self._loop, "_scheduled", [])  # uvloop doesn't show its own
        return {timer for timer in timers if not timer.cancelled()}

    def left(self, *, collect: bool = True) -> list[str]:
        if collect:
            gc.collect()  # an exception, or a pending task, that nobody holds any more complains now
        self._loop.set_exception_handler(self._handler)
        tasks = [f"task {task!r}" for task in asyncio.all_tasks() - self._tasks if not _is_the_runners(task)]
        timers = [f"timer {timer!r}" for timer in self._live_timers() - self._timers]
        return tasks + timers + self._complaints


def _is_the_runners(task: asyncio.Task[Any]) -> bool:
    """Whether anyio's pytest plugin made it; it has one for each step of a test."""
    return getattr(task.get_coro(), "__qualname__", "").startswith("TestRunner.")


class _TrioWatch:
    def __init__(self) -> None:
        import trio

        self._lowlevel = trio.lowlevel
        self._task = trio.lowlevel.current_task()
        self._living = trio.lowlevel.current_statistics().tasks_living
        self._nurseries = {*self._task.child_nurseries}
        self._deadline = self._next_deadline()

    def _next_deadline(self) -> float:
        import trio

        return trio.current_time() + self._lowlevel.current_statistics().seconds_to_next_deadline

    def left(self, *, collect: bool = True) -> list[str]:
        if collect:
            gc.collect()
        now = self._lowlevel.current_statistics()
        left: list[str] = []
        if now.tasks_living != self._living:
            left.append(f"{now.tasks_living - self._living} tasks")
        left += [f"open nursery {nursery!r}" for nursery in {*self._task.child_nurseries} - self._nurseries]
        if self._next_deadline() < self._deadline - 1e-3:
            left.append(f"a deadline in {now.seconds_to_next_deadline} s")
        return left


def watch() -> Watch:
    """A watch over the running loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _TrioWatch()
    return _AsyncioWatch()


def threads_since(before: set[threading.Thread]) -> list[threading.Thread]:
    """The threads that live now and didn't before, but those of the backends' own pools.

    These are daemons, or asyncio's default executor (for name look-ups), which the loop joins when it is closed; anyio's
    were told to end, and are given the time that it takes.
    """
    new = [
        thread
        for thread in threading.enumerate()
        if thread not in before and not thread.daemon and not thread.name.startswith("asyncio_")
    ]
    for thread in new:
        thread.join(GRACE)
    return [thread for thread in new if thread.is_alive()]
