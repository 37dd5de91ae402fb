"""The actors of a hostile play, and all else that a user can hand over: each may misbehave whenever it is called."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from random import Random
from types import FunctionType
from typing import TYPE_CHECKING, Any, Self

import anyio
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from supervise import Address, Down, RunningSupervisor, WeakAddress, checkpointed, concurrent, current

if TYPE_CHECKING:
    from .malice import Malice, Site

DEEDS = ("nothing", "nothing", "checkpoint", "sleep", "sleep", "begin a task", "after", "every", "pipe", "pipe or fail", "read",
         "watch", "publish", "stop", "shut down", "stubborn", "read another")  # fmt: skip
CLOSES = ("as asked", "as asked", "as asked", "late", "stubborn", "yields", "yields for a while", "swallows")
"""How a generator takes it that it is closed."""


def beside_others(function: Any) -> Any:
    """The same generator function once more, marked."""
    copy = FunctionType(function.__code__, function.__globals__, "yields_beside", function.__defaults__)
    copy.__qualname__ = "Fiend.yields_beside"
    copy.__module__ = function.__module__
    return concurrent(limit=2)(copy)


async def read_as_it_likes(view: Any, handler: Any, argument: object, chance: Random, site: Site) -> None:
    """Read from an actor, and misbehave meanwhile."""
    how = chance.choice(["on", "on", "on", "leave", "leave", "not", "in another task", "twice", "after it", "without a block"])
    pause, enough = chance.choice([0.0, 0.0, 0.1, 1.0]), chance.choice([1, 2, 20])
    stream = view.stream_from(handler, argument)
    if how == "without a block":
        async for _ in stream:
            pass
    async with stream as items:
        count = 0
        if how == "twice":
            await stream.__aenter__()
        elif how == "in another task":
            raised: list[BaseException] = []
            async with anyio.create_task_group() as group:
                group.start_soon(_one_item, items, site.malice, raised)
                await _one_item(items, site.malice, raised)
            if raised:
                raise raised[0]
        elif how != "not":
            async for _ in items:
                count += 1
                if count < 4:
                    await anyio.sleep(pause)
                    await site.later()
                if how == "leave" and count == enough:
                    break
        await site.later()
    if how == "after it":
        await anext(items)


async def _one_item(items: AsyncIterator[object], malice: Malice, raised: list[BaseException]) -> None:
    """What anyio's own task group wouldn't stand isn't raised in it."""
    try:
        await anext(items, None)
    except malice.cancelled:
        raise
    except BaseException as error:
        malice.swallow(error)
        raised.append(error)


class Part:
    """One fiend: who it is, what it is made with, and whom it knows."""

    def __init__(self, malice: Malice, name: str, friends: list[Address[Any]], managed: bool) -> None:
        self.malice = malice
        self.name = name
        self.friends = friends
        self.managed = managed
        self.random = Random(f"{malice.seed} part {name}")

    def site(self, kind: str, what: str = "") -> Site:
        return self.malice.site(kind, f"{self.name}.{what}" if what else self.name)

    # -- factories ---------------------------------------------------------------------------------------------------

    def at_once(self, friend: Address[Any] | None = None) -> Fiend:
        self.site("factory").at_once()
        return ManagedFiend(self) if self.managed else Fiend(self)

    async def later(self, friend: Address[Any] | None = None) -> Fiend:
        await anyio.sleep(0.1)
        await self.site("factory").later()
        await self.greet(friend)
        return self.at_once()

    @asynccontextmanager
    async def around(self, friend: Address[Any] | None = None) -> AsyncGenerator[Fiend]:
        await self.site("hook", "around, before").later()
        await self.greet(friend)
        try:
            yield Fiend(self)
        finally:
            await self.site("hook", "around, after").later()

    async def greet(self, friend: Address[Any] | None) -> None:
        """Turn to another one, elder or younger, in the own start."""
        if friend is None and self.friends and self.random.random() < 0.3:
            friend = self.random.choice(self.friends)
        if friend is None:
            return
        how = self.random.choice(["send", "call", "instance"])
        try:
            if how == "send":
                friend.try_send(Fiend.quick)
            elif how == "call":
                await friend.call(Fiend.quick)
            else:
                await friend.instance()
        except self.malice.cancelled:
            raise
        except BaseException as error:
            self.malice.swallow(error)

    # -- what its fiend waits for ------------------------------------------------------------------------------------

    async def task(self) -> None:
        await anyio.sleep(self.random.choice([0.0, 0.3, 5.0]))
        await self.site("task").later()

    async def patience(self, seconds: float) -> None:
        try:
            await anyio.sleep(seconds)
        except BaseException:
            self.site("cancelled").at_once()
            raise

    async def errand(self, seconds: float) -> None:
        await self.patience(seconds)
        await self.site("nursery").later()

    async def result(self, seconds: float) -> str:
        await self.patience(seconds)
        await self.site("pipe", "awaited").later()
        return "result"


