"""One stream of bytes as frames in both directions, with all limits of time and size; it knows nothing of what they say.

Theory of operation
-------------------
- Only the writer's task writes, so whoever is cancelled elsewhere can't cut a frame in two. What is urgent (replies, errors,
  credit, control) goes out before calls and sends, at most one chunk later.
- Nothing is timed by a scope of its own: a scope for each read and write would cost a call a tenth. One timer looks in, a few
  times within the shortest limit, at four instants: the last byte that came, the frame that has begun to come, the write
  that is under way, and the PING that waits for its answer. So each of them is seen before its limit is over, and the timer
  comes just then.
- What ends it is told once, by the first who sees it. After that it is closed, and what is put into it is dropped.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import anyio
from anyio.abc import ByteStream

from supervise._backends import give
from supervise.errors import ConnectionLost, ProtocolError
from supervise.wire.frames import Frame, FrameReader, encode
from supervise.wire.kinds import Kind
from supervise_strategies.exception import cause_of, context_of

if TYPE_CHECKING:
    from supervise._backends import Backend, Future, Handle

    from .limits import Limits

CHUNK: Final = 65536  # bytes that are read, or written, at once; to ask the socket for what is missing is 20 times as slow
BATCH: Final = 64  # frames between two turns of the loop
_CONTROL: Final = 1 << 20  # bytes of what is urgent, and no answer
_LOOKS: Final = 5  # within the shortest limit of time
_EARLY: Final = 1e-6  # seconds by which a loop may call before the time: asyncio does by what its clock can't tell apart


class Connection:
    """Frames over one stream, between a greeting that is over and the end."""

    def __init__(
        self, stream: ByteStream, reader: FrameReader, limits: Limits, backend: Backend, broken: Callable[[Exception], object]
    ) -> None:
        self._stream = stream
        self._reader = reader
        self._limits = limits
        self._backend = backend
        self._broken = broken
        self._urgent: deque[bytes] = deque()
        self._ordinary: deque[bytes] = deque()
        self._waiting = 0  # bytes of what is ordinary
        self._waiting_urgent = 0
        # An answer for each call that may be open, and some control: who reads none of it, and asks for more, cheats.
        self._most_urgent = limits.calls * limits.depth * limits.frame + _CONTROL
        self._something: Future | None = None  # the writer waits for it
        # Several may wait for each of these, and one that is cancelled takes none of the others along.
        self._room: anyio.Event | None = None  # for those who have more to write
        self._done: anyio.Event | None = None  # for those who wait until all is written
        self._timer: Handle | None = None
        now = backend.now()
        self._heard = now
        self._frame_begun: float | None = None
        self._write_begun: float | None = None
        self._pinged: float | None = None
        self._pings = 0
        self.closed: bool = False
        self.received: int = 0  # bytes
        self.sent: int = 0
        self._look()

    # -- out -----------------------------------------------------------------------------------------------------------

    def put(self, frame: Frame, *, urgent: bool) -> None:
        """Have it written, soon."""
        if self.closed:
            return
        data = encode(frame)
        if urgent:
            self._urgent.append(data)
            self._waiting_urgent += len(data)
        else:
            self._ordinary.append(data)
            self._waiting += len(data)
        if self._something is not None:
            give(self._something, None)
            self._something = None

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be written that who has more has to wait for `room`."""
        return self._waiting >= self._limits.out_bytes and not self.closed

    async def room(self) -> None:
        """Wait until the buffer isn't full any more, or the connection is over."""
        while self.is_full:
            self._room = self._room or anyio.Event()
            await self._room.wait()

    async def written(self) -> None:
        """Wait until all is written that was put, or the connection is over."""
        while not self.closed and (self._urgent or self._ordinary or self._write_begun is not None):
            self._done = self._done or anyio.Event()
            await self._done.wait()

    async def write(self) -> None:
        """The writer's task: until it is cancelled. Raises ConnectionLost."""
        while True:
            if not self._urgent and not self._ordinary:
                self._all_is_written()
                self._something = self._backend.future()
                await self._something
                continue
            data = self._next()
            self._write_begun = self._backend.now()
            try:
                await self._stream.send(data)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
                raise ConnectionLost(f"the connection broke while it was written to{_said(error)}") from None
            self._write_begun = None
            self.sent += len(data)
            if not self.is_full:
                self._there_is_room()

    def _there_is_room(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None

    def _all_is_written(self) -> None:
        if self._done is not None:
            self._done.set()
            self._done = None

    def _next(self) -> bytes:
        """As much as fits in a chunk, one frame at least, and what is urgent first."""
        first = self._urgent or self._ordinary
        if len(first) == 1 and (first is self._ordinary or not self._ordinary):
            data = first.popleft()
            self._left(first, len(data))
            return data
        parts: list[bytes] = []
        size = 0
        for queue in (self._urgent, self._ordinary):
            while queue and (not parts or size + len(queue[0]) <= CHUNK):
                data = queue.popleft()
                size += len(data)
                parts.append(data)
                self._left(queue, len(data))
        return b"".join(parts)

    def _left(self, queue: deque[bytes], size: int) -> None:
        if queue is self._ordinary:
            self._waiting -= size
        else:
            self._waiting_urgent -= size

    # -- in ------------------------------------------------------------------------------------------------------------

    async def read(self, take: Callable[[Frame], Awaitable[None] | None], after: Callable[[], object]) -> None:
        """The reader's task: hand over each frame, and say when a chunk is done. Ends by an exception, or when it is closed.

        ConnectionLost at the end of the stream, ProtocolError for bytes that break a rule, and what `take` raises.
        """
        count = 0
        data = b""
        while True:
            whole = False
            for frame in self._reader.feed(data):
                if self.closed:
                    return
                if self._waiting_urgent > self._most_urgent:
                    raise ProtocolError("credit", "the other side doesn't read its answers, and asks for more")
                whole = True
                waits = take(frame)
                if waits is not None:
                    await waits
                count += 1
                if count >= BATCH:
                    count = 0
                    after()
                    await self._backend.checkpoint()
            after()
            if not self._reader.partial:
                self._frame_begun = None
            elif whole or self._frame_begun is None:
                self._frame_begun = self._backend.now()
            try:
                data = await self._stream.receive(CHUNK)
            except anyio.EndOfStream:
                raise ConnectionLost("the other side has closed the connection without a word") from None
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
                raise ConnectionLost(f"the connection broke{_said(error)}") from None
            self._heard = self._backend.now()
            self._pinged = None
            self.received += len(data)

    # -- time ----------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Whether any limit of time is over; what is, ends the connection."""
        if self.closed:
            return
        now, limits = self._backend.now(), self._limits
        frame_ends = math.inf if self._frame_begun is None else self._frame_begun + limits.whole_frame
        write_ends = math.inf if self._write_begun is None else self._write_begun + limits.write
        silence_ends = self._heard + limits.idle if self._pinged is None else self._pinged + limits.pong
        late: str | None = None
        due = now + _EARLY
        if due >= frame_ends:
            late = f"a frame took longer than {limits.whole_frame:g} s to come"
        elif due >= write_ends:
            late = f"the other side hasn't read for {limits.write:g} s"
        elif due >= silence_ends and self._pinged is not None:
            late = f"the other side is silent: nothing came for {now - self._heard:.3g} s, a PING included"
        elif due >= silence_ends:
            self._pinged = now
            silence_ends = now + limits.pong
            self._pings += 1
            self.put(Frame(Kind.PING, self._pings), urgent=True)
        if late is not None:
            self._broken(ConnectionLost(late))
            return
        shortest = min(limits.whole_frame, limits.write, limits.pong, limits.idle)
        at = min(now + shortest / _LOOKS, frame_ends, write_ends, silence_ends)
        self._timer = self._backend.call_at(at, self._look)

    # -- the end -------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Nothing is written or timed any more, and nobody waits for room."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._there_is_room()
        self._all_is_written()
        self._urgent.clear()
        self._ordinary.clear()


def _said(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and str(cause):
            return f": {cause}"
        cause = cause_of(cause) or context_of(cause)
    return ""
