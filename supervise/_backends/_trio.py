"""The primitives on trio."""

from __future__ import annotations

import contextlib
import heapq
import math
import threading
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from functools import partial
from operator import attrgetter
from typing import Any

import trio

from supervise_strategies.exception import leaves

from ._base import Expired, Future, Handle, Running, Runs, Scope
from ._callback import call_back
from ._errands import Errands
from ._forks import NOWHERE, keep
from ._interrupts import let_strike, spare_our_own
from ._steps import Swap


class _Future:
    """trio has no future; this is one task's wait for one value, on `wait_task_rescheduled`."""

    __slots__ = ("_cancelled", "_done", "_error", "_result", "_task")

    def __init__(self) -> None:
        self._done = self._cancelled = False
        self._task: trio.lowlevel.Task | None = None
        self._result: Any = None
        self._error: BaseException | None = None

    def done(self) -> bool:
        return self._done

    def cancelled(self) -> bool:
        return self._cancelled

    def exception(self) -> BaseException | None:
        return self._error

    def set_result(self, result: Any, /) -> None:
        self._settle()
        self._result = result

    def set_exception(self, exception: BaseException, /) -> None:
        self._settle()
        self._error = exception

    def _settle(self) -> None:
        if self._done:
            raise RuntimeError("this future is done already")
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)  # first: it raises where no loop runs
            self._task = None
        self._done = True

    def _abort(self, _: Callable[[], object]) -> trio.lowlevel.Abort:
        self._task = None
        self._done = self._cancelled = True
        return trio.lowlevel.Abort.SUCCEEDED

    def __await__(self) -> Generator[Any, Any, Any]:
        if not self._done:
            self._task = trio.lowlevel.current_task()
            yield from trio.lowlevel.wait_task_rescheduled(self._abort).__await__()
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # a frame that holds the exception that holds the frame is only freed by the collector
        return self._result


class _Timer:
    __slots__ = ("_backend", "callback", "when")

    def __init__(self, backend: TrioBackend, when: float, callback: Callable[[], object]) -> None:
        self._backend = backend
        self.when = when
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        if self.callback is not None:
            self.callback = None
            self._backend._one_cancelled()

    def __lt__(self, other: _Timer) -> bool:
        return self.when < other.when


def _context_here() -> Context:
    """For what a thread asks for by `trio.from_thread.run` it is that of the thread."""
    return trio.lowlevel.current_task().context


