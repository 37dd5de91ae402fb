"""A chat server over TCP: rooms come and go, and each client has an actor of its own.

A room is made when somebody joins, ends when no connection has its address any more, and crashes when somebody says CRASH.
Look for: "* lost: CRASH please", "* tea #2 goes on", and how many lines eve has missed, who reads late and holds up nobody.
"""

import re
import sys
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
from anyio.abc import Listener, SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteStream

from supervise import ActorCrashed, Address, DynamicSupervisor, MailboxClosed, MailboxFull, Supervisor, WeakAddress, current
from supervise.testing import crash_on

ROOMS, CONNECTIONS = DynamicSupervisor("rooms"), DynamicSupervisor("connections")
GONE = (anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError)


class Room:
    def __init__(self) -> None:
        last = current().last_checkpoint
        self.members: dict[str, WeakAddress[Connection]] = dict(last.value) if last else {}
        self.count, self.missed = 0, dict.fromkeys(self.members, 0)
        if last:
            self.tell_all(f"* {current().name} #{current().incarnation} goes on, and counts from 0")

    def join(self, nick: str, member: "WeakAddress[Connection]") -> None:
        self.members[nick], self.missed[nick] = member, 0
        current().checkpoint(dict(self.members))
        self.tell_all(f"* {nick} is in {current().name}")

    def say(self, nick: str, text: str) -> None:
        if text.startswith("CRASH"):
            raise RuntimeError("somebody said it")
        self.count += 1
        self.tell_all(f"{self.count} {nick}: {text}")

    def tell_all(self, text: str) -> None:  # never waits, so a slow member holds up nobody
        for nick, member in list(self.members.items()):
            missed = f"* missed: {self.missed[nick]}; " if self.missed[nick] else ""
            try:
                member.try_send(Connection.deliver, missed + text)
                self.missed[nick] = 0
            except MailboxFull:
                self.missed[nick] += 1
            except MailboxClosed:  # a connection lives once
                del self.members[nick]


class Registry:
    async def join(self, name: str, nick: str, member: "WeakAddress[Connection]") -> Address[Room]:
        rooms = current().supervisor(ROOMS)
        known = name in [info.id for info in rooms.which_children()]
        room: Address[Room] = (
            rooms.find(name) if known else await rooms.start(Room, name=name, restart="transient", lifetime="addresses")
        )
        await room.call(Room.join, nick, member)
        return room


class Connection:
    def __init__(self, stream: SocketStream, registry: Address[Registry]) -> None:
        self.stream, self.registry, self.nick = BufferedByteStream(stream), registry, ""
        self.room: Address[Room] | None = None

    async def __aenter__(self) -> "Connection":
        current().read(self.lines(), Connection.heard)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stream.aclose()

    async def lines(self) -> AsyncIterator[str]:
        with suppress(*GONE):
            while True:
                yield (await self.stream.receive_until(b"\n", 100_000)).decode()
        current().stop()

    async def heard(self, line: str) -> None:
        try:
            if self.room:
                await self.room.call(Room.say, self.nick, line)
            else:
                name, self.nick = re.findall(r"\w+", line)  # who says anything else crashes this connection alone
                self.room = await self.registry.call(Registry.join, name, self.nick, current().address)
        except ActorCrashed:
            await self.deliver(f"* lost: {line}")

    async def deliver(self, text: str) -> None:
        with suppress(*GONE):  # its lines end then, too
            await self.stream.send(f"{text}\n".encode())  # waits for a slow client


async def accept(listener: Listener[SocketStream], registry: Address[Registry]) -> None:
    connections = current().supervisor(CONNECTIONS)
    await listener.serve(lambda stream: connections.start(Connection, stream, registry, capacity=8))


async def until(end: str, client: BufferedByteStream) -> list[str]:
    """What a client reads, up to a line with this end, or until the server hangs up."""
    lines: list[str] = []
    with suppress(anyio.IncompleteRead):
        while not lines or not lines[-1].endswith(end):
            lines.append((await client.receive_until(b"\n", 100_000)).decode())
    return lines


async def main() -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)

    async def enter(room: str, nick: str) -> BufferedByteStream:
        client = BufferedByteStream(await anyio.connect_tcp("127.0.0.1", listener.extra(SocketAttribute.local_port)))
        await client.send(f"{room} {nick}\n".encode())
        await until(f"{nick} is in {room}", client)
        return client

    async with listener, Supervisor("chat", ROOMS, CONNECTIONS) as app:
        registry = await app.start(Registry, redeliver=1)
        await app.start_task(accept, listener, registry)
        ada, eve, bob = [await enter("tea", nick) for nick in ("ada", "eve", "bob")]
        await ada.send(b"hello\nCRASH please\n")
        print(heard := [await until("from 0", client) for client in (ada, eve, bob)])
        crash_on(registry, Registry.join)  # with cleo in hand, who doesn't notice
        cleo, dan = await enter("coffee", "cleo"), await enter("a/b", "dan")
        tea, coffee = [app.supervisor(ROOMS).find(room).weak for room in ("tea", "coffee")]
        while await tea.call(lambda room: room.missed["eve"]) < 10:  # she doesn't read, and in the end her sockets are full
            await ada.send(b"x" * 90_000 + b"\n")
            for client in (ada, bob):
                await until("x", client)
        lines = await until("", eve)  # now she reads, one line at a time
        while not lines[-1].endswith("bye"):
            await bob.send(b"bye\n")  # is missed, too, while she has no room
            await until("bye", bob)
            lines += await until("", eve)
        missed = sum(map(int, re.findall(r"missed: (\d+);", " ".join(lines))))
        print(f"eve has read {len(lines)} lines, and missed {missed}; her last one is {lines[-1]!r}")
        for client in (ada, eve, bob, cleo, dan):
            await client.aclose()
        print([str(await room.watch()) for room in (tea, coffee)])  # nobody has their addresses any more
        assert "* lost: CRASH please" in heard[0]
        assert heard[2] == ["1 ada: hello", "* tea #2 goes on, and counts from 0"]
        assert len(lines) + missed == int(lines[-1].split()[-3])  # the room has numbered them


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
