"""Connections that exist in this process alone, with latency, cuts and silence: for tests of links, in virtual time.

Theory of operation
-------------------
- A connection is two pipes, one for each direction. What is written arrives after the latency, in order; a pipe holds a bounded
  number of bytes, and then whoever writes waits.
- Faults come by hand. A cut breaks both ends, and what was under way is gone. A stall is a half-open connection: nothing
  arrives any more, nobody is told, and who writes fills the buffer first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import anyio
from anyio.abc import ByteStream

BUFFER: Final = 65536


class _Pipe:
    """One direction."""

    def __init__(self, network: FakeNetwork) -> None:
        self._network = network
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._changed = anyio.Event()
        self.ended: bool = False  # nothing is written any more
        self.broken: bool = False
        self.stalled: bool = False
        self.deaf: bool = False  # who writes finds it broken, who reads doesn't
        self.passed: int = 0
        """Bytes that were written, ever."""
        self.breaks_after: int | None = None

    def change(self) -> None:
        """Whoever waits looks again."""
        self._changed.set()
        self._changed = anyio.Event()

    async def write(self, data: bytes, still_open: Callable[[], bool]) -> None:
        await anyio.lowlevel.checkpoint()
        while data:
            if self.broken or self.ended or self.deaf:
                raise anyio.BrokenResourceError
            if not still_open():
                raise anyio.ClosedResourceError
            room = self._network.buffer - self._size
            if self.breaks_after is not None:
                room = min(room, self.breaks_after - self.passed)
                if room <= 0:
                    self._network.cut()
                    continue
            if room <= 0:
                await self._changed.wait()
                continue
            part, data = data[:room], data[room:]
            self._under_way.append((anyio.current_time() + self._network.latency, part))
            self._size += len(part)
            self.passed += len(part)
            self.change()

    async def read(self, most: int, still_open: Callable[[], bool]) -> bytes:
        await anyio.lowlevel.checkpoint()
        while True:
            if not still_open():
                raise anyio.ClosedResourceError
            if self.broken:
                raise anyio.BrokenResourceError
            if not self.stalled and self._under_way:
                due, part = self._under_way[0]
                wait = due - anyio.current_time()
                if wait <= 0:
                    data, rest = part[:most], part[most:]
                    if rest:
                        self._under_way[0] = due, rest
                    else:
                        self._under_way.popleft()
                    self._size -= len(data)
                    self.change()
                    return data
                with anyio.move_on_after(wait):
                    await self._changed.wait()
                continue
            if self.ended and not self.stalled:
                raise anyio.EndOfStream
            await self._changed.wait()

    def cut(self) -> None:
        self.broken = True
        self._under_way.clear()
        self._size = 0
        self.change()


class FakeStream(ByteStream):
    """One end of a connection."""

    def __init__(self, reads: _Pipe, writes: _Pipe) -> None:
        self._reads = reads
        self._writes = writes
        self._open = True
        self._reading = False

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Bytes that have arrived. Raises as any anyio stream does."""
        if self._reading:
            raise anyio.BusyResourceError("reading from")
        self._reading = True
        try:
            return await self._reads.read(max_bytes, lambda: self._open)
        finally:
            self._reading = False

    async def send(self, item: bytes) -> None:
        """Write; it waits while the buffer is full."""
        await self._writes.write(item, lambda: self._open)

    async def send_eof(self) -> None:
        """Write no more."""
        self._writes.ended = True
        self._writes.change()

    async def aclose(self) -> None:
        """The other side finds the end of the stream, once it has read all; who still writes finds it broken."""
        self._open = False
        self._writes.ended = True
        self._writes.change()
        self._reads.ended = True
        self._reads.change()
        await anyio.lowlevel.checkpoint()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """There are none."""
        return {}


class _Listener:
    """Where the other side takes connections."""

    def __init__(self, network: FakeNetwork) -> None:
        self._network = network

    async def accept(self) -> ByteStream:
        return await self._network._accept()

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()

    def extra(self, attribute: Any, default: Any = None) -> Any:
        return "fake"


class FakeNetwork:
    """Connections between two sides of one process, which break when the test says so.

    `connect` is what a link takes instead of an address, and `listen` what a gate does.

    latency: Seconds that bytes take in one direction.
    buffer: Bytes that one direction holds, before who writes has to wait.
    """

    def __init__(self, *, latency: float = 0.0, buffer: int = BUFFER) -> None:
        self.latency: float = latency
        self.buffer: int = buffer
        self.made: int = 0
        """Connections that were made, ever."""
        self._pipes: list[_Pipe] = []
        self._arrived: deque[FakeStream] = deque()
        self._arrives = anyio.Event()
        self._refuses = False
        self._absent: anyio.Event | None = None

    async def connect(self) -> ByteStream:
        """A connection. Raises `ConnectionRefusedError` after `refuse()`; waits for ever after `leave()`."""
        await anyio.lowlevel.checkpoint()
        while self._absent is not None:
            await self._absent.wait()
        if self._refuses:
            raise ConnectionRefusedError("refused, as the test wants it")
        there, back = _Pipe(self), _Pipe(self)
        self._pipes += [there, back]
        self.made += 1
        self._arrived.append(FakeStream(there, back))
        self._arrives.set()
        return FakeStream(back, there)

    async def listen(self) -> list[Any]:
        """What a gate listens to."""
        await anyio.lowlevel.checkpoint()
        return [_Listener(self)]

    async def _accept(self) -> ByteStream:
        while not self._arrived:
            self._arrives = anyio.Event()
            await self._arrives.wait()
        return self._arrived.popleft()

    # -- faults ----------------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Break all connections: both sides find them broken, and what was under way is gone."""
        pipes, self._pipes = self._pipes, []
        for pipe in pipes:
            pipe.cut()

    def cut_near(self) -> None:
        """Break the newest connection for who connected: the other side still has what was written, and isn't told."""
        there, back = self._pipes[-2:]
        back.cut()
        there.deaf = True

    def cut_after(self, size: int, *, back: bool = False) -> None:
        """Break the newest connection when so many more bytes were written to it: by who connected, or back."""
        pipe = self._pipes[-1 if back else -2]
        pipe.breaks_after = pipe.passed + size

    def stall(self, *, there: bool = True, back: bool = True) -> None:
        """Nothing arrives any more, on all connections that there are: half-open ones, of which nobody is told."""
        for number, pipe in enumerate(self._pipes):
            pipe.stalled = pipe.stalled or (there if number % 2 == 0 else back)

    def heal(self) -> None:
        """All of it works again; what was stalled arrives."""
        self._refuses = False
        if self._absent is not None:
            self._absent.set()
            self._absent = None
        for pipe in self._pipes:
            pipe.stalled = False
            pipe.change()

    def refuse(self) -> None:
        """Nobody is connected any more, and told so."""
        self._refuses = True

    def leave(self) -> None:
        """Nobody is connected any more, nor told so."""
        self._absent = anyio.Event()

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes that were written to the newest connection: by who connected, and back."""
        return (self._pipes[-2].passed, self._pipes[-1].passed) if self._pipes else (0, 0)
