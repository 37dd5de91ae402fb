"""A clock that jumps: when nothing can run, it is the time of the next timer.

So hours pass in no time, and exactly. trio has such a clock
(`MockClock(autojump_threshold=0)`); this makes an asyncio loop do the same. `run` is
`anyio.run` on it; `backend` is for the fixture `anyio_backend` of anyio's pytest plugin.
(The fixture `virtual_backend` does that.) A deadlock is an error, and doesn't hang.

Limit, on both: a thread, socket or process in flight under a deadline is overtaken by the
jump. Such tests run on the real clock.

    >>> import anyio
    >>> async def hour():
    ...     begun = anyio.current_time()
    ...     await anyio.sleep(3600)
    ...     return anyio.current_time() - begun
    >>> await anyio.to_thread.run_sync(virtual_time.run, "asyncio", hour)  # in a loop of its own
    3600.0
"""

from __future__ import annotations

import asyncio
import functools
import math
import selectors
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

import anyio
import anyio.lowlevel

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
DEADLOCK: Final = "deadlock: nothing can run, and no timer is set"
RESOLUTION: Final = time.get_clock_info("monotonic").resolution  # which asyncio takes for any loop's
HUNG: Final = 1e8
"""Virtual seconds, three years. Where nothing can run the clock jumps there, so a lost wake-up fails, and doesn't hang."""


class _JumpingSelector(selectors.DefaultSelector):
    """Looks for what is ready without waiting; the wait that was asked for passes on the clock instead."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0
        self.resting: list[asyncio.Future[None]] = []

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.resting:
            waiters, self.resting = self.resting, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
        elif timeout is None:
            raise RuntimeError(DEADLOCK)
        else:
            self.advance_to(self.elapsed + timeout)
        return ready

    def advance_to(self, when: float) -> None:
        """A loop runs what is due before its time plus its resolution; after some months a float has no room for that plus."""
        self.elapsed = when if when + RESOLUTION > when else math.nextafter(when, math.inf)


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
        if when <= self.time():
            self._jumping.advance_to(self.time())
        return super().call_at(when, callback, *args, context=context)

    def at_rest(self) -> asyncio.Future[None]:
        """Done as soon as nothing can run any more, before any time passes; for all who wait."""
        waiter = self.create_future()
        self._jumping.resting.append(waiter)
        return waiter


def backend(name: str) -> tuple[str, dict[str, Any]]:
    """What anyio takes for a backend in virtual time: the backend's name, and its options.

    For the fixture `anyio_backend` of its pytest plugin, and for `anyio.run`. `name` is asyncio
    or trio; ValueError for another. Each call makes a new clock, for one run.
    """
    if name == "trio":
        import trio.testing

        return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}
    if name == "asyncio":
        return "asyncio", {"loop_factory": JumpingLoop}
    raise ValueError(f"backend {name!r} has no virtual time: give 'asyncio' or 'trio'")


def run(name: str, function: Callable[[Unpack[Ts]], Awaitable[T]], *args: *Ts) -> T:
    """`anyio.run` in virtual time, where there is no pytest.

    A deadlock raises RuntimeError; it doesn't hang.
    """
    library, options = backend(name)

    async def guarded() -> T:
        with anyio.move_on_after(HUNG):
            return await function(*args)
        raise RuntimeError(DEADLOCK)

    return anyio.run(guarded, backend=library, backend_options=options)


def never_hangs(test: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """The test under a deadline that only a deadlock reaches: then TimeoutError."""

    @functools.wraps(test)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        with anyio.fail_after(HUNG):
            return await test(*args, **kwargs)

    return guarded


async def at_rest() -> None:
    """Wait until nothing else can run, without letting time pass.

    All that follows from what was done has happened then. In virtual time, or on trio with any
    clock; in a loop of one's own, if that has a method `at_rest`. Else RuntimeError, with the
    cure. It waits for nobody who isn't in the loop: a thread, a process, a socket.

        >>> async with Supervisor("app") as app:
        ...     cart = await app.start(list, name="cart")
        ...     await cart.send(list.append, "tea")
        ...     await at_rest()
        ...     cart.account().handled
        1
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        import trio.testing

        await trio.testing.wait_all_tasks_blocked()
        return
    rest = getattr(loop, "at_rest", None)  # a JumpingLoop's, or that of a loop of one's own in virtual time
    if rest is None:
        raise RuntimeError(
            "only a loop in virtual time knows when it is at rest: run the test on the fixture `virtual_backend`, "
            "or the code with supervise.testing.virtual_time.run()"
        )
    await rest()


async def settle(turns: int = 20) -> None:
    """Let others run a number of times, without letting time pass.

    For a loop on the real clock, where nothing is ever at rest; `turns` (default 20) is how
    often. In virtual time `at_rest` is sure.

        >>> async with Supervisor("app") as app:
        ...     cart = await app.start(list, name="cart")
        ...     await cart.send(list.append, "tea")
        ...     await settle()
        ...     cart.account().handled
        1
    """
    for _ in range(turns):
        await anyio.lowlevel.checkpoint()
