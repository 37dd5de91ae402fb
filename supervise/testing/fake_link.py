"""Connections that exist in this process alone, with latency, cuts and silence: for tests of links, in virtual time.

Theory of operation
-------------------
- A connection is two directions, each with bytes under way and an end. What is written arrives after the latency, in order. A
  direction holds a bounded number of bytes, those that nobody has read included; then whoever writes waits.
- What one side learns of the other travels in a direction, too: that it writes no more, that it is gone, that all is broken. So
  who is at the deaf side of a stall is told nothing, until `heal()`.
- Only a test's own cuts are known at once. Each breaks an end: it raises `BrokenResourceError` from then on.
- Nothing runs by itself: no task, no timer. Whoever waits wakes when the next bytes are due.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream, Listener, TaskGroup

BUFFER: Final = 65536


class Traffic(NamedTuple):
    """Bytes that were written to one connection: by who connected, and back."""

    there: int
    back: int


class _Signal:
    """Wakes all who wait for it at this moment."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def give(self) -> None:
        event, self._event = self._event, None
        if event is not None:
            event.set()

    async def wait(self, until: float = math.inf) -> None:
        if self._event is None:
            self._event = anyio.Event()
        with anyio.CancelScope(deadline=until):
            await self._event.wait()


class _Direction:
    """One direction of a connection."""

    def __init__(self, network: FakeNetwork) -> None:
        self._network = network
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._ends_at: float | None = None  # when its reader, who has read all, may know that nothing follows
        self._left_at: float | None = None  # when its reader may know that its writer is gone, and reads nothing, either
        self.breaks: bool = False
        """Its end is a break, not an orderly one."""
        self.breaks_after: int = -1
        """After how many bytes; -1: never."""
        self.stalled: bool = False
        self.passed: int = 0
        """Bytes that were written, ever."""
        self.changed: _Signal = _Signal()

    def put(self, data: bytes) -> int:
        """Take as many of these bytes as there is room for."""
        room = self._network.buffer - self._size
        if self.breaks_after >= 0:
            room = min(room, self.breaks_after - self.passed)
        taken = max(0, min(room, len(data)))
        if taken:
            self._under_way.append((self._due(), bytes(data[:taken])))
            self._size += taken
            self.passed += taken
            self.changed.give()
        return taken

    def get(self, most: int) -> bytes:
        """What has arrived: of several writes at once, as a socket gives it."""
        parts: list[bytes] = []
        left = 0 if self.stalled else most
        while left and self._under_way and self._under_way[0][0] <= anyio.current_time():
            due, data = self._under_way.popleft()
            if len(data) > left:
                self._under_way.appendleft((due, data[left:]))
                data = data[:left]
            parts.append(data)
            left -= len(data)
        if parts:
            self._size -= most - left
            self.changed.give()
        return b"".join(parts)

    def arrives_at(self) -> float:
        """When its reader finds something new."""
        if self.stalled:
            return math.inf
        if self._under_way:
            return self._under_way[0][0]
        return math.inf if self._ends_at is None else self._ends_at

    def left_at(self) -> float:
        """When its reader knows that its writer is gone."""
        return math.inf if self.stalled or self._left_at is None else self._left_at

    @property
    def has_ended(self) -> bool:
        """Whether its writer has said that nothing follows."""
        return self._ends_at is not None

    @property
    def is_over(self) -> bool:
        """Whether its reader has read all, and knows that nothing follows."""
        return not self._under_way and self.arrives_at() <= anyio.current_time()

    def end(self, *, leaves: bool) -> None:
        """Nothing more is written; `leaves`: nor does the writer read the other direction."""
        if self._ends_at is None:
            self._ends_at = self._due()
        if leaves and self._left_at is None:
            self._left_at = self._due()
        self.changed.give()

    def lose(self) -> None:
        """What is under way never arrives."""
        self._under_way.clear()
        self._size = 0
        self.changed.give()

    def _due(self) -> float:
        return anyio.current_time() + self._network.latency


