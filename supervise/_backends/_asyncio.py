"""The primitives on asyncio (and uvloop)."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from typing import Any, cast

import anyio

from ._base import Expired, Future, Handle, Running, Runs, Scope
from ._callback import call_back
from ._errands import Errands
from ._forks import NOWHERE, keep
from ._steps import Swap, swaps


class AsyncioBackend:
    """A bare `asyncio.Future` is the cheapest thing to wait for: an `anyio.Event` costs 5 times as much to make."""

    name = "asyncio"
    cancelled: type[BaseException] = asyncio.CancelledError

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.thread: int = threading.get_ident()
        self.errands: Errands = Errands(self)
        self.runs: Runs | None = None
        self.leave: Swap | None
        self.enter: Swap | None
        self.leave, self.enter = swaps()
        self.loop: object = loop
        self.pass_up: Callable[[BaseException], object] | None = None
        # By the loop, though a clock in C would spare its frame: who patches `time.monotonic` in a test patches both, or none.
        self.now: Callable[[], float] = loop.time
        self.current_task: Callable[[], object] = asyncio.current_task
        if sys.version_info < (3, 12):  # where that isn't written in C, and takes 0.3 us more
            self.current_task = partial(asyncio.tasks._current_tasks.get, loop)  # type: ignore[attr-defined]
        # What is_running() of these looks at.
        own = getattr(type(loop), "is_running", None) is asyncio.BaseEventLoop.is_running
        self.running: Running = cast(Running, loop if own else _Asked(loop))
        self.is_running: Callable[[], bool] = loop.is_running
        self.context_here: Callable[[], Context] | None = None
        self.future: Callable[[], Future] = loop.create_future
        if getattr(type(loop), "create_future", None) is asyncio.BaseEventLoop.create_future:
            # what that would do, without its frame: 0.1 us of each call and each wake-up
            self.future = partial(asyncio.Future, loop=loop)
        self._apart: set[asyncio.Task[None]] = set()  # the loop only keeps weak references to tasks
        keep(self)

    def scope(self) -> Scope:
        # anyio's, not a native task.cancel(): that would abandon worker threads while they still run
        return anyio.CancelScope()

    def waits_for(self, task: object, future: Future) -> bool:
        return getattr(task, "_fut_waiter", None) is future  # as anyio asks it, of the tasks that it cancels

    async def checkpoint(self) -> None:
        await asyncio.sleep(0)

    async def until(self, future: Future, deadline: float) -> Any:
        timer = self._loop.call_at(deadline, _expire, future)
        try:
            return await future
        finally:
            del future  # it has the error, whose traceback has this frame
            timer.cancel()

    def has_expired(self, future: Future) -> bool:
        reply = cast("asyncio.Future[Any]", future)
        return not reply.cancelled() and isinstance(reply.exception(), Expired)

    def is_closed(self) -> bool:
        return self._loop.is_closed()

    def elsewhere(self) -> str | None:
        if self._loop.is_closed():
            return "its event loop is closed"
        return None if asyncio._get_running_loop() is None else "another event loop runs here"

    def from_anywhere(self) -> Callable[[Callable[[], object]], bool]:
        loop = self._loop

        def soon(function: Callable[[], object]) -> bool:
            if self.thread == NOWHERE:  # a copy of the loop, which would wake the one of the parent
                return False
            try:
                loop.call_soon_threadsafe(call_back, self, function)
            except RuntimeError:  # the loop is closed
                return False
            return True

        return soon

    def in_its_thread(self) -> bool:
        return asyncio._get_running_loop() is self._loop

    def run_apart(self, coroutine: Callable[[], Coroutine[Any, Any, None]], context: Context) -> None:
        task = self._loop.create_task(coroutine(), context=context)
        self._apart.add(task)
        task.add_done_callback(self._apart.discard)

    async def open(self) -> None:
        pass

    def empty(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def spawn(
        self,
        coroutine: Callable[[], Coroutine[Any, Any, None]],
        context: Context,
        name: str,
        over: Callable[[], object] | None = None,
    ) -> object:
        # The loop only keeps weak references to tasks; the coroutine keeps a strong one (`Turn.task`). A set of tasks with
        # its done-callbacks would cost 145 bytes an actor.
        task = self._loop.create_task(coroutine(), name=name, context=context)
        if over is not None:
            task.add_done_callback(lambda _: over())
        return task

    def context_of(self, task: Any, given: Context) -> Context:
        return given

    def spawn_soon(
        self, coroutine: Callable[[], Coroutine[Any, Any, None]], context: Context, name: str, over: Callable[[], object]
    ) -> object:
        # Not by the loop's task factory: an eager one would begin it here and now.
        task = asyncio.Task(coroutine(), loop=self._loop, name=name, context=context)
        task.add_done_callback(lambda _: over())
        return task

    def rename(self, task: Any, name: str) -> None:
        task.set_name(name)

    def usage_of(self, task: Any) -> tuple[Callable[[], object], object]:
        return task.cancelling, 0  # of which there is only one

    def has_died(self, task: object) -> bool:
        # None: Ctrl-C struck just before it would have been made, since it is known from then on.
        return task is None or (isinstance(task, asyncio.Future) and task.done())

    def cancels_all(self, task: object, host: object) -> bool:
        if not isinstance(task, asyncio.Task) or not isinstance(host, asyncio.Task):
            return False
        return task.cancelling() > 0 and (host.cancelling() > 0 or host.done())

    def call_at(self, when: float, callback: Callable[[], object]) -> Handle:
        return self._loop.call_at(when, call_back, self, callback)

    def lets_interrupt(self, function: object) -> None:
        pass  # it strikes anywhere


class _Asked:
    """A loop that keeps for itself whether it runs, as uvloop's does."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread = threading.get_ident()

    @property
    def _thread_id(self) -> int | None:
        return self._thread if self._loop.is_running() else None


def _expire(future: Future) -> None:
    if not future.done():
        future.set_exception(Expired("the deadline of this message has passed"))
