"""What type checkers must refuse. A line that one of them accepts is an unused ignore, and so an error. Nothing is run."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol, overload

from anyio.abc import ObjectReceiveStream

from supervise import Address, AddressLike, Recipient, RunningSupervisor, Supervisor, child, current, open_mailbox, pool
from supervise.testing import FakeAddress, crash_on
from supervise.wire import Interface


class Counter:
    def __init__(self, start: int = 0) -> None:
        self.total = start

    async def add(self, amount: int) -> int:
        return self.total + amount

    @overload
    async def receive(self, message: int) -> int: ...
    @overload
    async def receive(self, message: str) -> str: ...
    async def receive(self, message: int | str) -> int | str:
        return message


class Clock:
    async def tick(self) -> None:
        pass


class Ticks(Protocol):
    async def tick(self) -> None: ...


async def poll(url: str) -> None: ...


def blocking(url: str) -> None: ...


async def tasks(app: RunningSupervisor) -> None:
    await app.start_task(poll, 1)  # type: ignore[arg-type]
    await app.start_task(poll)  # type: ignore[arg-type]
    await app.start_task(blocking, "a")  # type: ignore[arg-type]
    await app.start_task(poll("a"))  # type: ignore[arg-type]


async def messages(counter: Address[Counter]) -> None:
    await counter.call(Counter.add)  # type: ignore[call-overload]  # an argument is missing
    await counter.call(Counter.add, "one")  # type: ignore[call-overload]  # a wrong argument
    await counter.call(Counter.add, 1, 2)  # type: ignore[call-overload]  # one too many
    await counter.call(Clock.tick)  # type: ignore[call-overload]  # another actor's handler
    await counter.send(Counter.add, "one")  # type: ignore[arg-type]
    await counter.send(Clock.tick)  # type: ignore[arg-type]
    counter.try_send(Counter.add)  # type: ignore[call-arg]
    await counter.call(Counter.receive, 1.5)  # type: ignore[call-overload]  # no overload takes it
    await counter.weak.call(Clock.tick)  # type: ignore[call-overload]
    await counter.weak.send(Counter.add, "one")  # type: ignore[arg-type]
    text: str = await counter.call(Counter.add, 1)  # type: ignore[call-overload]  # a wrong idea of the reply
    del text
    await counter.options(on_restart="perhaps").call(Counter.add, 1)  # type: ignore[arg-type]


async def addresses(counter: Address[Counter]) -> Address[Clock]:
    ticking: list[Address[Ticks]] = [counter]  # type: ignore[list-item]
    louder: Address[Counter] = ticking[0]  # type: ignore[assignment]
    del louder
    return counter  # type: ignore[return-value]


async def likes(like: AddressLike[Counter], fake: FakeAddress[Counter], counter: Address[Counter]) -> AddressLike[Clock]:
    await like.call(Clock.tick)  # type: ignore[call-overload]
    await like.call(Counter.add, "one")  # type: ignore[call-overload]
    await like.send(Counter.add)  # type: ignore[call-arg]
    like.try_send(Clock.tick)  # type: ignore[arg-type]
    await fake.call(Counter.add, "one")  # type: ignore[call-overload]
    await fake.send(Clock.tick)  # type: ignore[arg-type]
    fake.answer(Clock.tick, None)  # type: ignore[arg-type]
    crash_on(counter, Clock.tick)  # type: ignore[misc]
    strong: Address[Counter] = like  # type: ignore[assignment]
    del strong
    return like  # type: ignore[return-value]


async def recipients(counter: Address[Counter]) -> Recipient[[str], int]:
    counter.recipient(Clock.tick)  # type: ignore[arg-type]
    await counter.recipient(Counter.add).call("one")  # type: ignore[arg-type]
    return counter.recipient(Counter.add)  # type: ignore[arg-type]


async def keys(app: RunningSupervisor) -> Address[Clock]:
    child(Counter, "ten")  # type: ignore[arg-type]
    child(Counter, nme="x")  # type: ignore[call-overload]
    key = child(Counter, 10)
    return app.find(key)  # type: ignore[arg-type]


async def mailboxes() -> None:
    mailbox, address = open_mailbox(Counter, capacity="many")  # type: ignore[arg-type]
    await mailbox.run(Clock)  # type: ignore[arg-type, call-arg]
    await address.call(Clock.tick)  # type: ignore[call-overload]


async def starts(app: RunningSupervisor) -> None:
    await app.start(Counter, "ten")  # type: ignore[arg-type]
    await app.start(Counter, 1, 2)  # type: ignore[call-arg, arg-type]
    await app.start(Counter, nme="x")  # type: ignore[call-overload]
    Supervisor("app", strategy="one_for_some")  # type: ignore[arg-type]
    Supervisor("app", Counter)  # type: ignore[arg-type]


def timers() -> None:
    current().after(1, Counter.add)  # type: ignore[call-overload]  # an argument is missing
    current().after(1, Counter.add, "one")  # type: ignore[call-overload]
    current().every(1, Counter.add, "one", id="x")  # type: ignore[call-arg, arg-type]
    current().every(1, Counter.add, id="x")  # type: ignore[call-arg, arg-type]
    current().every("1", Clock.tick)  # type: ignore[call-overload]


class Model:
    async def tokens(self, prompt: str) -> AsyncIterator[str]:
        yield prompt


async def streamed_replies(model: Address[Model], counter: Address[Counter]) -> None:
    model.stream_from(Model.tokens)  # type: ignore[call-arg]
    model.stream_from(Model.tokens, 1)  # type: ignore[arg-type]
    counter.stream_from(Model.tokens, "hi")  # type: ignore[arg-type]
    counter.stream_from(Counter.add, 1)  # type: ignore[arg-type]
    async for _ in model.stream_from(Model.tokens, "hi"):  # type: ignore[attr-defined]
        pass
    counter.recipient(Counter.add).stream_from(1)  # type: ignore[misc]


async def streams(counter: Address[Counter], source: ObjectReceiveStream[str]) -> None:
    await counter.stream(Counter.add).send("one")  # type: ignore[arg-type]
    counter.stream(Clock.tick)  # type: ignore[arg-type]
    current().read(source, Counter.add)  # type: ignore[arg-type]
    current().read(["a list"], Counter.add)  # type: ignore[arg-type]


async def the_body_of_a_tree_may_be_cut_short() -> int:  # type: ignore[return]
    async with Supervisor("app") as app:
        return len(app.which_children())


class Summing:
    async def add(self, amount: str) -> int:
        return len(amount)


COUNTER = Interface("counter", Counter)
TICKS = Interface("ticks", Ticks)


def who_serves_an_interface_has_what_it_declares(counter: Address[Counter], double: FakeAddress[Counter]) -> None:
    counters = child(Counter, 10)
    TICKS.by(counters)  # type: ignore[arg-type]
    TICKS.by(child(Counter))  # type: ignore[call-arg, arg-type]
    TICKS.by(child(Summing))  # type: ignore[call-arg, arg-type]
    TICKS.by(pool(Counter, size=2))  # type: ignore[call-arg, arg-type]
    TICKS.by(counter)  # type: ignore[arg-type]
    COUNTER.by(double)  # type: ignore[arg-type]
    COUNTER.by(child(Clock))  # type: ignore[call-arg, arg-type]
    TICKS.by(Clock())  # type: ignore[arg-type]
    TICKS.by(Clock)  # type: ignore[arg-type]
    Interface("ticks", Ticks, raises=(KeyboardInterrupt,))  # type: ignore[arg-type]
    Interface("ticks", Ticks, raises=("error",))  # type: ignore[arg-type]
    Interface("ticks", Ticks, wire=1)  # type: ignore[arg-type]
    Interface("ticks", Ticks, format="msgpack")  # type: ignore[arg-type]
    Interface("ticks", Ticks, (Ticks.tick,))  # type: ignore[call-arg]
    TICKS.name = "other"  # type: ignore[misc]
    TICKS.method(Ticks.tick).encode("one", {})  # type: ignore[arg-type]
