"""The primitives on asyncio (and uvloop)."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from typing import Any

import anyio

from ._base import Future, Handle, Scope


class AsyncioBackend:
    """A bare `asyncio.Future` is the cheapest thing to wait for: an `anyio.Event` costs 5 times as much to make."""

    name = "asyncio"
    cancelled: type[BaseException] = asyncio.CancelledError

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread = threading.get_ident()
        self.now: Callable[[], float] = loop.time
        self.future: Callable[[], Future] = loop.create_future
        if getattr(type(loop), "create_future", None) is asyncio.BaseEventLoop.create_future:
            # what that would do, without its frame: 0.1 us of each call and each wake-up
            self.future = partial(asyncio.Future, loop=loop)

    def scope(self) -> Scope:
        # anyio's, not a native task.cancel(): that would abandon worker threads while they still run
        return anyio.CancelScope()

    def current_task(self) -> object:
        return asyncio.current_task()

    async def checkpoint(self) -> None:
        await asyncio.sleep(0)

    async def until(self, future: Future, deadline: float) -> Any:
        timer = self._loop.call_at(deadline, _expire, future)
        try:
            return await future
        finally:
            timer.cancel()

    def from_anywhere(self) -> Callable[[Callable[[], object]], None]:
        loop = self._loop

        def soon(function: Callable[[], object]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(function)

        return soon

    def in_its_thread(self) -> bool:
        return threading.get_ident() == self._thread

    def run_from_thread(self, coroutine: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._loop.call_soon_threadsafe(lambda: self._loop.create_task(coroutine()))

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def spawn(self, coroutine: Callable[[], Coroutine[Any, Any, None]], context: Context, name: str) -> None:
        # The loop only keeps weak references to tasks; the coroutine keeps a strong one (`Turn.task`). A set of tasks with
        # its done-callbacks would cost 145 bytes an actor.
        self._loop.create_task(coroutine(), name=name, context=context)

    def call_at(self, when: float, callback: Callable[[], object]) -> Handle:
        return self._loop.call_at(when, callback)


def _expire(future: Future) -> None:
    if not future.done():
        future.set_exception(TimeoutError("the deadline of this message has passed"))