class Argument:
    """Its `repr` and its `str` misbehave."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def __repr__(self) -> str:
        self._site.at_once()
        return f"<Argument of {self._site.where}>"


class Fiend:
    """Each of its handlers does something, and may misbehave then."""

    def __init__(self, part: Part) -> None:
        self.part = part

    async def work(self, argument: object = None) -> str:
        return await self.misbehave("handler", "work")

    def quick(self, argument: object = None) -> str:
        self.part.site("handler", "quick").at_once()
        return "quick"

    @concurrent(limit=2)
    async def beside(self, argument: object = None) -> str:
        return await self.misbehave("concurrent", "beside")

    async def yields(self, argument: object = None) -> AsyncGenerator[object]:
        part = self.part
        closes, items = part.random.choice(CLOSES), part.random.choice([0, 1, 3, 20, 300])
        hidden: BaseException | None = None
        try:
            for number in range(items):
                if number < 3:
                    await part.patience(part.random.choice([0.0, 0.0, 0.1, 0.5]))
                    try:
                        await part.site("generator", "yields").later()
                    except BaseException as error:
                        hidden = error
                        raise
                yield argument
        except GeneratorExit:
            with anyio.CancelScope(shield=closes == "stubborn"):
                await anyio.sleep(0.3 if closes in ("stubborn", "late") else 0)
            try:
                await part.site("generator", "closed").later()
            except BaseException as error:
                hidden = error
                raise
            if closes == "swallows":
                return
            for _ in range({"yields": 1, "yields for a while": 5}.get(closes, 0)):
                with suppress(GeneratorExit):
                    yield "more"
            raise
        finally:  # what it awaited here would hide what it raises, as it does in any task that is cancelled
            try:
                part.site("generator", "finally").at_once()
            except BaseException:
                if hidden is not None:  # by what is raised here instead
                    part.malice.swallow(hidden)
                raise
            finally:
                del hidden

    yields_beside = beside_others(yields)

    async def tick(self) -> str:
        return await self.misbehave("timer", "tick")

    async def piped(self, result: object) -> None:
        await self.part.site("pipe", "piped").later()

    def failed(self, error: Exception) -> None:
        self.part.site("pipe", "failed").at_once()

    def down(self, down: Down) -> None:
        self.part.site("watch", "down").at_once()

    async def begin(self) -> None:
        await self.part.site("handler", "begin").later()

    def item(self, item: object) -> None:
        self.part.site("stream", "item").at_once()

    @checkpointed(every=0.7)
    def snapshot(self) -> str:
        self.part.site("snapshot").at_once()
        return "snapshot"

    async def misbehave(self, kind: str, what: str) -> str:
        part = self.part
        deed = part.random.choice(DEEDS)
        seconds = part.random.choice([0.0, 0.1, 1.0])
        me = current()
        if deed == "sleep":
            await part.patience(seconds)
        elif deed == "stubborn":
            with anyio.CancelScope(shield=True):
                await anyio.sleep(seconds)
        elif deed == "begin a task":
            me.nursery.start_soon(part.errand, seconds)
        elif deed == "after":
            me.after(seconds, Fiend.tick)
        elif deed == "every":
            me.every(0.5, Fiend.tick, id="tick")
        elif deed == "pipe":
            me.pipe_to(Fiend.piped, part.result(seconds))
        elif deed == "pipe or fail":
            me.pipe_to(Fiend.piped, part.result(seconds), failed=Fiend.failed)
        elif deed == "read":
            me.read(Stream(part), Fiend.item)
        elif deed == "read another" and part.friends:
            with anyio.move_on_after(3):
                await read_as_it_likes(part.random.choice(part.friends), Fiend.yields, None, part.random, part.site("reader"))
        elif deed == "watch" and part.friends:
            me.watch(part.random.choice(part.friends), Fiend.down)
        elif deed == "publish":
            me.publish(what)
        elif deed == "checkpoint":
            me.checkpoint(what)
        elif deed == "stop":
            me.stop()
        elif deed == "shut down":
            me.stop(shutdown="it had enough")
        await part.site(kind, what).later()
        return what


class ManagedFiend(Fiend):
    """Enters and leaves."""

    async def __aenter__(self) -> Self:
        await anyio.sleep(0.05)
        await self.part.site("hook", "enter").later()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.part.site("hook", "exit").later()
        await anyio.sleep(0.05)


class Stream:
    """Three items, if nothing comes between."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._left = 3

    def __aiter__(self) -> AsyncIterator[object]:
        self._part.site("stream", "aiter").at_once()
        return self

    async def __anext__(self) -> object:
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        await anyio.sleep(0.1)
        await self._part.site("stream", "anext").later()
        return self._left