class FakeStream(ByteStream):
    """One end of a connection."""

    def __init__(self, reads: _Direction, writes: _Direction) -> None:
        self._reads = reads
        self._writes = writes
        self._is_closed = False
        self._is_broken = False
        self._reading = anyio.ResourceGuard("reading from")
        self._writing = anyio.ResourceGuard("writing to")

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Bytes that have arrived. Raises as any anyio stream does. Who is cancelled has taken none."""
        if max_bytes < 1:
            raise ValueError("max_bytes must be a positive integer")
        with self._reading:
            await anyio.lowlevel.checkpoint()
            while True:
                self._check()
                data = self._reads.get(max_bytes)
                if data:
                    return data
                if self._reads.is_over:
                    if self._reads.breaks:
                        raise anyio.BrokenResourceError
                    raise anyio.EndOfStream
                await self._reads.changed.wait(self._reads.arrives_at())

    async def send(self, item: bytes) -> None:
        """Write; it waits while the buffer is full. Who is cancelled then may have written a part."""
        with self._writing:
            await anyio.lowlevel.checkpoint()
            self._check_writing()
            while item:
                taken = self._writes.put(item)
                item = item[taken:]
                if self._writes.passed == self._writes.breaks_after:
                    self.break_off()
                if item:
                    self._check_writing()
                    if not taken:
                        await self._writes.changed.wait(self._reads.left_at())
                        self._check_writing()

    async def send_eof(self) -> None:
        """Write no more, and read on."""
        await anyio.lowlevel.checkpoint()
        self._check()
        if not self._writes.has_ended:
            self._writes.end(leaves=False)

    async def aclose(self) -> None:
        """The other side finds the end of the stream, once it has read all; if it still writes it finds it broken."""
        if not self._is_closed:
            self._is_closed = True
            if not self._is_broken:
                self._writes.end(leaves=True)
            self._wake()
        await anyio.lowlevel.checkpoint()

    def break_here(self) -> None:
        """All that is done at this end fails from now on; the other end isn't told."""
        self._is_broken = True
        self._wake()

    def break_off(self) -> None:
        """Break here, and for the other side once it has read what was written."""
        self._writes.breaks = True
        self._writes.end(leaves=True)
        self.break_here()

    def _wake(self) -> None:
        self._reads.changed.give()
        self._writes.changed.give()

    def _check(self) -> None:
        if self._is_closed:
            raise anyio.ClosedResourceError
        if self._is_broken:
            raise anyio.BrokenResourceError

    def _check_writing(self) -> None:
        self._check()
        if self._writes.has_ended:
            raise anyio.ClosedResourceError
        if self._reads.left_at() <= anyio.current_time():
            raise anyio.BrokenResourceError


class _Connection:
    """Both directions, and both ends."""

    def __init__(self, network: FakeNetwork) -> None:
        self.there: _Direction = _Direction(network)
        self.back: _Direction = _Direction(network)
        self.near: FakeStream = FakeStream(reads=self.back, writes=self.there)
        self.far: FakeStream = FakeStream(reads=self.there, writes=self.back)


class FakeListener(Listener[ByteStream]):
    """Where the other side takes connections, one after the other: with `accept`, or `serve`."""

    def __init__(self, arrived: deque[FakeStream], arrives: _Signal) -> None:
        self._arrived = arrived
        self._arrives = arrives
        self._is_closed = False
        self._accepting = anyio.ResourceGuard("accepting connections from")

    async def accept(self) -> FakeStream:
        """The next connection. `ClosedResourceError` once it is closed."""
        with self._accepting:
            await anyio.lowlevel.checkpoint()
            while True:
                if self._is_closed:
                    raise anyio.ClosedResourceError
                if self._arrived:
                    return self._arrived.popleft()
                await self._arrives.wait()

    async def serve(self, handler: Callable[[ByteStream], Any], task_group: TaskGroup | None = None) -> None:
        """Run the handler with each connection, in a task of the group; without one, in a group of its own."""
        if task_group is None:
            async with anyio.create_task_group() as own:
                await self.serve(handler, own)
        else:
            while True:
                task_group.start_soon(handler, await self.accept())

    async def aclose(self) -> None:
        """Take no more. A connection that nobody has taken waits for the next listener."""
        self._is_closed = True
        self._arrives.give()
        await anyio.lowlevel.checkpoint()


