"""A router over TCP: it gives each client an id, and carries bytes from client to client. Which parts are actors, and why.

On connect the server sends 4 bytes: the client's id, big-endian. A client sends the 4 bytes of its peer's id and then bytes up
to and including a NUL, at most LONGEST of them. The peer gets those bytes without the id, and with the NUL: it has to tell one
message from the next, and a NUL can't be in the middle of one.

    router                  rest_for_one: ids mean something to one router only, so who connected to it ends with it
      router                who is there; no message passes through it, so no slow client can hold it up
      clients               dynamic: one temporary writer a client, with an admission limit
      listener              accepts, and hands each stream to a new writer

Look for: the mailbox of a writer is the client's outbox. It is bounded; when it is full, whoever sends to that client waits,
which is the task that reads from the sender's socket; so it reads no more, and TCP holds up the sender itself. Nobody else
waits. A client that misbehaves, or whose writer crashes, is closed, with a logged reason, and the router is told by the
writer's exit hook. Who still sends to it isn't to blame: that message is dropped. An id that was never given is a mistake.

What it doesn't do: a client that never reads holds up those who write to it for ever, also for their other peers; and whoever
hangs up while it is held up is only noticed afterwards.

    python examples/router.py                   three clients talk for a moment
    supervise run examples.router:TREE          serves on port 7778, until SIGTERM
"""

import logging
import math
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, NamedTuple, Self

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.buffered import BufferedByteReceiveStream

from supervise import (
    Address,
    ChildStartFailed,
    DynamicSupervisor,
    SendError,
    Supervisor,
    TooManyChildren,
    WeakAddress,
    child,
    current,
)

logger: Final = logging.getLogger("router")

ID: Final = 4  # bytes
LONGEST: Final = 65536  # bytes of one message, the NUL among them
OUTBOX: Final = 16  # messages: with LONGEST, what one client can cost the server


# -- the protocol: no sockets, no actors -----------------------------------------------------------------------------


class BadInput(Exception):
    """What a client sent makes no sense; the text is the logged reason."""


class Message(NamedTuple):
    """What is to be forwarded, and to whom. The body ends in its only NUL."""

    peer: int
    body: bytes


def take_message(buffer: bytearray, longest: int = LONGEST) -> Message | None:
    """Take one message out of the front of the buffer. None: there is no whole one yet, and the buffer is as it was.

    BadInput as soon as it is certain that the message is too long, however the bytes arrived; the buffer is as it was, too.
    """
    end = buffer.find(0, ID, ID + longest)  # not from the start: most ids have a NUL in them
    if end < 0:
        if len(buffer) >= ID + longest:
            raise BadInput(f"a message of more than {longest} bytes")
        return None
    message = Message(int.from_bytes(buffer[:ID], "big"), bytes(buffer[ID : end + 1]))
    del buffer[: end + 1]
    return message


# -- the actors ------------------------------------------------------------------------------------------------------


class Router:
    """Knows the writers by id. The addresses are weak, and stay harmless if a writer goes without a word."""

    def __init__(self) -> None:
        self._last = 0
        self._writers: dict[int, WeakAddress[Writer]] = {}

    def admit(self, writer: WeakAddress["Writer"]) -> int:
        """A new client. Its id is the first thing in its outbox, before anybody can be told of it."""
        self._last += 1
        writer.try_send(Writer.write, self._last.to_bytes(ID, "big"))
        self._writers[self._last] = writer
        return self._last

    def leave(self, id: int) -> None:
        self._writers.pop(id, None)

    def find(self, id: int) -> WeakAddress["Writer"] | None:
        """The writer of a client; None if there was one. BadInput, which is expected of this actor, if there never was."""
        if not 0 < id <= self._last:
            raise BadInput(f"nobody ever had the id {id}")
        return self._writers.get(id)