class Queue:
    """A deque that misbehaves before it does anything."""

    def __init__(self, site: Callable[[str], Site]) -> None:
        self._site = site
        self._queue: deque[Any] = deque()

    def append(self, envelope: Any, /) -> None:
        self._site("append").at_once()
        self._queue.append(envelope)

    def appendleft(self, envelope: Any, /) -> None:
        self._site("appendleft").at_once()
        self._queue.appendleft(envelope)

    def popleft(self) -> Any:
        self._site("popleft").at_once()
        return self._queue.popleft()

    def __len__(self) -> int:
        self._site("len").at_once()
        return len(self._queue)

    def __iter__(self) -> Iterator[Any]:
        self._site("iter").at_once()
        return iter([*self._queue])


class Callback:
    """A listener, a predicate, a handler: what is called may misbehave, then returns `answer`."""

    def __init__(self, site: Site, answer: Any = None) -> None:
        self._site = site
        self._answer = answer
        self.__name__ = site.where

    def __call__(self, *_: object) -> Any:
        self._site.at_once()
        return self._answer


class KeyOf(Callback):
    """The key function of a pool."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._count = 0

    def __call__(self, *_: object) -> Any:
        self._site.at_once()
        self._count += 1
        number = self._count % 5
        return (None, "key", 2, OddKey(self._site, 3), OddKey(self._site, 3))[number]


class OddKey:
    """Its equality misbehaves. Its hash does, too, when the pool asks for it, which is part of asking for the key."""

    def __init__(self, site: Site, number: int) -> None:
        self._site = site
        self._number = number

    def __hash__(self) -> int:
        self._site.at_once()
        return self._number

    def __eq__(self, other: object) -> bool:
        self._site.at_once()
        return isinstance(other, OddKey) and other._number == self._number


class OddCallable(Callback):
    """A handler of its own, whose hash and equality misbehave, too."""

    def __hash__(self) -> int:
        self._site.at_once()
        return 1

    def __eq__(self, other: object) -> bool:
        self._site.at_once()
        return self is other


class Records(logging.Handler):
    """A log handler, which formats what it gets, and a filter."""

    def __init__(self, malice: Malice) -> None:
        super().__init__()
        self._malice = malice

    def emit(self, record: logging.LogRecord) -> None:
        record.getMessage()
        self._malice.site("log", "emit").at_once()

    def filter(self, record: logging.LogRecord) -> bool:
        self._malice.site("log", "filter").at_once()
        return True


class Processor(SpanProcessor):
    def __init__(self, malice: Malice) -> None:
        self._malice = malice

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self._malice.site("instrument", "on_start").at_once()

    def on_end(self, span: Any) -> None:
        self._malice.site("instrument", "on_end").at_once()


class HostileSampler(Sampler):
    def __init__(self, malice: Malice) -> None:
        self._malice = malice

    def should_sample(self, *args: Any, **kwargs: Any) -> Any:
        self._malice.site("instrument", "should_sample").at_once()
        return ALWAYS_ON.should_sample(*args, **kwargs)

    def get_description(self) -> str:
        return "hostile"


def provider(malice: Malice) -> TracerProvider:
    made = TracerProvider(sampler=HostileSampler(malice), resource=Resource.get_empty(), shutdown_on_exit=False)
    made.add_span_processor(Processor(malice))
    return made


class HostileMetrics:
    """A `Watcher`."""

    def __init__(self, malice: Malice) -> None:
        self._malice = malice

    def watch(self, app: RunningSupervisor, /) -> Callable[[], object]:
        self._malice.site("metrics", "watch").at_once()
        return Callback(self._malice.site("metrics", "unwatch"))


def odd_class(site: Site) -> Any:
    """An exception class that misbehaves when it is asked whether something is of it."""

    class Meta(type):
        def __instancecheck__(cls, instance: object) -> bool:
            site.at_once()
            return False

        def __subclasscheck__(cls, subclass: type) -> bool:
            site.at_once()
            return False

    return Meta("Expected", (Exception,), {})


class Innocent:
    """Has no part in it. It ticks, and asks its neighbour."""

    def __init__(self, neighbour: list[WeakAddress[Any]]) -> None:
        self._neighbour = neighbour
        current().every(1.0, Innocent.tick)

    async def answer(self) -> int:
        return current().incarnation

    async def items(self) -> AsyncGenerator[int]:
        for number in range(5):
            yield number

    async def tick(self) -> None:
        for address in self._neighbour:
            await address.send(Innocent.hear)

    def hear(self) -> None:
        pass
