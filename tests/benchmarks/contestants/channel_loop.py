"""Baseline C: the same by hand on trio, a memory channel, and an event with a slot as the reply."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

import trio

from tests.benchmarks.actor import Counter, TrioCounter
from tests.benchmarks.contestants.fairness import cancelled_at_its_deadline, ticker_beside
from tests.benchmarks.sample import Sample, Stopwatch, Workload, collection, crashes, expect, lateness, resident

Handler: TypeAlias = Callable[[Any, int], Awaitable[Any]]


class Reply:
    __slots__ = ("error", "event", "result")

    def __init__(self) -> None:
        self.event = trio.Event()
        self.result: Any = None
        self.error: Exception | None = None


Message: TypeAlias = tuple[Handler, int, Reply | None]


class Loop:
    """One actor: the two ends of its channel."""

    __slots__ = ("inlet", "outlet")

    def __init__(self, nursery: trio.Nursery, factory: Callable[[], Any] = TrioCounter, capacity: float = 1000) -> None:
        self.inlet: trio.MemorySendChannel[Message]
        self.outlet: trio.MemoryReceiveChannel[Message]
        self.inlet, self.outlet = trio.open_memory_channel[Message](capacity)
        nursery.start_soon(self._run, factory)

    async def _run(self, factory: Callable[[], Any]) -> None:
        receive = self.outlet.receive
        while True:
            try:
                instance = factory()
                while True:
                    handler, amount, reply = await receive()
                    try:
                        result = await handler(instance, amount)
                    except Exception as error:
                        if reply is not None:
                            reply.error = error
                            reply.event.set()
                        raise
                    if reply is not None:
                        reply.result = result
                        reply.event.set()
            except Exception:
                continue  # a fresh instance on the same channel

    async def call(self, handler: Handler, amount: int) -> Any:
        reply = Reply()
        await self.inlet.send((handler, amount, reply))
        await reply.event.wait()
        if reply.error is not None:
            raise reply.error
        return reply.result


async def _begun() -> None:
    """Wait until all loops that were started wait for a message.

    Twice: trio runs what is due in one turn forwards or backwards, as a coin falls. After one checkpoint half of the samples
    had timed tasks that hadn't begun, 11 us instead of 22.
    """
    await trio.lowlevel.checkpoint()
    await trio.lowlevel.checkpoint()


async def _send(n: int, capacity: float, handler: Handler = Counter.add) -> Sample:
    watch = Stopwatch()
    async with trio.open_nursery() as nursery:
        loop = Loop(nursery, capacity=capacity)
        put = loop.inlet.send
        with watch:
            for _ in range(n):
                await put((handler, 1, None))
            total = await loop.call(Counter.add, 0)
        expect(total, n)
        nursery.cancel_scope.cancel()
    return watch.per(n)


async def send_for_tenant(n: int) -> Sample:
    return await _send(n, 1000, Counter.add_for_tenant)


async def send(n: int) -> Sample:
    return await _send(n, 1000)


async def send_unbounded(n: int) -> Sample:
    return await _send(n, math.inf)


async def _call(n: int, handler: Handler) -> Sample:
    watch = Stopwatch()
    async with trio.open_nursery() as nursery:
        loop = Loop(nursery)
        with watch:
            for _ in range(n):
                await loop.call(handler, 1)
        expect(await loop.call(Counter.add, 0), n)
        nursery.cancel_scope.cancel()
    return watch.per(n)


async def call(n: int) -> Sample:
    return await _call(n, Counter.add)


async def call_suspended(n: int) -> Sample:
    return await _call(n, TrioCounter.add_later)


async def call_deadline(n: int) -> Sample:
    watch = Stopwatch()
    async with trio.open_nursery() as nursery:
        loop = Loop(nursery)
        with watch:
            for _ in range(n):
                with trio.fail_after(5):
                    await loop.call(Counter.add, 1)
        expect(await loop.call(Counter.add, 0), n)
        nursery.cancel_scope.cancel()
    return watch.per(n)


async def items(n: int) -> Sample:
    """What a generator yields, through a bounded channel, to the task that reads it."""
    watch = Stopwatch()
    inlet, outlet = trio.open_memory_channel[int](16)
    total = 0

    async def produce() -> None:
        async with inlet:
            async for number in TrioCounter().count_to(n):
                await inlet.send(number)

    with watch:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(produce)
            async for number in outlet:
                total += number
    expect(total, n * (n - 1) // 2)
    return watch.per(n)


async def _crowd(n: int, one: Callable[[Loop], Awaitable[object]]) -> Sample:
    """100 tasks share the work."""
    watch = Stopwatch()
    each = max(1, n // 100)
    async with trio.open_nursery() as nursery:
        loop = Loop(nursery)

        async def client() -> None:
            for _ in range(each):
                await one(loop)

        with watch:
            async with trio.open_nursery() as group:
                for _ in range(100):
                    group.start_soon(client)
            total = await loop.call(Counter.add, 0)
        expect(total, each * 100)
        nursery.cancel_scope.cancel()
    return watch.per(each * 100)


async def callers(n: int) -> Sample:
    return await _crowd(n, lambda loop: loop.call(Counter.add, 1))


async def fan_in(n: int) -> Sample:
    return await _crowd(n, lambda loop: loop.inlet.send((Counter.add, 1, None)))


class Node:
    """A station of the ring."""

    def __init__(self, done: trio.Event) -> None:
        self.following: Loop | None = None
        self.done = done

    async def token(self, left: int) -> None:
        if left and self.following is not None:
            await self.following.inlet.send((Node.token, left - 1, None))
        else:
            self.done.set()


def _itself(node: Node) -> Node:
    return node


async def ring(n: int) -> Sample:
    watch = Stopwatch()
    done = trio.Event()
    nodes = [Node(done) for _ in range(min(n, 1000))]
    async with trio.open_nursery() as nursery:
        loops = [Loop(nursery, partial(_itself, node)) for node in nodes]
        for node, following in zip(nodes, loops[1:] + loops[:1], strict=True):
            node.following = following
        await _begun()
        with watch:
            await loops[0].inlet.send((Node.token, n, None))
            await done.wait()
        nursery.cancel_scope.cancel()
    return watch.per(n)


async def idle(n: int) -> Sample:
    gc.collect()
    before = resident()
    async with trio.open_nursery() as nursery:
        with Stopwatch() as spawn:
            loops = [Loop(nursery) for _ in range(n)]
            await _begun()
        gc.collect()
        used = (resident() - before) / n
        figures = collection()
        stop = Stopwatch()
        stop.__enter__()
        nursery.cancel_scope.cancel()
    stop.__exit__(None, None, None)
    del loops
    return {"bytes": used} | spawn.per(n, "spawn") | stop.per(n, "stop") | figures


async def crash(n: int) -> Sample:
    watch = Stopwatch()
    async with trio.open_nursery() as nursery:
        loop = Loop(nursery)
        instants = [time.perf_counter()]
        with watch:
            for _ in range(n):
                await loop.inlet.send((Counter.crash, 1, None))
                expect(await loop.call(Counter.add, 1), 1)
                instants.append(time.perf_counter())
        nursery.cancel_scope.cancel()
    return watch.per(n) | crashes(instants)


async def behind_backlog(n: int) -> Sample:
    seen: list[float] = []
    async with trio.open_nursery() as nursery:
        loop = Loop(nursery, capacity=math.inf)
        for _ in range(5):
            await loop.call(Counter.add, 0)
            for _ in range(n):
                loop.inlet.send_nowait((Counter.add, 1, None))
            start = time.perf_counter()
            await trio.sleep(0.001)
            seen.append(time.perf_counter() - start)
        nursery.cancel_scope.cancel()
    return lateness(seen)


async def ticker_beside_pollers(n: int) -> Sample:
    late: Sample = {}
    async with trio.open_nursery() as nursery:
        late |= await ticker_beside(n, partial(Loop(nursery).call, Counter.add, 1), partial(Loop(nursery).call, Counter.add, 1))
        nursery.cancel_scope.cancel()
    return late


async def ticker_beside_flood(n: int) -> Sample:
    late: Sample = {}
    async with trio.open_nursery() as nursery:
        late |= await ticker_beside(n, partial(Loop(nursery).inlet.send, (Counter.add, 1, None)))
        nursery.cancel_scope.cancel()
    return late


async def ticker_beside_starts(n: int) -> Sample:
    late: Sample = {}
    loops: list[Loop] = []
    async with trio.open_nursery() as nursery:

        async def start() -> None:
            loops.append(Loop(nursery))
            await trio.lowlevel.checkpoint()

        late |= await ticker_beside(n, start)
        nursery.cancel_scope.cancel()
    return late


async def poller_at_its_deadline(n: int) -> Sample:
    late: Sample = {}
    async with trio.open_nursery() as nursery:
        late |= await cancelled_at_its_deadline(n, partial(Loop(nursery).call, Counter.add, 1))
        nursery.cancel_scope.cancel()
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