class Writer:
    """One client. Its own turn writes what is in its mailbox; a task of its nursery reads, and fills those of others."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._ended = False

    async def __aenter__(self) -> Self:
        me = current()
        self._router: Address[Router] = me.find(ROUTER)
        try:
            self._id = await self._router.call(Router.admit, me.address)
        except BaseException:  # there will be no exit hook
            await anyio.aclose_forcefully(self._stream)
            raise
        me.nursery.start_soon(self._read)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            if isinstance(error, Exception):
                logger.error("client #%d is closed: its writer crashed: %r", self._id, error)
            elif not self._ended:
                logger.info("client #%d is closed: its writer was stopped", self._id)
            self._router.try_send(Router.leave, self._id)  # awaits nothing, so it is said even by a writer that is killed
        finally:
            await anyio.aclose_forcefully(self._stream)

    async def write(self, data: bytes) -> None:
        """Hand bytes to the client. One that doesn't read holds up this, then its outbox, then those who write to it."""
        try:
            await self._stream.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._end("the connection is lost")

    async def _read(self) -> None:
        buffer = bytearray()
        try:
            while True:
                while (message := take_message(buffer)) is not None:
                    await self._forward(message)
                buffer += await self._stream.receive()
        except anyio.EndOfStream:
            await self._end("it left in the middle of a message" if buffer else "it left")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._end("the connection is lost")
        except BadInput as error:
            await self._end(str(error), logging.WARNING)

    async def _forward(self, message: Message) -> None:
        writer = await self._router.call(Router.find, message.peer)
        if writer is not None:
            try:
                await writer.send(Writer.write, message.body)  # waits while that outbox is full; nothing is read meanwhile
                return
            except SendError:  # it left since, or while this waited
                pass
        logger.info("client #%d: a message is dropped, since client #%d has left", self._id, message.peer)

    async def _end(self, why: str, level: int = logging.INFO) -> None:
        if self._ended:
            return  # the other one of reading and writing came first
        self._ended = True
        logger.log(level, "client #%d is closed: %s", self._id, why)
        # A stop lets the message in hand finish, and the write of one to a client that doesn't read never does: so close first.
        await anyio.aclose_forcefully(self._stream)
        current().stop(shutdown=why)


class Listener:
    """Accepts clients, as many as there is room for."""

    def __init__(self, port: int) -> None:
        self._wanted = port

    async def __aenter__(self) -> Self:
        multi = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=self._wanted)
        self._listener = multi.listeners[0]
        current().nursery.start_soon(self._listener.serve, self._admit)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        await self._listener.aclose()

    def port(self) -> int:
        """Where it listens."""
        return self._listener.extra(SocketAttribute.local_port)

    async def _admit(self, stream: ByteStream) -> None:
        try:
            await current().supervisor(CLIENTS).start(Writer, stream, capacity=OUTBOX, stop_within=1.0)
        except (TooManyChildren, ChildStartFailed) as error:
            logger.warning("client #0 is turned away: %s", error)
            await anyio.aclose_forcefully(stream)


# A client has at most one question and one goodbye in the router's mailbox, so CLIENTS bounds that one, too.
ROUTER: Final = child(Router, expects=(BadInput,), capacity=math.inf)
CLIENTS: Final = DynamicSupervisor("clients", max_children=1000)


def tree(port: int = 0) -> Supervisor:
    """The whole server; port 0: any that is free."""
    return Supervisor("router", ROUTER, CLIENTS, child(Listener, port), strategy="rest_for_one")


TREE: Final = tree(7778)


# -- a conversation --------------------------------------------------------------------------------------------------


class Client:
    """The other end: knows its id, sends to another, and hears whole messages."""

    def __init__(self, stream: ByteStream, id: int) -> None:
        self.id = id
        self._stream = stream
        self._incoming = BufferedByteReceiveStream(stream)

    @classmethod
    @asynccontextmanager
    async def connect(cls, port: int) -> AsyncGenerator[Self]:
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            client = cls(stream, 0)
            client.id = int.from_bytes(await client._incoming.receive_exactly(ID), "big")
            yield client

    async def send(self, peer: int, text: str) -> None:
        await self._stream.send(peer.to_bytes(ID, "big") + text.encode() + b"\0")

    async def hear(self) -> str | None:
        """The next message; None if the server closed the connection instead."""
        try:
            return (await self._incoming.receive_until(b"\0", LONGEST)).decode()
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
            return None


async def main() -> None:
    async with tree() as app:
        port = await app.find("listener").call(Listener.port)
        async with Client.connect(port) as ann, Client.connect(port) as bob, Client.connect(port) as eve:
            await ann.send(bob.id, "hello")
            await bob.send(ann.id, f"you said {await bob.hear()!r}")
            print(f"client #{ann.id} heard: {await ann.hear()}")
            await eve.send(99, "is anybody there?")
            print(f"client #{eve.id} was closed: {await eve.hear() is None}")
            await ann.send(eve.id, "are you still there?")  # nobody is; that isn't ann's fault
            await ann.send(bob.id, "and you?")
            last = await bob.hear()
            print(f"client #{bob.id} heard: {last}")
            assert last == "and you?"


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
