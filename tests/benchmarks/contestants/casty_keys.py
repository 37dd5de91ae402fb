"""casty: bodies, each for one key, on a core in Rust that runs on the event loop as long as there is no cluster."""

from __future__ import annotations

import asyncio
import gc
import importlib
from collections.abc import Callable, Mapping
from dataclasses import make_dataclass
from datetime import timedelta
from typing import Any, Final

from tests.benchmarks.contestants.crowd import crowd
from tests.benchmarks.sample import Sample, Stopwatch, Workload, expect, resident

NOTE: Final = (
    "`Backoff(first=timedelta(0), limit=timedelta(0))`: a restart waits for nothing. It has no limit to lift. "
    "The count is a variable of the body, because a saved state would outlive the crash. "
    "Messages and replies are serialized, also within one process. "
    "A call always has a deadline; this is the default one, of 10 s."
)


def _typed(body: Callable[[Any], Any], context: Any) -> Any:
    """The body, with the annotation that casty reads its messages from."""
    body.__annotations__ = {"ctx": context, "return": None}
    return body


def _counter(casty: Any) -> tuple[Any, Any]:
    """The type of the counter, and the message of a call. What is told is an `int`, or a `str` to crash it."""
    add: Any = make_dataclass("Add", [("amount", int)], bases=(casty.Askable[int],), frozen=True)

    async def counter(ctx: Any) -> None:
        total = 0
        async for message in ctx.inbox:
            if type(message) is int:
                total += message
            elif type(message) is add:
                total += message.amount
                message.reply_to.tell(total)
            else:
                raise ValueError(message)

    backoff = casty.Backoff(first=timedelta(0), limit=timedelta(0))
    typed = _typed(counter, casty.Context[None, int | str | add])
    return casty.actor(initial=None, backoff=backoff)(typed), add


async def send_unbounded(n: int) -> Sample:
    watch = Stopwatch()
    casty: Any = importlib.import_module("casty")
    kind, add = _counter(casty)
    async with casty.ActorSystem() as system:
        counter = system.ref(kind, "counter")
        with watch:
            for _ in range(n):
                counter.tell(1)
            total = await counter.ask(add(0))
    expect(total, n)
    return watch.per(n)


async def call(n: int) -> Sample:
    watch = Stopwatch()
    casty: Any = importlib.import_module("casty")
    kind, add = _counter(casty)
    async with casty.ActorSystem() as system:
        counter = system.ref(kind, "counter")
        with watch:
            for _ in range(n):
                await counter.ask(add(1))
        expect(await counter.ask(add(0)), n)
    return watch.per(n)


async def callers(n: int) -> Sample:
    casty: Any = importlib.import_module("casty")
    kind, add = _counter(casty)
    figures: Sample = {}
    async with casty.ActorSystem() as system:
        counter = system.ref(kind, "counter")

        async def client(each: int) -> None:
            for _ in range(each):
                await counter.ask(add(1))

        figures |= await crowd(n, client, lambda: counter.ask(add(0)))
    return figures


async def fan_in(n: int) -> Sample:
    casty: Any = importlib.import_module("casty")
    kind, add = _counter(casty)
    figures: Sample = {}
    async with casty.ActorSystem() as system:
        counter = system.ref(kind, "counter")

        async def client(each: int) -> None:
            for _ in range(each):
                counter.tell(1)

        figures |= await crowd(n, client, lambda: counter.ask(add(0)))
    return figures


async def ring(n: int) -> Sample:
    watch = Stopwatch()
    casty: Any = importlib.import_module("casty")
    join: Any = make_dataclass("Join", [("following", casty.Ref[int])], bases=(casty.Askable[int],), frozen=True)
    done = asyncio.Event()

    async def node(ctx: Any) -> None:
        following: Any = None
        async for message in ctx.inbox:
            if type(message) is join:
                following = message.following
                message.reply_to.tell(0)
            elif message:
                following.tell(message - 1)
            else:
                done.set()

    actor: Any = casty.actor(initial=None)(_typed(node, casty.Context[None, int | join]))
    async with casty.ActorSystem() as system:
        nodes = [system.ref(actor, str(number)) for number in range(min(n, 1000))]
        for one, following in zip(nodes, nodes[1:] + nodes[:1], strict=True):
            await one.ask(join(following))
        with watch:
            nodes[0].tell(n)
            await done.wait()
    return watch.per(n)


async def idle(n: int) -> Sample:
    """A key is active once its body runs, which the answer of the last one shows."""
    casty: Any = importlib.import_module("casty")
    kind, add = _counter(casty)
    spawn, stop, figures = Stopwatch(), Stopwatch(), Sample()
    async with casty.ActorSystem() as system:
        gc.collect()
        before = resident()
        with spawn:
            counters = [system.ref(kind, str(number)) for number in range(n)]
            total = await counters[-1].ask(add(0))
        gc.collect()
        figures["bytes"] = (resident() - before) / n
        expect(total, 0)
        expect(len(system.activations()), n)
        stop.__enter__()
    stop.__exit__(None, None, None)
    return figures | spawn.per(n, "spawn") | stop.per(n, "stop")


async def crash(n: int) -> Sample:
    watch = Stopwatch()
    casty: Any = importlib.import_module("casty")
    kind, add = _counter(casty)
    async with casty.ActorSystem() as system:
        counter = system.ref(kind, "counter")
        with watch:
            for _ in range(n):
                counter.tell("crash")
                expect(await counter.ask(add(1)), 1)
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
