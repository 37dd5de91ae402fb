"""The library itself, on whichever event loop runs."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import anyio
import trio

from supervise import Address, DynamicSupervisor, Intensity, Supervisor
from tests.benchmarks.actor import Counter, TrioCounter
from tests.benchmarks.backend import on_trio
from tests.benchmarks.contestants.fairness import cancelled_at_its_deadline, ticker_beside
from tests.benchmarks.sample import Sample, Stopwatch, Workload, collection, crashes, expect, lateness, resident

UNLIMITED: Final = Intensity(1_000_000_000, per=0.001)


async def _send(n: int, capacity: float, handler: Callable[[Counter, int], Awaitable[int]] = Counter.add) -> Sample:
    watch = Stopwatch()
    async with Supervisor("bench") as app:
        counter = await app.start(Counter, capacity=capacity)
        with watch:
            for _ in range(n):
                await counter.send(handler, 1)
            total = await counter.call(Counter.add, 0)
        expect(total, n)
    return watch.per(n)


async def send_for_tenant(n: int) -> Sample:
    return await _send(n, 1000, Counter.add_for_tenant)


async def send(n: int) -> Sample:
    return await _send(n, 1000)


async def send_unbounded(n: int) -> Sample:
    return await _send(n, math.inf)


async def call(n: int) -> Sample:
    watch = Stopwatch()
    async with Supervisor("bench") as app:
        counter = await app.start(Counter)
        with watch:
            for _ in range(n):
                await counter.call(Counter.add, 1)
        expect(await counter.call(Counter.add, 0), n)
    return watch.per(n)


async def call_plain(n: int) -> Sample:
    watch = Stopwatch()
    async with Supervisor("bench") as app:
        counter = await app.start(Counter)
        with watch:
            for _ in range(n):
                await counter.call(Counter.add_now, 1)
        expect(await counter.call(Counter.add, 0), n)
    return watch.per(n)


def _native() -> type[Counter]:
    return TrioCounter if on_trio() else Counter


async def call_after_wait(n: int) -> Sample:
    watch = Stopwatch()
    async with Supervisor("bench") as app:
        counter = await app.start(_native())
        await counter.call(Counter.add_later, 0)
        with watch:
            for _ in range(n):
                await counter.call(Counter.add, 1)
        expect(await counter.call(Counter.add, 0), n)
    return watch.per(n)


async def call_suspended(n: int) -> Sample:
    watch = Stopwatch()
    async with Supervisor("bench") as app:
        counter = await app.start(_native())
        with watch:
            for _ in range(n):
                await counter.call(Counter.add_later, 1)
        expect(await counter.call(Counter.add, 0), n)
    return watch.per(n)


async def call_deadline(n: int) -> Sample:
    watch = Stopwatch()
    async with Supervisor("bench") as app:
        counter = await app.start(Counter)
        hurried = counter.options(timeout=5)
        with watch:
            for _ in range(n):
                await hurried.call(Counter.add, 1)
        expect(await counter.call(Counter.add, 0), n)
    return watch.per(n)


async def items(n: int) -> Sample:
    watch = Stopwatch()
    total = 0
    async with Supervisor("bench") as app:
        counter = await app.start(Counter)
        with watch:
            async with counter.stream_from(Counter.count_to, n) as numbers:
                async for number in numbers:
                    total += number
    expect(total, n * (n - 1) // 2)
    return watch.per(n)


async def _crowd(n: int, one: Callable[[Address[Counter]], Awaitable[object]]) -> Sample:
    """100 tasks share the work."""
    watch = Stopwatch()
    each = max(1, n // 100)
    async with Supervisor("bench") as app:
        counter = await app.start(Counter)

        async def client() -> None:
            for _ in range(each):
                await one(counter)

        with watch:
            async with anyio.create_task_group() as group:
                for _ in range(100):
                    group.start_soon(client)
            total = await counter.call(Counter.add, 0)
        expect(total, each * 100)
    return watch.per(each * 100)


async def callers(n: int) -> Sample:
    return await _crowd(n, lambda counter: counter.call(Counter.add, 1))


async def fan_in(n: int) -> Sample:
    return await _crowd(n, lambda counter: counter.send(Counter.add, 1))


class Node:
    """A station of the ring."""

    def __init__(self, done: anyio.Event) -> None:
        self.following: Address[Node] | None = None
        self.done = done

    async def join(self, following: Address[Node]) -> None:
        self.following = following

    async def token(self, left: int) -> None:
        if left and self.following is not None:
            await self.following.send(Node.token, left - 1)
        else:
            self.done.set()


async def pass_token(stations: int, hops: int) -> Sample:
    watch = Stopwatch()
    done = anyio.Event()
    async with DynamicSupervisor("bench") as app:
        nodes = [await app.start(Node, done) for _ in range(stations)]
        for node, following in zip(nodes, nodes[1:] + nodes[:1], strict=True):
            await node.call(Node.join, following)
        with watch:
            await nodes[0].send(Node.token, hops)
            await done.wait()
    return watch.per(hops)


async def ring(n: int) -> Sample:
    return await pass_token(min(n, 1000), n)


async def idle(n: int) -> Sample:
    gc.collect()
    before = resident()
    counters: list[Address[Counter]] = []
    spawn, stop, figures = Stopwatch(), Stopwatch(), Sample()
    async with DynamicSupervisor("bench") as app:
        with spawn:
            for _ in range(n):
                counters.append(await app.start(Counter))
        gc.collect()
        figures["bytes"] = (resident() - before) / n
        figures |= collection()
        stop.__enter__()
    stop.__exit__(None, None, None)
    expect(len(counters), n)
    return figures | spawn.per(n, "spawn") | stop.per(n, "stop")


async def idle_after_wait(n: int) -> Sample:
    gc.collect()
    before = resident()
    counters: list[Address[Counter]] = []
    native, used = _native(), 0.0
    async with DynamicSupervisor("bench") as app:
        for _ in range(n):
            counters.append(await app.start(native))
            await counters[-1].call(Counter.add_later, 1)
        gc.collect()
        used = (resident() - before) / n
    expect(len(counters), n)
    return {"bytes": used}


async def crash(n: int) -> Sample:
    watch = Stopwatch()
    instants: list[float] = []
    async with Supervisor("bench", intensity=UNLIMITED) as app:
        counter = await app.start(Counter)
        instants.append(time.perf_counter())
        with watch:
            for _ in range(n):
                await counter.send(Counter.crash, 1)
                expect(await counter.call(Counter.add, 1), 1)
                instants.append(time.perf_counter())
    return watch.per(n) | crashes(instants)


async def crash_logged(n: int) -> Sample:
    """As a program sees it that has a handler at WARNING, whose stream costs nothing."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setLevel(logging.WARNING)
    before = logging.root.manager.disable
    logging.disable(logging.NOTSET)
    logging.getLogger().addHandler(handler)
    try:
        return await crash(n)
    finally:
        logging.getLogger().removeHandler(handler)
        logging.disable(before)