class TrioBackend:
    """trio has no `call_at` either: one task over a heap, alive only while something is put off."""

    name = "trio"
    cancelled: type[BaseException] = trio.Cancelled

    def __init__(self) -> None:
        self._manager: contextlib.AbstractAsyncContextManager[trio.Nursery] | None = None
        self._nursery: trio.Nursery | None = None
        self._closing: trio.Event | None = None
        self._timers: list[_Timer] = []
        self._cancelled = 0  # of them
        self._driver: trio.CancelScope | None = None
        self.thread: int = threading.get_ident()
        self._thread_id: int | None = self.thread
        self.running: Running = self
        self.errands: Errands = Errands(self)
        self.runs: Runs | None = None
        self.leave: Swap | None = None
        self.enter: Swap | None = None
        self.pass_up: Callable[[BaseException], object] | None = None
        self.loop: object = trio.lowlevel.current_trio_token()
        self._token = trio.lowlevel.current_trio_token()
        self.now: Callable[[], float] = trio.lowlevel.current_clock().current_time  # it can be read in any thread
        self.future: Callable[[], Future] = _Future
        self.current_task: Callable[[], object] = trio.lowlevel.current_task
        self.context_here: Callable[[], Context] | None = _context_here
        keep(self)
        spare_our_own()

    def scope(self) -> Scope:
        return trio.CancelScope()

    def waits_for(self, task: object, future: Future) -> bool:
        return isinstance(future, _Future) and future._task is task

    async def checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()

    async def until(self, future: Future, deadline: float) -> Any:
        with trio.CancelScope(deadline=deadline) as scope:
            return await future
        assert scope.cancelled_caught
        raise Expired("the deadline of this message has passed")

    def is_running(self) -> bool:
        return True  # all tasks of a run end before the run does, so whoever waits to be woken is in the one that runs here

    def has_expired(self, future: Future) -> bool:
        return False  # who is to be woken can't be cancelled before it has run

    def is_closed(self) -> bool:
        return False  # a run ends with all its tasks, and with them the errands

    def elsewhere(self) -> str | None:
        return None

    def from_anywhere(self) -> Callable[[Callable[[], object]], bool]:
        token = self._token

        def soon(function: Callable[[], object]) -> bool:
            if self.thread == NOWHERE:  # a copy of the loop, which would wake the one of the parent
                return False
            try:
                token.run_sync_soon(call_back, self, function)
            except trio.RunFinishedError:
                return False
            return True

        return soon

    def in_its_thread(self) -> bool:
        try:
            return trio.lowlevel.current_trio_token() is self._token
        except RuntimeError:
            return False

    def run_apart(self, coroutine: Callable[[], Coroutine[Any, Any, None]], context: Context) -> None:
        # A system task, since no nursery need be open. It ends with the run; RuntimeError once that is ending.
        trio.lowlevel.spawn_system_task(coroutine, context=context)

    async def open(self) -> None:
        # A nursery's scope is also around the body that opened it: shielded here, it would keep the caller's own cancellation
        # from the caller. So the shielded one is kept open by a task of its own.
        self._manager = trio.open_nursery()
        outer = await self._manager.__aenter__()
        opened, self._closing = trio.Event(), trio.Event()
        outer.start_soon(self._keep_open, opened, self._closing)
        try:
            with trio.CancelScope(shield=True):
                await opened.wait()
        except BaseException:  # Ctrl-C, which is raised wherever the main task waits
            await self.close()  # by itself: cancelled, it would never reach the shielded nursery
            raise

    async def _keep_open(self, opened: trio.Event, closing: trio.Event) -> None:
        async with trio.open_nursery() as self._nursery:
            self._nursery.cancel_scope.shield = True
            opened.set()
            await closing.wait()

    def empty(self) -> None:
        self._timers.clear()
        self._cancelled = 0
        if self._driver is not None:
            self._driver.cancel()
        if self._closing is not None:
            self._closing.set()

    async def close(self) -> None:
        if self._manager is not None:
            self.empty()
            manager, self._manager = self._manager, None
            try:
                await manager.__aexit__(None, None, None)
            except BaseExceptionGroup as group:  # Ctrl-C came while it waited, and is to leave as it would leave anywhere else
                for leaf in leaves(group):
                    if isinstance(leaf, KeyboardInterrupt):
                        raise leaf from None
                raise

    def spawn(
        self,
        coroutine: Callable[[], Coroutine[Any, Any, None]],
        context: Context,
        name: str,
        over: Callable[[], object] | None = None,
    ) -> object:
        if self._nursery is None:
            raise RuntimeError("spawn() before open()")
        nursery = self._nursery
        run = coroutine if over is None else partial(_run_over, coroutine, over)
        # trio copies the context of whoever calls start_soon, so the call is made inside the wanted one
        context.run(lambda: nursery.start_soon(run, name=name))
        return None  # it is made when it begins, which each of them does

    def context_of(self, task: Any, given: Context) -> Context:
        context: Context = task.context  # a copy
        return context

    def spawn_soon(
        self, coroutine: Callable[[], Coroutine[Any, Any, None]], context: Context, name: str, over: Callable[[], object]
    ) -> object:
        return self.spawn(coroutine, context, name, over)

    def rename(self, task: Any, name: str) -> None:
        task.name = name

    def usage_of(self, task: Any) -> tuple[Callable[[], object], object]:
        # Not public; where there is no such thing, nothing is ever left in a task. It is what a scope sets as it is entered.
        innermost = partial(attrgetter("_cancel_status"), task)
        return (innermost, innermost()) if hasattr(task, "_cancel_status") else (bool, False)

    def has_died(self, task: object) -> bool:
        return False  # a KeyboardInterrupt doesn't strike in our code, and cancellations are what it tells of

    def cancels_all(self, task: object, host: object) -> bool:
        return False

    def call_at(self, when: float, callback: Callable[[], object]) -> Handle:
        timer = _Timer(self, when, callback)
        heapq.heappush(self._timers, timer)
        if self._driver is None:
            self._driver = trio.CancelScope()
            self.spawn(self._drive, Context(), "supervise timers")
        elif self._timers[0] is timer:
            self._driver.deadline = when
        return timer

    def _one_cancelled(self) -> None:
        self._cancelled += 1
        if self._cancelled > 100 and 2 * self._cancelled > len(self._timers):  # they may be due in an hour
            self._timers[:] = [timer for timer in self._timers if timer.callback is not None]
            heapq.heapify(self._timers)
            self._cancelled = 0
        if self._driver is not None:
            self._driver.deadline = self._next()

    async def _drive(self) -> None:
        timers = self._timers
        while timers:
            with trio.CancelScope(deadline=self._next()) as self._driver:
                await trio.sleep_forever()
            while timers and (timers[0].callback is None or timers[0].when <= trio.current_time()):
                timer = heapq.heappop(timers)
                callback, timer.callback = timer.callback, None
                if callback is not None:
                    call_back(self, callback)
                else:
                    self._cancelled -= 1
        self._driver = None

    def _next(self) -> float:
        timers = self._timers
        while timers and timers[0].callback is None:
            heapq.heappop(timers)
            self._cancelled -= 1
        return timers[0].when if timers else -math.inf

    def lets_interrupt(self, function: object) -> None:
        let_strike(function)


async def _run_over(coroutine: Callable[[], Coroutine[Any, Any, None]], over: Callable[[], object]) -> None:
    try:
        await coroutine()
    finally:
        over()
