"""Baseline Q: the actor that one writes by hand on asyncio, `asyncio.Queue`, `asyncio.Future` and `while True: try`."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

from tests.benchmarks.actor import Counter
from tests.benchmarks.contestants.fairness import cancelled_at_its_deadline, ticker_beside
from tests.benchmarks.sample import Sample, Stopwatch, Workload, collection, crashes, expect, lateness, resident

Handler: TypeAlias = Callable[[Any, int], Awaitable[Any]]
Message: TypeAlias = tuple[Handler, int, asyncio.Future[Any] | None]


class Loop:
    """One actor: its queue and its task."""

    __slots__ = ("queue", "task")

    def __init__(self, factory: Callable[[], Any] = Counter, capacity: int = 1000) -> None:
        self.queue: asyncio.Queue[Message] = asyncio.Queue(capacity)
        self.task = asyncio.create_task(self._run(factory))

    async def _run(self, factory: Callable[[], Any]) -> None:
        get = self.queue.get
        while True:
            try:
                instance = factory()
                while True:
                    handler, amount, reply = await get()
                    try:
                        result = await handler(instance, amount)
                    except Exception as error:
                        if reply is not None and not reply.done():
                            reply.set_exception(error)
                        raise
                    if reply is not None and not reply.done():
                        reply.set_result(result)
            except Exception:
                continue  # a fresh instance on the same queue

    async def call(self, handler: Handler, amount: int) -> Any:
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await self.queue.put((handler, amount, reply))
        return await reply

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def _send(n: int, capacity: int, handler: Handler = Counter.add) -> Sample:
    loop = Loop(capacity=capacity)
    put = loop.queue.put
    with Stopwatch() as watch:
        for _ in range(n):
            await put((handler, 1, None))
        total = await loop.call(Counter.add, 0)
    expect(total, n)
    await loop.stop()
    return watch.per(n)


async def send_for_tenant(n: int) -> Sample:
    return await _send(n, 1000, Counter.add_for_tenant)


async def send(n: int) -> Sample:
    return await _send(n, 1000)


async def send_unbounded(n: int) -> Sample:
    return await _send(n, 0)


async def _call(n: int, handler: Handler) -> Sample:
    loop = Loop()
    with Stopwatch() as watch:
        for _ in range(n):
            await loop.call(handler, 1)
    expect(await loop.call(Counter.add, 0), n)
    await loop.stop()
    return watch.per(n)


async def call(n: int) -> Sample:
    return await _call(n, Counter.add)


async def call_suspended(n: int) -> Sample:
    return await _call(n, Counter.add_later)


async def call_deadline(n: int) -> Sample:
    watch = Stopwatch()
    loop = Loop()
    with watch:
        for _ in range(n):
            async with asyncio.timeout(5):
                await loop.call(Counter.add, 1)
    expect(await loop.call(Counter.add, 0), n)
    await loop.stop()
    return watch.per(n)


async def items(n: int) -> Sample:
    """What a generator yields, through a bounded queue, to the task that reads it."""
    watch = Stopwatch()
    queue: asyncio.Queue[int | None] = asyncio.Queue(16)
    total = 0

    async def produce() -> None:
        async for number in Counter().count_to(n):
            await queue.put(number)
        await queue.put(None)

    with watch:
        task = asyncio.create_task(produce())
        while (number := await queue.get()) is not None:
            total += number
        await task
    expect(total, n * (n - 1) // 2)
    return watch.per(n)


async def _crowd(n: int, one: Callable[[Loop], Awaitable[object]]) -> Sample:
    """100 tasks share the work."""
    loop, each = Loop(), max(1, n // 100)

    async def client() -> None:
        for _ in range(each):
            await one(loop)

    with Stopwatch() as watch:
        async with asyncio.TaskGroup() as group:
            for _ in range(100):
                group.create_task(client())
        total = await loop.call(Counter.add, 0)
    expect(total, each * 100)
    await loop.stop()
    return watch.per(each * 100)


async def callers(n: int) -> Sample:
    return await _crowd(n, lambda loop: loop.call(Counter.add, 1))


async def fan_in(n: int) -> Sample:
    return await _crowd(n, lambda loop: loop.queue.put((Counter.add, 1, None)))


class Node:
    """A station of the ring."""

    def __init__(self) -> None:
        self.following: Loop | None = None
        self.done: asyncio.Future[None] | None = None

    async def token(self, left: int) -> None:
        if left and self.following is not None:
            await self.following.queue.put((Node.token, left - 1, None))
        elif self.done is not None:
            self.done.set_result(None)


def _itself(node: Node) -> Node:
    return node


async def ring(n: int) -> Sample:
    nodes = [Node() for _ in range(min(n, 1000))]
    loops = [Loop(partial(_itself, node)) for node in nodes]
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    for node, following in zip(nodes, loops[1:] + loops[:1], strict=True):
        node.following, node.done = following, done
    await asyncio.sleep(0)
    with Stopwatch() as watch:
        await loops[0].queue.put((Node.token, n, None))
        await done
    for loop in loops:
        await loop.stop()
    return watch.per(n)


async def idle(n: int) -> Sample:
    gc.collect()
    before = resident()
    with Stopwatch() as spawn:
        loops = [Loop() for _ in range(n)]
        await asyncio.sleep(0)
    gc.collect()
    used = (resident() - before) / n
    figures = collection()
    with Stopwatch() as stop:
        for loop in loops:
            loop.task.cancel()
        await asyncio.wait([loop.task for loop in loops])
    return {"bytes": used} | spawn.per(n, "spawn") | stop.per(n, "stop") | figures


async def crash(n: int) -> Sample:
    loop = Loop()
    instants = [time.perf_counter()]
    with Stopwatch() as watch:
        for _ in range(n):
            await loop.queue.put((Counter.crash, 1, None))
            expect(await loop.call(Counter.add, 1), 1)
            instants.append(time.perf_counter())
    await loop.stop()
    return watch.per(n) | crashes(instants)


async def behind_backlog(n: int) -> Sample:
    loop = Loop(capacity=0)
    seen: list[float] = []
    for _ in range(5):
        await loop.call(Counter.add, 0)
        for _ in range(n):
            loop.queue.put_nowait((Counter.add, 1, None))
        start = time.perf_counter()
        await asyncio.sleep(0.001)
        seen.append(time.perf_counter() - start)
    await loop.stop()
    return lateness(seen)


async def ticker_beside_pollers(n: int) -> Sample:
    loops = [Loop(), Loop()]
    late = await ticker_beside(n, *(partial(loop.call, Counter.add, 1) for loop in loops))
    for loop in loops:
        await loop.stop()
    return late


async def ticker_beside_flood(n: int) -> Sample:
    loop = Loop()
    late = await ticker_beside(n, partial(loop.queue.put, (Counter.add, 1, None)))
    await loop.stop()
    return late


async def ticker_beside_starts(n: int) -> Sample:
    loops: list[Loop] = []

    async def start() -> None:
        loops.append(Loop())
        await asyncio.sleep(0)

    late = await ticker_beside(n, start)
    for loop in loops:
        await loop.stop()
    return late


async def poller_at_its_deadline(n: int) -> Sample:
    loop = Loop()
    late = await cancelled_at_its_deadline(n, partial(loop.call, Counter.add, 1))
    await loop.stop()
    return late


WORKLOADS: Final[Mapping[str, Workload]] = {
    "send": send,
    "send_unbounded": send_unbounded,
    "send_for_tenant": send_for_tenant,
    "call": call,
    "call_deadline": call_deadline,
    "call_suspended": call_suspended,
    "items": items,
    "callers": callers,
    "fan_in": fan_in,
    "ring": ring,
    "idle": idle,
    "crash": crash,
    "ticker_beside_pollers": ticker_beside_pollers,
    "ticker_beside_flood": ticker_beside_flood,
    "ticker_beside_starts": ticker_beside_starts,
    "poller_at_its_deadline": poller_at_its_deadline,
    "behind_backlog": behind_backlog,
}