async def behind_backlog(n: int) -> Sample:
    sleep: Callable[[float], Awaitable[object]] = trio.sleep if on_trio() else asyncio.sleep
    seen: list[float] = []
    async with Supervisor("bench") as app:
        counter = await app.start(Counter, capacity=math.inf)
        for _ in range(5):
            await counter.call(Counter.add, 0)
            for _ in range(n):
                counter.try_send(Counter.add, 1)
            start = time.perf_counter()
            await sleep(0.001)
            seen.append(time.perf_counter() - start)
    return lateness(seen)


async def ticker_beside_pollers(n: int) -> Sample:
    late: Sample = {}
    async with Supervisor("bench") as app:
        first, second = await app.start(Counter), await app.start(Counter)
        late |= await ticker_beside(n, lambda: first.call(Counter.add, 1), lambda: second.call(Counter.add, 1))
    return late


async def ticker_beside_flood(n: int) -> Sample:
    late: Sample = {}
    async with Supervisor("bench") as app:
        counter = await app.start(Counter)
        late |= await ticker_beside(n, lambda: counter.send(Counter.add, 1))
    return late


async def ticker_beside_starts(n: int) -> Sample:
    late: Sample = {}
    async with DynamicSupervisor("bench") as app:
        late |= await ticker_beside(n, lambda: app.start(Counter))
    return late


async def poller_at_its_deadline(n: int) -> Sample:
    late: Sample = {}
    async with Supervisor("bench") as app:
        counter = await app.start(Counter)
        late |= await cancelled_at_its_deadline(n, lambda: counter.call(Counter.add, 1))
    return late


WORKLOADS: Final[Mapping[str, Workload]] = {
    "send": send,
    "send_unbounded": send_unbounded,
    "send_for_tenant": send_for_tenant,
    "call": call,
    "call_plain": call_plain,
    "call_after_wait": call_after_wait,
    "call_deadline": call_deadline,
    "call_suspended": call_suspended,
    "items": items,
    "callers": callers,
    "fan_in": fan_in,
    "ring": ring,
    "idle": idle,
    "idle_after_wait": idle_after_wait,
    "crash": crash,
    "crash_logged": crash_logged,
    "ticker_beside_pollers": ticker_beside_pollers,
    "ticker_beside_flood": ticker_beside_flood,
    "ticker_beside_starts": ticker_beside_starts,
    "poller_at_its_deadline": poller_at_its_deadline,
    "behind_backlog": behind_backlog,
}
