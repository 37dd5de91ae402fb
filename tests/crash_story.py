"""A story in which ten actors crash, each in a way of its own, beside others who do their work.

What is recorded of it is for the tests to say. It runs on the real clock, since a thread and a process take part; it waits for
facts, and ends when each who crashed has its second life.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, NoReturn, Self

import anyio
import pytest
from opentelemetry.trace import TracerProvider

from supervise import ActorCrashed, Address, Intensity, RunningSupervisor, Supervisor, concurrent, current
from supervise.adapters.process import Process, process
from supervise.adapters.thread import thread
from supervise.events import Event, Started
from tests.doubles import Boom

ROOT: Final = "app"
KINDS: Final = ("handler", "concurrent", "nursery", "timer", "hook", "factory", "task", "thread", "process", "late")
"""The ways to crash. Each is the name of the child that crashes in that way, once."""
GUARD: Final = 30.0  # seconds; the story takes less than one
SOON: Final = 0.05  # seconds: a deadline that the story lets pass


class Lives:
    """Tells the first life of a child from its others."""

    def __init__(self) -> None:
        self._number = 0

    def first(self) -> bool:
        self._number += 1
        return self._number == 1


class Fragile:
    """Crashes when it is told to."""

    async def crash(self) -> NoReturn:
        raise Boom("in a handler")

    @concurrent
    async def crash_beside_others(self) -> NoReturn:
        raise Boom("in a concurrent handler")

    def crash_in_the_nursery(self) -> None:
        current().nursery.start_soon(self._fail)

    async def _fail(self) -> NoReturn:
        raise Boom("in the nursery")

    def crash_at_a_tick(self) -> None:
        current().every(0.001, Fragile.tick)

    def tick(self) -> NoReturn:
        raise Boom("in a timer's handler")

    async def hang(self) -> None:
        await anyio.sleep_forever()


class Hesitant:
    """Its first start fails in the enter hook."""

    def __init__(self, lives: Lives) -> None:
        self._lives = lives

    async def __aenter__(self) -> Self:
        if self._lives.first():
            raise Boom("in the enter hook")
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class Clerk:
    """Never crashes. It raises where that is an answer."""

    def __init__(self) -> None:
        self._notes = 0

    async def note(self) -> int:
        self._notes += 1
        return self._notes

    async def look_up(self, name: str) -> NoReturn:
        raise KeyError(name)


class SecondLives:
    """A listener who knows which children have one."""

    def __init__(self) -> None:
        self._paths: set[str] = set()
        self._changed = anyio.Event()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started) and event.incarnation > 1:
            self._paths.add(event.path)
            self._changed.set()
            self._changed = anyio.Event()

    async def of(self, path: str) -> None:
        """Wait until it has begun."""
        while path not in self._paths:
            await self._changed.wait()


async def play(provider: TracerProvider, root: str = ROOT) -> None:
    """From the start of a tree to its end. One crash comes after the other, and each begins a trace of its own."""
    lives = SecondLives()
    with anyio.fail_after(GUARD):
        async with Supervisor(root, intensity=Intensity(100, per=5), tracing=provider, listener=lives) as app:
            clerk = await app.start(Clerk, name="clerk", expects=(KeyError,))
            teller = await app.start(Clerk, name="teller", on_error="reply")
            for kind in KINDS:
                await _work(clerk, teller)
                await _CRASHES[kind](app)
                await lives.of(f"{root}/{kind}")
            await _work(clerk, teller)
            await app.terminate_child("teller")


async def _work(*clerks: Address[Clerk]) -> None:
    """What is well: answers, sends, and errors that are answers."""
    for clerk in clerks:
        await clerk.send(Clerk.note)
        await clerk.call(Clerk.note)
        with pytest.raises(KeyError):
            await clerk.call(Clerk.look_up, "nobody")


async def _handler(app: RunningSupervisor) -> None:
    fragile = await app.start(Fragile, name="handler")
    with pytest.raises(ActorCrashed):
        await fragile.call(Fragile.crash)


async def _concurrent(app: RunningSupervisor) -> None:
    fragile = await app.start(Fragile, name="concurrent")
    with pytest.raises(ActorCrashed):
        await fragile.call(Fragile.crash_beside_others)


async def _nursery(app: RunningSupervisor) -> None:
    fragile = await app.start(Fragile, name="nursery")
    await fragile.send(Fragile.crash_in_the_nursery)


async def _timer(app: RunningSupervisor) -> None:
    fragile = await app.start(Fragile, name="timer")
    await fragile.send(Fragile.crash_at_a_tick)


async def _late(app: RunningSupervisor) -> None:
    fragile = await app.start(Fragile, name="late", handler_deadline=SOON)
    with pytest.raises(ActorCrashed):
        await fragile.call(Fragile.hang)


async def _hook(app: RunningSupervisor) -> None:
    await app.start(Hesitant, Lives(), name="hook", retry_start=True)


async def _factory(app: RunningSupervisor) -> None:
    lives = Lives()

    def make() -> Clerk:
        if lives.first():
            raise Boom("in the factory")
        return Clerk()

    await app.start(make, name="factory", retry_start=True)


async def _task(app: RunningSupervisor) -> None:
    lives = Lives()

    async def run() -> None:
        if lives.first():
            raise Boom("in a task")
        await anyio.sleep_forever()

    await app.start_task(run, name="task")


async def _thread(app: RunningSupervisor) -> None:
    lives = Lives()

    def run(stop: threading.Event) -> None:
        if lives.first():
            raise Boom("in a thread")
        stop.wait()

    await app.start(thread(run), name="thread")


async def _process(app: RunningSupervisor) -> None:
    lives = Lives()

    def run() -> AbstractAsyncContextManager[Process]:
        return process(["sh", "-c", "exit 3"] if lives.first() else ["sleep", "1000"])()

    await app.start(run, name="process")


_CRASHES: Final[dict[str, Callable[[RunningSupervisor], Awaitable[Any]]]] = {
    "handler": _handler,
    "concurrent": _concurrent,
    "nursery": _nursery,
    "timer": _timer,
    "hook": _hook,
    "factory": _factory,
    "task": _task,
    "thread": _thread,
    "process": _process,
    "late": _late,
}
