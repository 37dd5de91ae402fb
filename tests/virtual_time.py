"""A clock that jumps: when nothing can run, it is the time of the next timer.

trio has one (`MockClock(autojump_threshold=0)`); this makes an asyncio loop do the same. Limit, on both: a thread, socket or
process in flight under a deadline is overtaken by the jump, so such tests run on the real clock.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

import anyio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
DEADLOCK: Final = "deadlock: nothing can run, and no timer is set"


class _JumpingSelector(selectors.DefaultSelector):
    """Looks for what is ready without waiting; the wait that was asked for passes on the clock instead."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0
        self.resting: asyncio.Future[None] | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.resting is not None:
            waiter, self.resting = self.resting, None
            if not waiter.done():
                waiter.set_result(None)
        elif timeout is None:
            raise RuntimeError(DEADLOCK)
        else:
            self.elapsed += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in virtual time."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.elapsed

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        if when == math.inf:  # how a sleep for ever is made; set, it would be jumped at a day at a time, and hide a deadlock
            return asyncio.TimerHandle(when, callback, args, self, context)
        return super().call_at(when, callback, *args, context=context)

    def at_rest(self) -> asyncio.Future[None]:
        """Done as soon as nothing can run any more, before any time passes. For one waiter at a time."""
        self._jumping.resting = waiter = self.create_future()
        return waiter


def backend(name: str) -> tuple[str, dict[str, Any]]:
    """What anyio's pytest plugin takes for a backend in virtual time."""
    if name == "trio":
        import trio.testing

        return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}
    return "asyncio", {"loop_factory": JumpingLoop}


def run(name: str, function: Callable[[Unpack[Ts]], Awaitable[T]], *args: *Ts) -> T:
    """`anyio.run` in virtual time. A deadlock raises, on trio too, whose own jumping clock would turn for ever."""
    library, options = backend(name)
    if name == "trio":
        import trio

        clock = options["clock"]
        jump: Callable[[], None] = clock._autojump

        def jump_or_raise() -> None:
            if trio.lowlevel.current_statistics().seconds_to_next_deadline == math.inf:
                raise RuntimeError(DEADLOCK)
            jump()

        clock._autojump = jump_or_raise
    return anyio.run(function, *args, backend=library, backend_options=options)


async def at_rest() -> None:
    """Wait until nothing else can run, without letting time pass."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        import trio.testing

        await trio.testing.wait_all_tasks_blocked()
        return
    if not isinstance(loop, JumpingLoop):
        raise RuntimeError("only a loop in virtual time knows when it is at rest")
    await loop.at_rest()
