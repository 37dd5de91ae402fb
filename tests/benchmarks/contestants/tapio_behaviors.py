"""tapio: behaviors that share an event loop, and take Pydantic models as messages."""

from __future__ import annotations

import asyncio
import gc
import importlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.benchmarks.contestants.crowd import crowd
from tests.benchmarks.sample import Sample, Stopwatch, Workload, expect, resident

NOTE: Final = (
    "`SupervisorStrategy.restart()` as it is: it limits no restarts, and waits before none. "
    "`TapioSettings(validate_on_tell=False)` keeps a message from being validated again when it is sent. "
    "Each message is a Pydantic model, made when it is sent. "
    "A call always has a deadline; this is the default one, of 5 s."
)


def _system(tapio: Any) -> Any:
    return tapio.ActorSystem("bench", tapio.TapioSettings(validate_on_tell=False))


class Counting:
    """The counter's behavior, and its messages."""

    def __init__(self, tapio: Any) -> None:
        model: Any = importlib.import_module("pydantic").create_model
        self.total: Any = model("Total", __base__=tapio.Message, value=(int, ...))
        self.add: Any = model("Add", __base__=tapio.Message, amount=(int, ...))
        reply_to = (tapio.ActorRef[self.total], ...)
        self.ask: Any = model("Ask", __base__=tapio.Message, amount=(int, ...), reply_to=reply_to)
        self.crash: Any = model("Crash", __base__=tapio.Message)
        self.behavior = self._behavior(tapio)

    def _behavior(self, tapio: Any) -> Any:
        add, ask, total, same = self.add, self.ask, self.total, tapio.Behaviors.same()
        base: Any = tapio.AbstractBehavior

        def __init__(self: Any, context: Any) -> None:
            base.__init__(self, context)
            self.count = 0

        async def on_message(self: Any, message: Any) -> Any:
            if type(message) is add:
                self.count += message.amount
            elif type(message) is ask:
                self.count += message.amount
                message.reply_to.tell(total(value=self.count))
            else:
                raise ValueError(message)
            return same

        body = {"msg_type": add | ask | self.crash, "__init__": __init__, "on_message": on_message}
        kind: Any = type("Counter", (base,), body)
        return tapio.Behaviors.supervise(tapio.Behaviors.setup(kind)).on_failure(tapio.SupervisorStrategy.restart())

    def asked(self, amount: int) -> Callable[[Any], Any]:
        """What makes the message of a call, once it has somewhere to answer to."""
        return lambda reply_to: self.ask(amount=amount, reply_to=reply_to)

    async def count(self, counter: Any) -> Any:
        return (await counter.ask(self.asked(0), expect=self.total)).value


async def send_unbounded(n: int) -> Sample:
    watch = Stopwatch()
    tapio: Any = importlib.import_module("tapio")
    counting = Counting(tapio)
    add = counting.add
    async with _system(tapio) as system:
        counter = system.spawn(counting.behavior, "counter")
        with watch:
            for _ in range(n):
                counter.tell(add(amount=1))
            total = await counting.count(counter)
    expect(total, n)
    return watch.per(n)


async def call(n: int) -> Sample:
    watch = Stopwatch()
    tapio: Any = importlib.import_module("tapio")
    counting = Counting(tapio)
    async with _system(tapio) as system:
        counter = system.spawn(counting.behavior, "counter")
        one = counting.asked(1)
        with watch:
            for _ in range(n):
                await counter.ask(one, expect=counting.total)
        expect(await counting.count(counter), n)
    return watch.per(n)


async def callers(n: int) -> Sample:
    tapio: Any = importlib.import_module("tapio")
    counting = Counting(tapio)
    one = counting.asked(1)
    system = _system(tapio)
    counter = system.spawn(counting.behavior, "counter")

    async def client(each: int) -> None:
        for _ in range(each):
            await counter.ask(one, expect=counting.total)

    figures = await crowd(n, client, lambda: counting.count(counter))
    await system.terminate()
    return figures


async def fan_in(n: int) -> Sample:
    tapio: Any = importlib.import_module("tapio")
    counting = Counting(tapio)
    system = _system(tapio)
    counter = system.spawn(counting.behavior, "counter")

    async def client(each: int) -> None:
        for _ in range(each):
            counter.tell(counting.add(amount=1))

    figures = await crowd(n, client, lambda: counting.count(counter))
    await system.terminate()
    return figures


async def ring(n: int) -> Sample:
    watch = Stopwatch()
    tapio: Any = importlib.import_module("tapio")
    model: Any = importlib.import_module("pydantic").create_model
    token: Any = model("Token", __base__=tapio.Message, left=(int, ...))
    join: Any = model("Join", __base__=tapio.Message, following=(tapio.ActorRef[token], ...))
    done, same = asyncio.Event(), tapio.Behaviors.same()

    async def on_message(self: Any, message: Any) -> Any:
        if type(message) is join:
            self.following = message.following
        elif message.left:
            self.following.tell(token(left=message.left - 1))
        else:
            done.set()
        return same

    kind: Any = type("Node", (tapio.AbstractBehavior,), {"msg_type": token | join, "on_message": on_message})
    async with _system(tapio) as system:
        nodes = [system.spawn_anonymous(tapio.Behaviors.setup(kind)) for _ in range(min(n, 1000))]
        for node, following in zip(nodes, nodes[1:] + nodes[:1], strict=True):
            node.tell(join(following=following))
        await asyncio.sleep(0)
        with watch:
            nodes[0].tell(token(left=n))
            await done.wait()
    return watch.per(n)


async def idle(n: int) -> Sample:
    tapio: Any = importlib.import_module("tapio")
    counting = Counting(tapio)
    system = _system(tapio)
    gc.collect()
    before = resident()
    with Stopwatch() as spawn:
        counters = [system.spawn_anonymous(counting.behavior) for _ in range(n)]
        await asyncio.sleep(0)
    gc.collect()
    used = (resident() - before) / n
    expect(await counting.count(counters[-1]), 0)
    with Stopwatch() as stop:
        await system.terminate()
    return {"bytes": used} | spawn.per(n, "spawn") | stop.per(n, "stop")


async def crash(n: int) -> Sample:
    watch = Stopwatch()
    tapio: Any = importlib.import_module("tapio")
    counting = Counting(tapio)
    async with _system(tapio) as system:
        counter = system.spawn(counting.behavior, "counter")
        one = counting.asked(1)
        with watch:
            for _ in range(n):
                counter.tell(counting.crash())
                expect((await counter.ask(one, expect=counting.total)).value, 1)
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
