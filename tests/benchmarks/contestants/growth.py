"""What the library's operations cost as the number in question grows; the size of a workload is that number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import anyio

from supervise import Address, DynamicSupervisor, Supervisor, child
from tests.benchmarks.actor import Counter
from tests.benchmarks.sample import Sample, Stopwatch, Workload, expect

from .toolkit import crash

OPERATIONS = 50_000
"""At least so many are timed, however small the number is."""


async def actors(n: int) -> Sample:
    """Calls to one actor after the other: the work is the same however many there are."""
    watch, first = Stopwatch(), Stopwatch()
    calls = max(n, OPERATIONS)
    async with DynamicSupervisor("bench") as app:
        counters = [await app.start(Counter) for _ in range(n)]
        with first:  # an actor's first message sets up what the others find
            for counter in counters:
                await counter.call(Counter.add, 1)
        with watch:
            for number in range(calls):
                await counters[number % n].call(Counter.add, 1)
    return watch.per(calls) | first.per(n, "first")


class Conveyor:
    """Puts each message that it takes back at the end, so that its mailbox keeps its length until the last round."""

    me: Address[Conveyor]

    def __init__(self, length: int, messages: int, done: anyio.Event) -> None:
        self.length = length
        self.left = messages
        self.done = done

    async def join(self, me: Address[Conveyor]) -> None:
        self.me = me

    async def turn(self) -> None:
        self.left -= 1
        if self.left >= self.length:
            await self.me.send(Conveyor.turn)
        elif not self.left:
            self.done.set()


async def queued(n: int) -> Sample:
    """Messages through a mailbox in which this many wait."""
    watch = Stopwatch()
    messages, done = max(2 * n, 2 * OPERATIONS), anyio.Event()
    async with Supervisor("bench") as app:
        conveyor = await app.start(Conveyor, n, messages, done, capacity=math.inf)
        await conveyor.call(Conveyor.join, conveyor)
        for _ in range(n):
            conveyor.try_send(Conveyor.turn)
        with watch:
            await done.wait()
    return watch.per(messages)


async def tree(n: int) -> Sample:
    """A static tree of this many children, started in order and stopped in order; small ones several times."""
    rounds = max(1, 1_000 // n)
    description = Supervisor("bench", *(child(Counter, name=f"child-{number}") for number in range(n)))
    start, stop = Stopwatch(), Stopwatch()
    figures: Sample = {}
    for _ in range(rounds):
        with start:
            app = await description.__aenter__()
        expect(app.count_children().active, n)
        with stop:
            await description.__aexit__(None, None, None)
        for name, value in (start.per(n * rounds, "start") | stop.per(n * rounds, "stop")).items():
            figures[name] = figures.get(name, 0.0) + value
    return figures


async def lookup(n: int) -> Sample:
    """Addresses by path, among this many children."""
    watch = Stopwatch()
    finds = OPERATIONS
    paths = [f"below/child-{number * n // 1_000}" for number in range(1_000)]
    below = Supervisor("below", *(child(Counter, name=f"child-{number}") for number in range(n)))
    async with Supervisor("bench", below) as app:
        with watch:
            for number in range(finds):
                app.find(paths[number % 1_000])
    return watch.per(finds)


WORKLOADS: Final[Mapping[str, Workload]] = {
    "actors": actors,
    "queued": queued,
    "crash": crash,
    "tree": tree,
    "lookup": lookup,
}
