"""everything-is-an-actor: actors on asyncio's queues. Only the children of an actor are restarted."""

from __future__ import annotations

import asyncio
import gc
import importlib
import sys
from collections.abc import Mapping
from typing import Any, Final

from tests.benchmarks.contestants.crowd import crowd
from tests.benchmarks.sample import Sample, Stopwatch, Workload, expect, resident

NOTE: Final = (
    "`OneForOneStrategy(max_restarts=sys.maxsize)` of the parent of the actor that crashes: only children are restarted. "
    "It has no backoff to turn off. `mailbox_size=0`, which is unbounded, for send; 1,000 elsewhere, as by hand. "
    "A call always has a deadline; this is the default one, of 5 s."
)


def _counter(actors: Any) -> Any:
    base: Any = actors.Actor

    def __init__(self: Any) -> None:
        self.total = 0

    async def on_receive(self: Any, message: Any) -> Any:
        if message == "crash":
            raise ValueError(message)
        self.total += message
        return self.total

    return type("Counter", (base,), {"__init__": __init__, "on_receive": on_receive})


async def send_unbounded(n: int) -> Sample:
    actors: Any = importlib.import_module("actor_for_agents")
    system = actors.ActorSystem("bench")
    counter = await system.spawn(_counter(actors), "counter", mailbox_size=0)
    with Stopwatch() as watch:
        for _ in range(n):
            await counter.tell(1)
        total = await counter.ask(0)
    expect(total, n)
    await system.shutdown()
    return watch.per(n)


async def call(n: int) -> Sample:
    actors: Any = importlib.import_module("actor_for_agents")
    system = actors.ActorSystem("bench")
    counter = await system.spawn(_counter(actors), "counter", mailbox_size=1000)
    with Stopwatch() as watch:
        for _ in range(n):
            await counter.ask(1)
    expect(await counter.ask(0), n)
    await system.shutdown()
    return watch.per(n)


async def callers(n: int) -> Sample:
    actors: Any = importlib.import_module("actor_for_agents")
    system = actors.ActorSystem("bench")
    counter = await system.spawn(_counter(actors), "counter", mailbox_size=1000)

    async def client(each: int) -> None:
        for _ in range(each):
            await counter.ask(1)

    figures = await crowd(n, client, lambda: counter.ask(0))
    await system.shutdown()
    return figures


async def fan_in(n: int) -> Sample:
    actors: Any = importlib.import_module("actor_for_agents")
    system = actors.ActorSystem("bench")
    counter = await system.spawn(_counter(actors), "counter", mailbox_size=1000)

    async def client(each: int) -> None:
        for _ in range(each):
            await counter.tell(1)

    figures = await crowd(n, client, lambda: counter.ask(0))
    await system.shutdown()
    return figures


async def ring(n: int) -> Sample:
    actors: Any = importlib.import_module("actor_for_agents")
    done = asyncio.Event()

    async def on_receive(self: Any, message: Any) -> None:
        if not isinstance(message, int):
            self.following = message
        elif message:
            await self.following.tell(message - 1)
        else:
            done.set()

    kind: Any = type("Node", (actors.Actor,), {"on_receive": on_receive})
    system = actors.ActorSystem("bench")
    nodes = [await system.spawn(kind, str(number), mailbox_size=1000) for number in range(min(n, 1000))]
    for one, following in zip(nodes, nodes[1:] + nodes[:1], strict=True):
        await one.ask(following)
    with Stopwatch() as watch:
        await nodes[0].tell(n)
        await done.wait()
    await system.shutdown()
    return watch.per(n)


async def idle(n: int) -> Sample:
    actors: Any = importlib.import_module("actor_for_agents")
    system, kind = actors.ActorSystem("bench"), _counter(actors)
    gc.collect()
    before = resident()
    with Stopwatch() as spawn:
        counters = [await system.spawn(kind, str(number), mailbox_size=1000) for number in range(n)]
        await asyncio.sleep(0)
    gc.collect()
    used = (resident() - before) / n
    expect(await counters[-1].ask(0), 0)
    with Stopwatch() as stop:
        await system.shutdown()
    return {"bytes": used} | spawn.per(n, "spawn") | stop.per(n, "stop")


async def crash(n: int) -> Sample:
    actors: Any = importlib.import_module("actor_for_agents")

    async def on_receive(self: Any, message: Any) -> Any:
        return await self.context.spawn(message, "counter", mailbox_size=1000)

    def supervisor_strategy(self: Any) -> Any:
        return actors.OneForOneStrategy(max_restarts=sys.maxsize)

    parent: Any = type("Parent", (actors.Actor,), {"on_receive": on_receive, "supervisor_strategy": supervisor_strategy})
    system = actors.ActorSystem("bench")
    counter = await (await system.spawn(parent, "parent")).ask(_counter(actors))
    with Stopwatch() as watch:
        for _ in range(n):
            await counter.tell("crash")
            expect(await counter.ask(1), 1)
    await system.shutdown()
    return watch.per(n)


WORKLOADS: Final[Mapping[str, Workload]] = {
    "send_unbounded": send_unbounded,
    "call": call,
    "callers": callers,
    "fan_in": fan_in,
    "ring": ring,
    "idle": idle,
    "crash": crash,
}
