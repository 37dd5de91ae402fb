"""What type checkers must accept, and what they must infer. Nothing in here is run."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol, Self, assert_type, overload

from anyio import CancelScope
from anyio.abc import ObjectReceiveStream, ObjectSendStream

from supervise import (
    Address,
    AddressLike,
    Child,
    Crashed,
    Down,
    DynamicSupervisor,
    Ended,
    Factory,
    Intensity,
    Monitor,
    Pong,
    Recipient,
    ReplyStream,
    Restart,
    RunningSupervisor,
    Subscription,
    Supervisor,
    Task,
    Timer,
    WeakAddress,
    child,
    concurrent,
    current,
    open_mailbox,
    pool,
    task,
)
from supervise.events import Decided, Event, Stopped
from supervise.testing import FakeAddress, crash_on, record
from supervise.wire import Interface, Served


class Counter:
    def __init__(self, start: int = 0) -> None:
        self.total = start

    async def add(self, amount: int, *, by: str = "") -> int:
        self.total += amount
        return self.total

    def show(self) -> str:
        return str(self.total)

    @overload
    async def receive(self, message: int) -> int: ...
    @overload
    async def receive(self, message: str) -> str: ...
    async def receive(self, message: int | str) -> int | str:
        return message

    async def add_to(self, other: Address[Counter], amount: int) -> int:
        return await other.call(Counter.add, amount)


class Louder(Counter):
    pass


class Pool:
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def size(self) -> int:
        return 1


class Session:
    """A context manager that gives out something else."""

    async def __aenter__(self) -> Counter:
        return Counter()

    async def __aexit__(self, *_: object) -> None: ...


class Clock:
    def show(self) -> str:
        return "now"


class Shows(Protocol):
    def show(self) -> str: ...


@asynccontextmanager
async def managed(start: int) -> AsyncGenerator[Counter, None]:
    yield Counter(start)


async def awaited(start: int) -> Counter:
    return Counter(start)


def reset(counter: Counter, why: str) -> bool:
    counter.total = 0
    return bool(why)


async def poll(url: str, seconds: float) -> None: ...


async def tasks_are_children(app: RunningSupervisor) -> None:
    assert_type(await app.start_task(poll, "a", 1.5, name="poll"), Address[Task])
    assert_type(child(task(poll, "a", 1.5)), Child[Task])
    assert_type(task(poll, "a", 1.5), Factory[Task])


async def replies_are_inferred(counter: Address[Counter]) -> None:
    assert_type(await counter.call(Counter.add, 1), int)
    assert_type(await counter.call(Counter.add, 1, by="x"), int)
    assert_type(await counter.call(Counter.show), str)
    assert_type(await counter.call(lambda c: c.total), int)
    assert_type(await counter.send(Counter.add, 1), None)
    assert_type(await counter.options(timeout=0.5, on_restart="fail").call(Counter.add, 2), int)
    assert_type(counter.weak, WeakAddress[Counter])
    assert_type(await counter.weak.call(Counter.add, 1), int)
    assert_type(counter.weak.strong(), Address[Counter])
    assert_type(await counter.call(Counter.receive, 1), int)
    assert_type(await counter.call(Counter.receive, "x"), str)
    assert_type(await counter.call(reset, "why"), bool)
    assert_type(counter.try_send(Counter.add, 1), None)
    assert_type(await counter.call(Counter.add_to, counter, 1), int)
    assert_type(counter.clone(), Address[Counter])
    assert_type(counter.weak.options(timeout=1), WeakAddress[Counter])


async def a_protocol_is_an_interface(counter: Address[Counter], clock: Address[Clock]) -> None:
    shows: list[Address[Shows]] = [counter, clock]
    for address in shows:
        assert_type(await address.call(Shows.show), str)


async def addresses_are_covariant(louder: Address[Louder]) -> Address[Counter]:
    assert_type(await louder.call(Counter.add, 1), int)
    return louder


async def recipients_narrow_to_a_signature(counter: Address[Counter], clock: Address[Clock]) -> None:
    recipients = [counter.recipient(Counter.show), clock.recipient(Clock.show)]
    assert_type(recipients, list[Recipient[[], str]])
    assert_type(await recipients[0].call(), str)
    assert_type(await recipients[0].send(), None)
    noted: Recipient[[str], bool] = counter.recipient(reset)
    assert_type(await noted.call("why"), bool)


async def every_factory_is_understood(app: RunningSupervisor) -> None:
    assert_type(await app.start(Counter, 10, name="counter"), Address[Counter])
    assert_type(await app.start(functools.partial(Counter, start=10)), Address[Counter])
    assert_type(await app.start(lambda: Counter(1), restart="transient"), Address[Counter])
    assert_type(await app.start(managed, 1), Address[Counter])
    assert_type(await app.start(awaited, 1), Address[Counter])
    assert_type(await app.start(Pool), Address[Pool])
    assert_type(await app.start(Session), Address[Counter])
    assert_type(await app.start(Counter, stop_within="brutal_kill", capacity=10, overflow="reject"), Address[Counter])
    assert_type(await app.start(Counter, throttle=10), Address[Counter])
    assert_type(child(Counter, 10), Child[Counter])
    assert_type(child(managed, 1, restart=Restart.permanent()), Child[Counter])
    assert_type(child(awaited, 1), Child[Counter])
    assert_type(child(lambda: Counter(1)), Child[Counter])
    assert_type(child(functools.partial(Counter, start=10)), Child[Counter])
    assert_type(child(Pool, restart="transient"), Child[Pool])


async def keys_are_typed() -> None:
    db = child(Counter, 1, name="db")
    pool = child(Pool, name="pool")
    rooms = DynamicSupervisor("rooms")
    async with Supervisor("app", db, pool, rooms, intensity=Intensity(3, per=5.0)) as app:
        assert_type(app.find(db), Address[Counter])
        assert_type(app.find(pool), Address[Pool])
        assert_type(app.find("db"), Address[Any])
        assert_type(app.supervisor(rooms), RunningSupervisor)
        assert_type(current().find(db), Address[Counter])


async def an_address_is_an_interface_too(counter: Address[Counter], clock: WeakAddress[Clock]) -> None:
    like: AddressLike[Counter] = counter
    assert_type(await like.call(Counter.add, 1, by="x"), int)
    assert_type(await like.call(Counter.show), str)
    assert_type(await like.send(Counter.add, 1), None)
    assert_type(like.try_send(Counter.add, 1), None)
    fake = FakeAddress(Counter, 10)
    assert_type(fake, FakeAddress[Counter])
    assert_type(await fake.call(Counter.add, 1), int)
    fake.answer(Counter.add, 1)
    fake.answer(Counter.show, "1")
    fake.fail(Counter.add, TimeoutError())
    shows: list[AddressLike[Shows]] = [counter, counter.weak, clock, fake, FakeAddress[Shows]()]
    for address in shows:
        assert_type(await address.call(Shows.show), str)
    crash_on(counter, Counter.add)
    crash_on(clock, Clock.show, times=2, error=KeyError)


async def events_are_typed(app: RunningSupervisor) -> None:
    events = record(app)
    assert_type(await events.wait_for(Stopped, path="app/counter"), Stopped)
    assert_type(events.of(Decided), list[Decided])


async def a_mailbox_by_hand() -> None:
    mailbox, address = open_mailbox(Counter, capacity=10, throttle=2.5)
    assert_type(address, Address[Counter])
    assert_type(await mailbox.run(Counter, 10), Ended | Crashed)


def timers_take_what_the_handler_takes() -> None:
    assert_type(current().after(1, Counter.show), Timer)
    assert_type(current().after(0.5, Counter.add, 1, by="x"), Timer)
    assert_type(current().every(1, Counter.add, 1, id="adding"), Timer)
    assert_type(current().every(1, Counter.show, id=("showing", 1)), Timer)
    assert_type(current().every(1, reset, "why"), Timer)
    assert_type(current().after(1, lambda counter: counter.total, id="x"), Timer)
    assert_type(current().timers["adding"], Timer)


async def streams_are_those_of_anyio(
    counter: Address[Counter], louder: Address[Louder], source: ObjectReceiveStream[str], other: AsyncIterator[str]
) -> None:
    assert_type(counter.stream(reset), ObjectSendStream[str])
    assert_type(louder.stream(Counter.add), ObjectSendStream[int])
    assert_type(counter.options(timeout=1).stream(Counter.add), ObjectSendStream[int])
    assert_type(current().read(source, reset), CancelScope)
    assert_type(current().read(other, reset), CancelScope)


class Model:
    async def tokens(self, prompt: str, *, most: int = 100) -> AsyncIterator[str]:
        yield prompt

    @concurrent(limit=2)
    async def numbers(self) -> AsyncGenerator[int]:
        yield 1

    def declared(self, prompt: str) -> AsyncIterator[bytes]:
        raise NotImplementedError


class Streaming(Protocol):
    def tokens(self, prompt: str) -> AsyncIterator[str]: ...


async def streamed_replies_are_typed_by_what_the_generator_yields(
    model: Address[Model], weak: WeakAddress[Model], streaming: Address[Streaming]
) -> None:
    async with model.stream_from(Model.tokens, "hi", most=3) as tokens:
        assert_type(tokens, AsyncIterator[str])
        async for token in tokens:
            assert_type(token, str)
    async with weak.options(buffer=100, timeout=3).stream_from(Model.numbers) as numbers:
        assert_type(await anext(numbers), int)
    assert_type(model.stream_from(Model.declared, "hi"), ReplyStream[bytes])
    assert_type(streaming.stream_from(Streaming.tokens, "hi"), ReplyStream[str])
    async with model.recipient(Model.tokens).stream_from("hi") as narrowed:
        assert_type(narrowed, AsyncIterator[str])


async def what_is_published_is_typed_by_the_class_that_was_asked_for(address: Address[Counter], app: RunningSupervisor) -> None:
    async with address.subscribe(Pool, capacity=10, overflow="close") as pools:
        assert_type(pools, Subscription[Pool])
        async for pool in pools:
            assert_type(pool, Pool)
    assert_type(await address.weak.watch(), Down)
    async with app.events() as events:
        assert_type(await events.receive(), Event)
    assert_type(await app.ping(), dict[str, Pong])


def a_monitor_takes_a_handler_of_the_watcher(address: WeakAddress[Counter]) -> None:
    class Nurse:
        async def lost(self, down: Down) -> None: ...

    assert_type(current().watch(address, Nurse.lost), Monitor)


class CounterApi(Protocol):
    async def add(self, amount: int, *, by: str = "") -> int: ...
    def show(self) -> str: ...


COUNTER = Interface("counter", CounterApi, only=(CounterApi.add,), raises=(OSError,), wire="Counter")


def an_interface_is_of_its_protocol_or_class(address: Address[Louder]) -> None:
    assert_type(COUNTER, Interface[CounterApi])
    assert_type(Interface("counter", Counter), Interface[Counter])
    assert_type(COUNTER.by(child(Counter, 10)), Served)
    COUNTER.by(child(Louder))
    COUNTER.by(pool(Louder, size=2))
    COUNTER.by(address)
    COUNTER.by(address.weak)
    assert_type(COUNTER.method(CounterApi.add).encode((1,), {}), bytes)
    assert_type(COUNTER.rebuild(0, ()), Exception | None)
