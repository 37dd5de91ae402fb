"""A chat server over TCP, as the tree registry -> room -> connection. What to look for: nobody here handles a crash.

    chat                    rest_for_one: whoever is started later depends on what was started before
      registry              who is a member of which room; outlives every room
      rooms                 dynamic: one permanent child a room, started when it is first joined
      connections           dynamic: one temporary child a client, with an admission limit
      listener              accepts, and hands each stream to a new connection

The protocol is lines of UTF-8 text, at most 512 bytes long:

    NICK name   ->  OK                      before anything else
    JOIN room   ->  OK id                   the id under which the room knows the member
    SAY text    ->  (nick) text             to every member of the room, the speaker included
    QUIT        ->                          the connection is closed

- A room that crashes comes back on the same address: the lines that waited are broadcast by the fresh room, and its members
  are members still, since it asks the registry for them when it starts.
- A slow client doesn't hold up a room: its outbox is its own bounded mailbox, and a line that finds it full is left out.
- Bad input closes that client, with a logged reason, and touches nobody else.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, NamedTuple

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.buffered import BufferedByteReceiveStream

from supervise import (
    ActorCrashed,
    Address,
    ChildAlreadyStarted,
    DynamicSupervisor,
    Intensity,
    MailboxClosed,
    MailboxFull,
    Supervisor,
    TooManyChildren,
    WeakAddress,
    child,
    current,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from supervise import Child
    from supervise.events import Event

logger: logging.Logger = logging.getLogger("chat")

LONGEST_LINE = 512
OUTBOX = 64
NAME = re.compile(r"[A-Za-z0-9_-]{1,20}")


class BadInput(Exception):
    """What a client sent can't be understood; its text is the logged reason."""


class Member(NamedTuple):
    """One client in one room. The address is weak: membership keeps no connection alive."""

    id: int
    nick: str
    connection: WeakAddress[Connection]


class Registry:
    """Knows the members of all rooms, so that a room may crash and forget them."""

    def __init__(self) -> None:
        self._rooms: dict[str, dict[int, Member]] = {}
        self._ids = 0

    def enrol(self, room: str, nick: str, connection: WeakAddress[Connection]) -> Member:
        """Make a member; asked again for the same connection, as after a crash in between, give the same answer."""
        members = self._rooms.setdefault(room, {})
        for member in members.values():
            if member.connection == connection:
                return member
        self._ids += 1
        members[self._ids] = member = Member(self._ids, nick, connection)
        return member

    def leave(self, connection: WeakAddress[Connection]) -> list[tuple[str, int]]:
        """Forget a connection in all its rooms; answer which these were."""
        left: list[tuple[str, int]] = []
        for room, members in self._rooms.items():
            for member in [m for m in members.values() if m.connection == connection]:
                del members[member.id]
                left.append((room, member.id))
        return left

    def members(self, room: str) -> list[Member]:
        """All members of a room, in the order in which they came."""
        return list(self._rooms.get(room, {}).values())


class Room:
    """Broadcasts. Its list of members is a copy of the registry's, made anew whenever it is started."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.members: dict[int, Member] = {}
        self.left_out: int = 0

    async def __aenter__(self) -> Room:
        self.registry: Address[Registry] = current().find(REGISTRY)
        self.members = {m.id: m for m in await self.registry.call(Registry.members, self.name)}
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.members.clear()

    async def join(self, nick: str, connection: WeakAddress[Connection]) -> int:
        """The new member's id."""
        member = await self.registry.call(Registry.enrol, self.name, nick, connection)
        self.members[member.id] = member
        return member.id

    def leave(self, id: int) -> None:
        self.members.pop(id, None)

    def say(self, id: int, text: str) -> None:
        """Hand a line to every member's outbox, without waiting for anybody."""
        speaker = self.members.get(id)
        if speaker is None:
            return
        if text == "poison":
            raise ValueError(f"{speaker.nick} said poison")  # a bug, for the demonstration: this line crashes the room
        for member in [*self.members.values()]:
            try:
                member.connection.try_send(Connection.deliver, f"({speaker.nick}) {text}")
            except MailboxFull:
                self.left_out += 1
                logger.warning("%s: %s is too slow, a line is left out", self.name, member.nick)
            except MailboxClosed:
                self.leave(member.id)  # it is gone, and its own goodbye is still under way


