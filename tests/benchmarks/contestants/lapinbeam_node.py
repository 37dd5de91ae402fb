"""lapinbeam: actors on the event loop, and a node in Rust, with threads of its own, that knows them by their names."""

from __future__ import annotations

import asyncio
import gc
import importlib
from collections.abc import Mapping
from typing import Any, Final

from tests.benchmarks.contestants.crowd import crowd
from tests.benchmarks.sample import Sample, Stopwatch, Workload, expect, resident

NOTE: Final = (
    "`Supervisor(max_restarts=1, restart_window=0)` restarts without a limit, as the window forgets each restart at once. "
    "But no setting turns its backoff off: it waits for at least 0.1 s before each restart, so its crash isn't timed. "
    "`ask(…, timeout=None)`: a call without a deadline. No two actors of a node may share a name, so the class is named anew "
    "before each start. Its node has threads, so it is compared by the wall clock."
)


def _node(lapinbeam: Any) -> Any:
    return lapinbeam.Node("bench@127.0.0.1:0")


def _supervisor(lapinbeam: Any, node: Any) -> Any:
    return lapinbeam.Supervisor(node=node, max_restarts=1, restart_window=0)


def _counter(lapinbeam: Any) -> Any:
    current = lapinbeam.current_message

    def __init__(self: Any) -> None:
        self.total = 0

    async def receive(self: Any, message: Any) -> None:
        self.total += message
        about = current()
        if about.reply_to is not None:
            await about.reply(self.total)

    return lapinbeam.actor(name="counter")(type("Counter", (), {"__init__": __init__, "receive": receive}))


async def send_unbounded(n: int) -> Sample:
    watch = Stopwatch()
    lapinbeam: Any = importlib.import_module("lapinbeam")
    async with _node(lapinbeam) as node:
        counter = _supervisor(lapinbeam, node).spawn(_counter(lapinbeam))
        with watch:
            for _ in range(n):
                await counter.send(1)
            total = await counter.ask(0, timeout=None)
    expect(total, n)
    return watch.per(n)


async def call(n: int) -> Sample:
    watch = Stopwatch()
    lapinbeam: Any = importlib.import_module("lapinbeam")
    async with _node(lapinbeam) as node:
        counter = _supervisor(lapinbeam, node).spawn(_counter(lapinbeam))
        with watch:
            for _ in range(n):
                await counter.ask(1, timeout=None)
        expect(await counter.ask(0, timeout=None), n)
    return watch.per(n)


async def callers(n: int) -> Sample:
    lapinbeam: Any = importlib.import_module("lapinbeam")
    figures: Sample = {}
    async with _node(lapinbeam) as node:
        counter = _supervisor(lapinbeam, node).spawn(_counter(lapinbeam))

        async def client(each: int) -> None:
            for _ in range(each):
                await counter.ask(1, timeout=None)

        figures |= await crowd(n, client, lambda: counter.ask(0, timeout=None))
    return figures


async def fan_in(n: int) -> Sample:
    lapinbeam: Any = importlib.import_module("lapinbeam")
    figures: Sample = {}
    async with _node(lapinbeam) as node:
        counter = _supervisor(lapinbeam, node).spawn(_counter(lapinbeam))

        async def client(each: int) -> None:
            for _ in range(each):
                await counter.send(1)

        figures |= await crowd(n, client, lambda: counter.ask(0, timeout=None))
    return figures


async def ring(n: int) -> Sample:
    watch = Stopwatch()
    lapinbeam: Any = importlib.import_module("lapinbeam")
    done = asyncio.Event()

    async def receive(self: Any, message: Any) -> None:
        if not isinstance(message, int):
            self.following = message
            await lapinbeam.current_message().reply(0)
        elif message:
            await self.following.send(message - 1)
        else:
            done.set()

    kind: Any = type("Node", (), {"receive": receive})
    async with _node(lapinbeam) as node:
        supervisor = _supervisor(lapinbeam, node)
        nodes = [supervisor.spawn(lapinbeam.actor(name=str(number))(kind)) for number in range(min(n, 1000))]
        for one, following in zip(nodes, nodes[1:] + nodes[:1], strict=True):
            await one.ask(following, timeout=None)
        with watch:
            await nodes[0].send(n)
            await done.wait()
    return watch.per(n)


async def idle(n: int) -> Sample:
    """An actor is there once it reads its mailbox, which the answer of the last one shows."""
    lapinbeam: Any = importlib.import_module("lapinbeam")
    spawn, stop, figures = Stopwatch(), Stopwatch(), Sample()
    async with _node(lapinbeam) as node:
        supervisor, kind = _supervisor(lapinbeam, node), _counter(lapinbeam)
        gc.collect()
        before = resident()
        with spawn:
            counters = [supervisor.spawn(lapinbeam.actor(name=str(number))(kind)) for number in range(n)]
            total = await counters[-1].ask(0, timeout=None)
        gc.collect()
        figures["bytes"] = (resident() - before) / n
        expect(total, 0)
        stop.__enter__()
    stop.__exit__(None, None, None)
    return figures | spawn.per(n, "spawn") | stop.per(n, "stop")


WORKLOADS: Final[Mapping[str, Workload]] = {
    "send_unbounded": send_unbounded,
    "call": call,
    "callers": callers,
    "fan_in": fan_in,
    "ring": ring,
    "idle": idle,
}
