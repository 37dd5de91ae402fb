"""The chat of chat.py in two processes: rooms in one, connections in another, over TLS with certificates on both sides.

Look for: the rooms' process is killed (SIGKILL), and no client is disconnected. Its supervisor starts it anew, the link comes
back by itself, and so do the subscriptions. What the rooms knew is gone, and a line that was on its way may be: its sender is
told so, and nobody sends it twice behind their back.

    web                     what this program runs
      rooms                 the other process: this file, as `chat_remote.py BACKEND rooms FOLDER PORT`
      link                  to its gate
      connections           dynamic: one temporary child a client
      listener              accepts, and hands each stream to a new connection

A client says `JOIN room nick`, and then lines. The certificates are made by the program `openssl`, for a day.
"""

import signal
import socket
import ssl
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Protocol, Self

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.buffered import BufferedByteReceiveStream

from supervise import Child, DynamicSupervisor, OutcomeUnknown, Supervisor, child, current
from supervise.adapters.process import Process, process
from supervise.remote import Caller, Peer, dial, gate
from supervise.wire import Interface, RemoteSubscription


@dataclass
class Line:
    room: str
    text: str


class RoomsApi(Protocol):
    async def join(self, room: str, nick: str) -> int: ...
    async def say(self, room: str, nick: str, text: str) -> None: ...


ROOMS = Interface("rooms", RoomsApi, events=(Line,))

# -- the process of the rooms ----------------------------------------------------------------------------------------------


class Rooms:
    def __init__(self) -> None:
        self.said: dict[str, int] = {}

    async def join(self, room: str, nick: str) -> int:
        """How many lines were said there."""
        return self.said.get(room, 0)

    async def say(self, room: str, nick: str, text: str) -> None:
        self.said[room] = self.said.get(room, 0) + 1
        current().publish(Line(room, f"({nick}) {text}"))


def admit(caller: Caller) -> bool:
    return caller.identity == "web" and caller.uses == (ROOMS.name,)


async def serve(folder: str, port: str) -> None:
    rooms, tls = child(Rooms), context(folder, "localhost", "web", ssl.Purpose.CLIENT_AUTH)
    door = gate(f"tcp://127.0.0.1:{port}", serves=[ROOMS.by(rooms)], tls=tls, admit=admit)
    async with Supervisor("rooms", rooms, door) as app:
        await app.wait()


# -- the process of the connections ----------------------------------------------------------------------------------------


class Connection:
    """One client: two tasks of the nursery read it, and what the rooms publish; the actor's own turn writes."""

    def __init__(self, stream: ByteStream, link: Child[Peer]) -> None:
        self.stream = stream
        self.lines = BufferedByteReceiveStream(stream)
        self.rooms = ROOMS.over(current().find(link))

    async def __aenter__(self) -> Self:
        current().nursery.start_soon(self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        await anyio.aclose_forcefully(self.stream)

    async def deliver(self, text: str) -> None:
        await self.stream.send(f"{text}\n".encode())

    async def _read(self) -> None:
        me = current()
        try:
            _, room, nick = (await self._line()).split()
            async with self.rooms.subscribe(Line) as published:
                me.nursery.start_soon(self._listen, published, room)
                await me.address.send(Connection.deliver, f"OK {await self.rooms.call(RoomsApi.join, room, nick)} lines so far")
                while True:
                    text = await self._line()
                    try:
                        await self.rooms.call(RoomsApi.say, room, nick, text)
                    except OutcomeUnknown:
                        await me.address.send(Connection.deliver, f"? perhaps nobody heard: {text}")
        except (anyio.EndOfStream, anyio.IncompleteRead):
            me.stop()

    async def _line(self) -> str:
        return (await self.lines.receive_until(b"\n", 512)).decode()

    async def _listen(self, published: RemoteSubscription[Line], room: str) -> None:
        with suppress(anyio.ClosedResourceError):  # the client has gone
            async for line in published:
                if line.room == room:
                    await current().address.send(Connection.deliver, line.text)


class Listener:
    def __init__(self, connections: DynamicSupervisor, link: Child[Peer]) -> None:
        self.connections, self.link = connections, link

    async def __aenter__(self) -> Self:
        self.listener = (await anyio.create_tcp_listener(local_host="127.0.0.1")).listeners[0]
        current().nursery.start_soon(self.listener.serve, self._admit)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.listener.aclose()

    def port(self) -> int:
        return self.listener.extra(SocketAttribute.local_port)

    async def _admit(self, stream: ByteStream) -> None:
        await current().supervisor(self.connections).start(Connection, stream, self.link, name=None)


def web(backend: str, folder: str, port: int) -> Supervisor:
    command = [sys.executable, __file__, backend, "rooms", folder, str(port)]
    rooms = child(process(command, ready=port), name="rooms")
    tls = context(folder, "web", "localhost", ssl.Purpose.SERVER_AUTH)
    link, connections = dial(f"tcp://localhost:{port}", uses=[ROOMS], tls=tls), DynamicSupervisor("connections")
    return Supervisor("web", rooms, link, connections, child(Listener, connections, link, name="listener"))


# -- certificates ----------------------------------------------------------------------------------------------------------


def certificate(folder: str, name: str) -> None:
    """One that vouches for itself: so the other side has to know just this one."""
    uses = ["-addext", f"subjectAltName=DNS:{name}", "-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    kind = [
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "1",
        "-subj",
        f"/CN={name}",
    ]
    files = ["-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.crt"]
    subprocess.run(["openssl", "req", *kind, *uses, *files], check=True, capture_output=True)


def context(folder: str, own: str, other: str, purpose: ssl.Purpose) -> ssl.SSLContext:
    made = ssl.create_default_context(purpose, cafile=f"{folder}/{other}.crt")
    made.load_cert_chain(f"{folder}/{own}.crt", f"{folder}/{own}.key")
    made.verify_mode = ssl.CERT_REQUIRED
    return made


# -- what is shown -----------------------------------------------------------------------------------------------------------


class Client:
    def __init__(self, stream: ByteStream) -> None:
        self.stream, self.lines = stream, BufferedByteReceiveStream(stream)

    async def say(self, line: str) -> None:
        await self.stream.send(f"{line}\n".encode())

    async def hear(self) -> str:
        return (await self.lines.receive_until(b"\n", 512)).decode()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


async def main(backend: str) -> None:
    with TemporaryDirectory() as folder:
        for name in ("localhost", "web"):
            certificate(folder, name)
        async with web(backend, folder, free_port()) as app:
            port = await app.find("listener").call(Listener.port)
            async with await anyio.connect_tcp("127.0.0.1", port) as one, await anyio.connect_tcp("127.0.0.1", port) as two:
                ann, bob = Client(one), Client(two)
                for client, nick in ((ann, "ann"), (bob, "bob")):
                    await client.say(f"JOIN lobby {nick}")
                    print(await client.hear())
                await ann.say("hello")
                print(await ann.hear(), "|", await bob.hear())

                await app.find("rooms").call(Process.send_signal, signal.SIGKILL)
                await ann.say("again")
                while (heard := await ann.hear()).startswith("?"):
                    print(heard)
                    await ann.say("again")
                print(heard, "|", await bob.hear())
                assert heard == "(ann) again"


if __name__ == "__main__":
    library = sys.argv[1] if len(sys.argv) > 1 else "asyncio"
    if "rooms" in sys.argv:
        anyio.run(serve, sys.argv[3], sys.argv[4], backend=library)
    else:
        anyio.run(main, library, backend=library)
