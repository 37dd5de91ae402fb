"""A proxy, over TCP or unix sockets, that does harm: it resets, is silent in one or both directions, delays, cuts at a byte.

Theory of operation
-------------------
- A connection that comes in is a `Pair` with one that goes out. Each direction is a `Way`: one task reads into a bounded queue,
  another one writes out of it. So either end may be gone while bytes for the other one are still under way.
- What is held back stays in the queue, and can be let through later: also when whoever sent it has long made a new connection.
- Over a unix socket there is no RST: what is closed abruptly is just closed.
- The end of one side is passed on once all that came before it was. Only a reset overtakes.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import Listener, SocketAttribute, SocketStream, TaskStatus

CHUNK: Final = 65536
ROOM: Final = 1 << 20
"""Bytes that wait in one direction. Then it isn't read any more."""
_GONE: Final = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, OSError)


class Way:
    """One direction of a connection."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.held = False
        self.end_held = False
        """What came before the end gets through, and the end doesn't."""
        self.cuts_after: int | None = None
        """So many bytes still get through; then `cut` is called."""
        self.cut: Callable[[], object] = lambda: None
        self.waits = 0
        """Bytes in the queue."""
        self._queue: deque[bytes] = deque()
        self._ended = False
        self._lost = False  # nobody is there to bring it to
        self._changed = anyio.Event()

    def change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def hold(self) -> None:
        """Nothing arrives any more, and nobody is told."""
        self.held = True

    def release(self, *, end: bool = True) -> None:
        """All that was held back gets through, with the end or without it."""
        self.held, self.end_held = False, not end
        self.change()

    async def read(self, source: SocketStream) -> None:
        """Until its end, whatever that is."""
        try:
            while True:
                data = await source.receive(CHUNK)
                if self._lost:
                    continue
                self._queue.append(data)
                self.waits += len(data)
                self.change()
                while self.waits >= ROOM and not self._lost:
                    await self._changed.wait()
        except _GONE:
            pass
        finally:
            self._ended = True
            self.change()

    async def write(self, sink: SocketStream) -> None:
        """Until all is through that came before the end; it is closed then. Or until nobody is there any more."""
        try:
            while self._queue or self.held or self.end_held or not self._ended:
                if self.held or not self._queue:
                    await self._changed.wait()
                    continue
                if self.delay:
                    await anyio.sleep(self.delay)
                    if self.held:
                        continue
                data = self._queue.popleft()
                self.waits -= len(data)
                if self.cuts_after is not None:
                    data = data[: self.cuts_after]
                    self.cuts_after -= len(data)
                if data:
                    await sink.send(data)
                self.change()
                if self.cuts_after == 0:
                    self.cut()
            await sink.aclose()
        except _GONE:
            pass
        finally:
            self._lost = True
            self._queue.clear()
            self.waits = 0
            self.change()


class Pair:
    """One connection through the proxy: `near` has dialed it, and it has dialed `far`."""

    def __init__(self, near: SocketStream, far: SocketStream, delay: float) -> None:
        self.near = near
        self.far = far
        self.there = Way(delay)
        self.back = Way(delay)
        self.was_cut = False
        self._all = anyio.CancelScope()
        self._of_near = anyio.CancelScope()

    async def run(self) -> None:
        """Until both sides are gone."""
        try:
            with self._all:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._with_near)
                    group.start_soon(self.back.read, self.far)
                    group.start_soon(self.there.write, self.far)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(self.near)
                await anyio.aclose_forcefully(self.far)

    async def _with_near(self) -> None:
        try:
            with self._of_near:
                async with anyio.create_task_group() as group:
                    group.start_soon(self.there.read, self.near)
                    group.start_soon(self.back.write, self.near)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(self.near)

    def reset(self) -> None:
        """RST to both sides; what is under way is gone."""
        lingers_not(self.near)
        lingers_not(self.far)
        self._all.cancel()

    def reset_near(self) -> None:
        """RST to who has dialed. What came from there still goes on to the other side, when it is let through."""
        lingers_not(self.near)
        self._of_near.cancel()

    def release(self) -> None:
        """Nothing is held back any more."""
        self.there.release()
        self.back.release()

    def cut_after(self, size: int, *, back: bool) -> None:
        way = self.back if back else self.there

        def cut() -> None:
            self.was_cut = True
            self.reset()

        way.cuts_after, way.cut = size, cut
        if size == 0:
            cut()


def lingers_not(stream: SocketStream) -> None:
    """When it is closed, that is a RST."""
    raw: socket.socket = stream.extra(SocketAttribute.raw_socket)
    with suppress(OSError):  # it is gone already
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Proxy:
    """It listens on a port of its own for as long as it runs, and goes wherever `to` says.

    `folder`: instead it listens on `proxy.sock` there, and goes to `shop.sock`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.port = 0
        self._folder = folder
        self.to = 0
        """The port of the other side."""
        self.delay = 0.0
        """Of new connections, for each chunk, in either direction."""
        self.pairs: list[Pair] = []
        self.refused = 0
        """Connections for which the other side wasn't there."""
        self.made = 0
        self.on_made: Callable[[Pair], object] = lambda _: None
        self._scope = anyio.CancelScope()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Until it is stopped. It has begun when it listens."""
        listener: Listener[SocketStream]
        if self._folder is None:
            listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
            self.port = listener.extra(SocketAttribute.local_port)
        else:
            listener = await anyio.create_unix_listener(self._folder / "proxy.sock")
        async with listener:
            task_status.started()
            with self._scope:
                await listener.serve(self._serve)

    async def stop(self) -> None:
        """With all connections."""
        self._scope.cancel()

    @property
    def pair(self) -> Pair | None:
        """The newest connection."""
        return self.pairs[-1] if self.pairs else None

    async def _far(self) -> SocketStream:
        if self._folder is None:
            return await anyio.connect_tcp("127.0.0.1", self.to)
        return await anyio.connect_unix(self._folder / "shop.sock")

    async def _serve(self, near: SocketStream) -> None:
        try:
            far = await self._far()
        except OSError:
            self.refused += 1
            lingers_not(near)
            await anyio.aclose_forcefully(near)
            return
        for stream in (near, far) if self._folder is None else ():
            stream.extra(SocketAttribute.raw_socket).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = Pair(near, far, self.delay)
        self.pairs.append(pair)
        self.made += 1
        self.on_made(pair)
        try:
            await pair.run()
        finally:
            self.pairs.remove(pair)
