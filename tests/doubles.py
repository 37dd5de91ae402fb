"""Small actors that the tests share, and what is needed to watch them; named after what they do."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Awaitable, Callable, Iterator
from types import FunctionType
from typing import Any, cast

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream

from supervise import Address
from supervise.testing.virtual_time import at_rest


class Boom(Exception):
    """What a test's actor crashes with."""


def raised_in(function: Callable[..., object], line: int) -> str:
    """Where a function raises, as a text for people has it: so many lines below its first one."""
    code = cast("FunctionType", function).__code__
    return f"{code.co_qualname} ({code.co_filename}:{code.co_firstlineno + line})"


class Gate:
    """Where a handler stops until it is let through."""

    def __init__(self) -> None:
        self.reached = anyio.Event()
        self._open = anyio.Event()

    def open(self) -> None:
        self._open.set()

    async def walk_through(self) -> None:
        self.reached.set()
        await self._open.wait()


class Scribe:
    """Notes what it is told, in a log that outlives it."""

    def __init__(self, log: list[Any] | None = None) -> None:
        self.log: list[Any] = [] if log is None else log

    async def note(self, entry: Any) -> int:
        self.log.append(entry)
        return len(self.log)

    def note_at_once(self, entry: Any) -> int:
        """A plain function."""
        self.log.append(entry)
        return len(self.log)

    async def hold(self, gate: Gate) -> str:
        await gate.walk_through()
        return "through"

    async def crash(self, text: str = "boom") -> None:
        raise Boom(text)


async def turn_by_turn_until(condition: Callable[[], bool]) -> None:
    """Stop at the very turn of the loop in which it begins to hold: sooner than `at_rest`."""
    for _ in range(1000):
        if condition():
            return
        await anyio.lowlevel.checkpoint()
    raise AssertionError("1000 turns, and it doesn't hold")


async def fill(scribe: Address[Scribe], *entries: Any) -> Gate:
    """Keep the actor at a gate, with these entries queued behind it."""
    gate = Gate()
    await scribe.send(Scribe.hold, gate)
    await gate.reached.wait()
    for entry in entries:
        await scribe.send(Scribe.note, entry)
    return gate


class Outcomes:
    """Awaits in the background, and keeps what each came to: its result, or what it raised."""

    def __init__(self, group: TaskGroup) -> None:
        self._group = group
        self.of: dict[Any, Any] = {}

    async def watch(self, label: Any, awaited: Awaitable[Any]) -> None:
        """Begin it; return when it has come as far as it can, so that the next one comes after it."""
        self._group.start_soon(self._await, label, awaited)
        await at_rest()

    async def _await(self, label: Any, awaited: Awaitable[Any]) -> None:
        try:
            self.of[label] = await awaited
        except Exception as error:
            self.of[label] = error


class ByNumber:
    """Gives the smallest first argument first."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Any]] = []
        self._count = itertools.count()

    def append(self, envelope: Any, /) -> None:
        number = envelope[1][0] if envelope[1] and isinstance(envelope[1][0], int) else math.inf
        heapq.heappush(self._heap, (number, next(self._count), envelope))

    def appendleft(self, envelope: Any, /) -> None:
        heapq.heappush(self._heap, (-math.inf, -next(self._count), envelope))

    def popleft(self) -> Any:
        return heapq.heappop(self._heap)[2]

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Any]:
        return (envelope for _, _, envelope in sorted(self._heap))


def filled(items: Any) -> MemoryObjectReceiveStream[Any]:
    """A stream that holds all of them already, and then ends."""
    give, take = anyio.create_memory_object_stream[Any](math.inf)
    for item in items:
        give.send_nowait(item)
    give.close()
    return take
