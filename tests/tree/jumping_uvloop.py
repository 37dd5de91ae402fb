"""uvloop in virtual time. Its timers and callbacks come by methods that can be overridden, and so is its time asked for."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from contextvars import Context
from typing import TypeVarTuple, Unpack

import uvloop

Ts = TypeVarTuple("Ts")


class JumpingUvloop(uvloop.Loop):
    """Once nothing is left to be run, its time is that of the next timer. Sockets, processes and threads aren't looked at."""

    def __init__(self) -> None:
        super().__init__()
        self._elapsed = 0.0
        self._busy = False  # something was scheduled since the last look
        self._looks = False
        self._deadlocked = 0  # looks that found nothing, not even a timer
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._set = 0
        self._resting: list[asyncio.Future[None]] = []

    def time(self) -> float:
        return self._elapsed

    def call_soon(self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None) -> asyncio.Handle:
        self._busy = True
        self._look_soon()
        return super().call_soon(callback, *args, context=context)

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        self._busy = True
        return super().call_soon_threadsafe(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._elapsed + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        if when != float("inf"):
            self._set += 1
            heapq.heappush(self._timers, (when, self._set, timer))
        self._look_soon()
        return timer

    def _timer_handle_cancelled(self, timer: asyncio.TimerHandle) -> None:
        """It asks its loop for that; the heap drops it when it comes to it."""

    def at_rest(self) -> asyncio.Future[None]:
        """As that of `JumpingLoop`."""
        waiter = self.create_future()
        self._resting.append(waiter)
        self._look_soon()
        return waiter

    def _look_soon(self) -> None:
        if not self._looks:
            self._looks = True
            super().call_soon(self._look)

    def _look(self) -> None:
        """Once in each turn of the loop."""
        self._looks = False
        if self._busy:
            self._busy = False
            self._deadlocked = 0
            self._look_soon()
        elif self._resting:
            waiters, self._resting = self._resting, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
        else:
            self._jump()

    def _jump(self) -> None:
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        if not self._timers:
            self._deadlocked += 1
            if self._deadlocked > 2:  # one look more may come once it is told to stop, which isn't to stop the next run
                self.stop()  # whoever runs it until something is done gets a RuntimeError
            else:
                self._look_soon()
            return
        self._elapsed = max(self._elapsed, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self._elapsed:
            _, _, timer = heapq.heappop(self._timers)
            if not timer.cancelled():
                self.call_soon(timer._run)