class FakeNetwork:
    """Connections between two sides of one process, which break when the test says so.

    `connect` is what a link takes instead of an address, and `listen` what a gate does. `listener()`
    is for code that serves any anyio listener. Who connects before anybody listens waits.

    latency: Seconds that bytes take in one direction. It may be changed; no byte overtakes another.
    buffer: Bytes that one direction holds, before who writes has to wait.

    >>> import anyio
    >>> from supervise.remote import dial, gate
    >>> from supervise.wire import Interface
    >>> class Shop:
    ...     async def sell(self, item: str) -> str:
    ...         return f"{item} is sold"
    >>> SHOP, network, shop = Interface("shop", Shop), FakeNetwork(latency=0.1), child(Shop)
    >>> there = Supervisor("there", shop, gate(network.listen, serves=[SHOP.by(shop)]))
    >>> link = dial(network.connect, uses=[SHOP])
    >>> async with there, Supervisor("web", link) as web:
    ...     far = SHOP.over(web.find(link))
    ...     print(await far.call(Shop.sell, "tea"))
    ...     network.cut()
    ...     await anyio.sleep(1)
    ...     print(await far.call(Shop.sell, "milk"), "over connection", network.made)
    tea is sold
    milk is sold over connection 2
    """

    def __init__(self, *, latency: float = 0.0, buffer: int = BUFFER) -> None:
        self.latency: float = latency
        self.buffer: int = buffer
        self._connections: list[_Connection] = []
        self._arrived: deque[FakeStream] = deque()
        self._arrives = _Signal()
        self._returns = _Signal()
        self._refuses = False
        self._is_absent = False

    async def connect(self) -> FakeStream:
        """A connection.

        Raises `ConnectionRefusedError` after `refuse()`. After `leave()` it waits for ever.
        """
        await anyio.lowlevel.checkpoint()
        while self._is_absent:
            await self._returns.wait()
        if self._refuses:
            raise ConnectionRefusedError("refused, as the test wants it")
        made = _Connection(self)
        self._connections.append(made)
        self._arrived.append(made.far)
        self._arrives.give()
        return made.near

    def listener(self) -> FakeListener:
        """A listener, which takes what connects."""
        return FakeListener(self._arrived, self._arrives)

    async def listen(self) -> list[Any]:
        """What a gate listens to."""
        await anyio.lowlevel.checkpoint()
        return [self.listener()]

    # -- what went through it --------------------------------------------------------------------------------------------

    @property
    def made(self) -> int:
        """Connections that were made, ever."""
        return len(self._connections)

    @property
    def traffic(self) -> list[Traffic]:
        """What was written to each connection that was ever made, in their order."""
        return [Traffic(each.there.passed, each.back.passed) for each in self._connections]

    # -- faults ----------------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Break all connections: both sides find them broken, and what was under way is gone."""
        for each in self._connections:
            each.there.lose()
            each.back.lose()
            each.near.break_here()
            each.far.break_here()

    def cut_near(self) -> None:
        """Break the newest connection for who connected.

        The other side still has what was written, and isn't told.
        """
        self._connections[-1].near.break_here()

    def cut_far(self) -> None:
        """Break the newest connection for who listens.

        Who connected still has what was written, and isn't told.
        """
        self._connections[-1].far.break_here()

    def cut_after(self, size: int, *, back: bool = False) -> None:
        """Break the newest connection after exactly so many more bytes in one direction.

        They are written by who connected, or with `back=True` by who listens. These bytes
        arrive. Who wrote them finds it broken at once; the other side when it has read them, or
        writes.
        """
        newest = self._connections[-1]
        direction, writer = (newest.back, newest.far) if back else (newest.there, newest.near)
        direction.breaks_after = direction.passed + size
        if not size:
            writer.break_off()

    def stall(self, *, there: bool = True, back: bool = True) -> None:
        """Nothing arrives any more, on all connections that there are; nobody is told.

        there, back: In which direction. One that was stalled before stays so.
        """
        for each in self._connections:
            each.there.stalled = each.there.stalled or there
            each.back.stalled = each.back.stalled or back

    def refuse(self) -> None:
        """Nobody is connected any more, and told so."""
        self._refuses = True

    def leave(self) -> None:
        """Nobody is connected any more, nor told so."""
        self._is_absent = True

    def heal(self) -> None:
        """All of it works again, but for what was cut; what was stalled arrives."""
        self._refuses = self._is_absent = False
        self._returns.give()
        for each in self._connections:
            for direction in (each.there, each.back):
                direction.stalled = False
                direction.changed.give()