class Connection:
    """One client: a task of the nursery reads, the actor's own turn writes."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._nick = ""
        self._rooms: dict[str, tuple[Address[Room], int]] = {}
        self._here = ""

    async def __aenter__(self) -> Connection:
        current().nursery.start_soon(self._read)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        me, registry, rooms = current().address, current().find(REGISTRY), current().supervisor(ROOMS)
        try:
            for name, id in await registry.call(Registry.leave, me):
                await rooms.find(name).send(Room.leave, id)
        finally:
            await anyio.aclose_forcefully(self._stream)

    async def deliver(self, line: str) -> None:
        """Write one line. A client that doesn't read holds up this, and so its own outbox, and nothing else."""
        try:
            await self._stream.send(line.encode() + b"\n")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            current().stop(shutdown="the client is gone")

    async def _read(self) -> None:
        me = current()
        lines = BufferedByteReceiveStream(self._stream)
        try:
            while True:
                raw = await lines.receive_until(b"\n", LONGEST_LINE)
                if len(raw) > LONGEST_LINE:  # it came in one piece
                    raise anyio.DelimiterNotFound(LONGEST_LINE)
                answer = await self._obey(raw.decode().rstrip("\r"))
                if answer is None:
                    me.stop()
                    return
                if answer:
                    await me.address.send(Connection.deliver, answer)
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
            me.stop(shutdown="the client is gone")
        except (BadInput, UnicodeDecodeError, anyio.DelimiterNotFound, MailboxFull) as error:
            reason = f"a line of more than {LONGEST_LINE} bytes" if isinstance(error, anyio.DelimiterNotFound) else str(error)
            logger.warning("%s (%s) is closed: %s", me.name, self._nick or "no nick yet", reason)
            me.stop(shutdown=f"bad input: {reason}")

    async def _obey(self, line: str) -> str | None:
        """The answer to one line; empty for none, None to close."""
        command, _, rest = line.partition(" ")
        if command == "QUIT":
            return None
        if command == "NICK":
            self._nick = _name(rest)
            return "OK"
        if not self._nick:
            raise BadInput(f"{command[:20]!r} came before NICK")
        if command == "JOIN":
            return await self._join(_name(rest))
        if command == "SAY":
            if not self._here:
                raise BadInput("SAY came before JOIN")
            room, id = self._rooms[self._here]
            await room.send(Room.say, id, rest)
            return ""
        raise BadInput(f"unknown command {command[:20]!r}")

    async def _join(self, name: str) -> str:
        rooms = current().supervisor(ROOMS)
        try:
            room = await rooms.start(Room, name, name=name, restart="permanent", stop_within=0.2)
        except ChildAlreadyStarted:
            room = rooms.find(name)
        try:
            id = await room.call(Room.join, self._nick, current().address)
        except ActorCrashed:
            return "ERR the room crashed: join again"
        self._rooms[name] = (room, id)
        self._here = name
        return f"OK {id}"


class Listener:
    """Accepts clients, as many as there is room for."""

    def __init__(self, port: int) -> None:
        self._wanted = port

    async def __aenter__(self) -> Listener:
        multi = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=self._wanted)
        self._listener = multi.listeners[0]
        current().nursery.start_soon(self._listener.serve, self._admit)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        await self._listener.aclose()

    def port(self) -> int:
        """Where it listens; another one after a crash, if it was told to choose."""
        return self._listener.extra(SocketAttribute.local_port)

    async def _admit(self, stream: ByteStream) -> None:
        try:
            await current().supervisor(CONNECTIONS).start(Connection, stream, name=None, capacity=OUTBOX, overflow="reject")
        except TooManyChildren:
            logger.warning("a client is turned away: %d are connected", CONNECTIONS.spec.max_children)
            await stream.send(b"ERR full\n")
            await stream.aclose()


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise BadInput(f"{text[:20]!r} is no name: 1 to 20 letters, digits, - or _")
    return text


REGISTRY: Child[Registry] = child(Registry, name="registry")
ROOMS = DynamicSupervisor("rooms", intensity=Intensity(20, per=5.0))
CONNECTIONS = DynamicSupervisor("connections", max_children=100)


def tree(port: int = 0, listener: Callable[[Event], object] | None = None) -> Supervisor:
    """The whole server; port 0: any that is free."""
    accepting = child(Listener, port, name="listener")
    return Supervisor("chat", REGISTRY, ROOMS, CONNECTIONS, accepting, strategy="rest_for_one", listener=listener)


TREE = tree(7777)
