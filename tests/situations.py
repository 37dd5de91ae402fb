"""The states that a child's mailbox can be in: each a context in which an address of such a child is at hand."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Self, TypeAlias

import anyio
from tenacity import wait_fixed

from supervise import (
    Address,
    ChildStartFailed,
    DynamicSupervisor,
    IgnoreStart,
    Intensity,
    Restart,
    RunningSupervisor,
    Supervisor,
    child,
    current,
)
from supervise.testing import virtual_time

from .doubles import Boom, Gate, Outcomes, Scribe

Way: TypeAlias = Callable[[Address[Scribe], Any], Any]
Situation: TypeAlias = Callable[[], AbstractAsyncContextManager[tuple[RunningSupervisor, Address[Scribe]]]]


async def by_send(address: Address[Scribe], entry: Any) -> None:
    await address.send(Scribe.note, entry)


async def by_try_send(address: Address[Scribe], entry: Any) -> None:
    address.try_send(Scribe.note, entry)


async def by_call(address: Address[Scribe], entry: Any) -> None:
    await address.call(Scribe.note, entry)


WAYS = [by_send, by_try_send, by_call]


class SlowScribe(Scribe):
    """Takes its time to start and to end: a second each."""

    async def __aenter__(self) -> Self:
        await anyio.sleep(1)
        return self

    async def __aexit__(self, *_: object) -> None:
        await anyio.sleep(1)


@asynccontextmanager
async def starting(capacity: float = 1000) -> AsyncGenerator[tuple[RunningSupervisor, Address[Scribe]]]:
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        await Outcomes(group).watch("start", app.start(SlowScribe, capacity=capacity))
        yield app, app.find("slowscribe")


@asynccontextmanager
async def ending_after_a_crash() -> AsyncGenerator[tuple[RunningSupervisor, Address[Scribe]]]:
    async with Supervisor("app") as app:
        scribe = await app.start(SlowScribe)
        await scribe.send(Scribe.crash)
        await virtual_time.at_rest()
        yield app, scribe


@asynccontextmanager
async def in_backoff() -> AsyncGenerator[tuple[RunningSupervisor, Address[Scribe]]]:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, restart=Restart.permanent(wait=wait_fixed(10)))
        await scribe.send(Scribe.crash)
        await virtual_time.at_rest()
        yield app, scribe


@asynccontextmanager
async def stopped_with_its_group() -> AsyncGenerator[tuple[RunningSupervisor, Address[Scribe]]]:
    slow = child(SlowScribe, restart=Restart.permanent(wait=wait_fixed(10)))
    async with Supervisor("app", slow, child(Scribe), strategy="one_for_all") as app:
        await app.find(slow).send(Scribe.crash)
        await anyio.sleep(2)
        yield app, app.find("scribe")


@asynccontextmanager
async def below_a_supervisor_that_restarts() -> AsyncGenerator[tuple[RunningSupervisor, Address[Scribe]]]:
    inner = Supervisor("inner", child(Scribe), intensity=Intensity(0, per=5), restart=Restart.permanent(wait=wait_fixed(10)))
    async with Supervisor("app", inner) as app:
        scribe = app.find("inner/scribe")
        await scribe.send(Scribe.crash)
        await virtual_time.at_rest()
        assert not app.supervisor(inner).running
        yield app, scribe


ACCEPTING = [starting, ending_after_a_crash, in_backoff, stopped_with_its_group, below_a_supervisor_that_restarts]


@asynccontextmanager
async def terminated() -> AsyncGenerator[tuple[RunningSupervisor, Address[Scribe]]]:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        await app.terminate_child("scribe")
        yield app, scribe


@asynccontextmanager
async def finished_transient() -> AsyncGenerator[tuple[RunningSupervisor, Address[Scribe]]]:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, restart="transient")
        await scribe.call(lambda _: current().stop())
        yield app, scribe


@asynccontextmanager
async def ignored() -> AsyncGenerator[tuple[RunningSupervisor, Address[Scribe]]]:
    wanted = False

    def sometimes() -> Scribe:
        nonlocal wanted
        if not wanted:
            wanted = True
            raise IgnoreStart("not now")
        return Scribe()

    async with Supervisor("app") as app:
        yield app, await app.start(sometimes, name="scribe")


@asynccontextmanager
async def out_of_its_own_limit() -> AsyncGenerator[tuple[RunningSupervisor, Address[Scribe]]]:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, limit=Intensity(0, per=5))
        await scribe.send(Scribe.crash)
        await virtual_time.at_rest()
        yield app, scribe


STOPPED = [terminated, finished_transient, ignored, out_of_its_own_limit]


@asynccontextmanager
async def temporary_ended() -> AsyncGenerator[tuple[RunningSupervisor, Address[Scribe]]]:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, restart="temporary")
        await scribe.send(Scribe.crash)
        await virtual_time.at_rest()
        yield app, scribe


@asynccontextmanager
async def deleted() -> AsyncGenerator[tuple[RunningSupervisor, Address[Scribe]]]:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        await app.terminate_child("scribe")
        await app.delete_child("scribe")
        yield app, scribe


@asynccontextmanager
async def dynamic_ended() -> AsyncGenerator[tuple[RunningSupervisor, Address[Scribe]]]:
    async with DynamicSupervisor("app") as app:
        scribe = await app.start(Scribe)
        await app.terminate_child(scribe)
        yield app, scribe


@asynccontextmanager
async def failed_to_start() -> AsyncGenerator[tuple[RunningSupervisor, Address[Scribe]]]:
    gate = Gate()

    async def fails() -> Scribe:
        await gate.walk_through()
        raise Boom("at the start")

    async with Supervisor("app") as app, anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("start", app.start(fails, name="scribe"))
        await gate.reached.wait()
        scribe: Address[Scribe] = app.find("scribe")
        gate.open()
        await virtual_time.at_rest()
        assert isinstance(outcomes.of["start"], ChildStartFailed)
        yield app, scribe


FORGOTTEN = [temporary_ended, deleted, dynamic_ended, failed_to_start]
