"""The router over real sockets, on the real clock: it waits for facts, and its only durations are hang guards.

Tested: the id on connect; bytes are forwarded whole, in order, without the id and with the NUL, also to oneself; a full outbox
stops the reading side until the sender's kernel takes no more, loses nothing, and holds up nobody else; a peer that leaves lets
go whoever it held up; bad input, a client gone, a crashed or killed writer: that client is closed with a logged reason, the
router knows, and nobody else notices; a client that doesn't read can be closed all the same; the admission limit; a stop in the
middle of an admission; a crash of the router.
"""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, closing, contextmanager

import anyio
import anyio.lowlevel
import pytest

from examples import router
from examples.router import ID, LONGEST, OUTBOX, Client, Router, Writer
from supervise import MailboxFull, RunningSupervisor, WeakAddress, current
from tests.conftest import settle
from tests.real_clock import on_the_real_clock

pytestmark = [pytest.mark.anyio, on_the_real_clock]
GUARD = 20.0  # seconds; each test takes a small part of one
STILL = 500  # looks in a row at which nothing has moved


@asynccontextmanager
async def server() -> AsyncGenerator[tuple[RunningSupervisor, int]]:
    with anyio.fail_after(GUARD):
        async with router.tree() as app:
            yield app, await app.find("listener").call(router.Listener.port)


class RawClient:
    """A client that sees what its kernel does: nothing is read or written but what the test asks for."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.id = 0

    async def read(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            await anyio.wait_readable(self.socket)
            piece = self.socket.recv(size - len(found))
            if not piece:
                raise anyio.EndOfStream
            found += piece
        return found

    def write(self, data: bytes) -> int:
        """How much of it the kernel took: 0 when its buffer is full."""
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0


@asynccontextmanager
async def raw_client(port: int) -> AsyncGenerator[RawClient]:
    with closing(socket.socket()) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # small buffers fill soon
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sock.connect(("127.0.0.1", port))  # done by the kernel, whether or not anybody accepts
        sock.setblocking(False)
        client = RawClient(sock)
        client.id = int.from_bytes(await client.read(ID), "big")
        yield client


async def writer_of(app: RunningSupervisor, id: int) -> WeakAddress[Writer] | None:
    return await app.find(router.ROUTER).call(Router.find, id)


async def forgotten(app: RunningSupervisor, id: int) -> None:
    while await writer_of(app, id) is not None:
        await anyio.lowlevel.checkpoint()


def numbered(peer: int, number: int, size: int = 20_000) -> bytes:
    return peer.to_bytes(ID, "big") + f"{number} ".encode().ljust(size, b"x") + b"\0"


async def fill(app: RunningSupervisor, sender: RawClient, slow: RawClient) -> tuple[int, bytes]:
    """Send until nothing moves: the outbox of `slow` is full, and so is the sender's kernel.

    The answer is how many messages that took, and what is left to be sent of the last one.
    """
    writer = await writer_of(app, slow.id)
    assert writer is not None
    count, rest, still = 0, b"", 0
    while still < STILL:
        if not rest:
            count, rest = count + 1, numbered(slow.id, count)
        taken = sender.write(rest)
        rest = rest[taken:]
        still = still + 1 if not taken and len(writer) == OUTBOX else 0
        await anyio.lowlevel.checkpoint()
    return count, rest


@contextmanager
def logged(caplog: pytest.LogCaptureFixture) -> Generator[None]:
    with caplog.at_level(logging.INFO, logger="router"):
        yield


async def all_is_well(*clients: Client) -> None:
    """Each of them can still write to each."""
    for one in clients:
        for other in clients:
            await one.send(other.id, f"from {one.id}")
            assert await other.hear() == f"from {one.id}"


async def test_each_client_gets_an_id_of_its_own_in_four_bytes() -> None:
    async with server() as (_, port):
        for id in (b"\0\0\0\1", b"\0\0\0\2"):
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                assert await stream.receive() == id


async def test_bytes_go_to_the_peer_with_their_nul_and_without_the_id() -> None:
    async with server() as (_, port), raw_client(port) as ann, raw_client(port) as bob:
        ann.write(bob.id.to_bytes(ID, "big") + b"a\xff\0")
        ann.write(bob.id.to_bytes(ID, "big") + b"\0" + ann.id.to_bytes(ID, "big") + b"to myself\0")
        assert await bob.read(4) == b"a\xff\0\0"
        assert await ann.read(10) == b"to myself\0"


async def test_a_message_that_comes_byte_by_byte_is_forwarded_whole_and_in_order() -> None:
    async with server() as (app, port), Client.connect(port) as ann, raw_client(port) as bob:
        for i in range(3):
            for byte in ann.id.to_bytes(ID, "big") + f"part {i}\0".encode():
                assert bob.write(bytes([byte])) == 1
                await writer_of(app, bob.id)  # time for the server to read it
        assert [await ann.hear() for _ in range(3)] == ["part 0", "part 1", "part 2"]


async def test_a_full_outbox_stops_the_reading_side_until_the_kernel_takes_no_more_and_nothing_is_lost() -> None:
    async with server() as (app, port), Client.connect(port) as ann, Client.connect(port) as bob:
        async with raw_client(port) as slow, raw_client(port) as sender:
            count, rest = await fill(app, sender, slow)
            assert count > OUTBOX
            await all_is_well(ann, bob)

            async def send_the_rest() -> None:
                left = rest
                while left:
                    await anyio.wait_writable(sender.socket)  # the kernel takes some again, since the reading side goes on
                    left = left[sender.write(left) :]

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send_the_rest)
                for i in range(count):
                    body = numbered(slow.id, i)[ID:]
                    assert await slow.read(len(body)) == body


async def test_a_peer_that_leaves_lets_go_whoever_it_held_up(caplog: pytest.LogCaptureFixture) -> None:
    async with server() as (app, port), Client.connect(port) as ann, raw_client(port) as sender:
        async with raw_client(port) as slow:
            _, rest = await fill(app, sender, slow)
            with logged(caplog):
                slow.socket.close()
                await forgotten(app, slow.id)
        left = rest + numbered(ann.id, 7, 5)
        while left:
            await anyio.wait_writable(sender.socket)
            left = left[sender.write(left) :]
        assert await ann.hear() == "7 xxx"
        assert f"client #{slow.id} is closed: the connection is lost" in caplog.messages


async def test_a_client_that_does_not_read_is_closed_for_bad_input_though_a_write_to_it_hangs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with server() as (app, port), raw_client(port) as slow, raw_client(port) as sender:
        await fill(app, sender, slow)
        with logged(caplog):
            slow.write((99).to_bytes(ID, "big") + b"\0")
            await forgotten(app, slow.id)
        said = [message for message in caplog.messages if message.startswith(f"client #{slow.id} ")]
        assert said == [f"client #{slow.id} is closed: nobody ever had the id 99"]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ((99).to_bytes(ID, "big") + b"hello\0", "nobody ever had the id 99"),
        ((0).to_bytes(ID, "big") + b"hello\0", "nobody ever had the id 0"),
        (b"\xff" * ID + b"\0", "nobody ever had the id 4294967295"),
        (b"x" * (ID + LONGEST), "a message of more than 65536 bytes"),
    ],
    ids=["an id never given", "zero", "the highest id", "an endless message"],
)
async def test_bad_input_closes_that_client_with_a_logged_reason_and_nobody_else_notices(
    sent: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with server() as (app, port), Client.connect(port) as ann, Client.connect(port) as bob:
        async with await anyio.connect_tcp("127.0.0.1", port) as eve:
            id = int.from_bytes(await eve.receive(), "big")
            with logged(caplog):
                await eve.send(sent)
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await eve.receive()
        await forgotten(app, id)
        assert caplog.messages == [f"client #{id} is closed: {reason}"]
        await all_is_well(ann, bob)
        assert [child.incarnation for child in app.children()] == [1, 1, 1]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [(b"", "it left"), (b"\0", "it left in the middle of a message"), (b"\0\0\0\1half", "it left in the middle of a message")],
)
async def test_a_client_that_leaves_is_forgotten_with_a_logged_reason(
    sent: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with server() as (app, port), Client.connect(port) as ann, Client.connect(port) as bob:
        with logged(caplog):
            async with raw_client(port) as eve:
                eve.write(sent)
            await forgotten(app, eve.id)
        assert caplog.messages == [f"client #{eve.id} is closed: {reason}"]
        await all_is_well(ann, bob)


async def test_a_connection_that_is_reset_is_forgotten_too(caplog: pytest.LogCaptureFixture) -> None:
    async with server() as (app, port), Client.connect(port) as ann:
        with logged(caplog):
            async with raw_client(port) as eve:
                _reset_at_close(eve.socket)
            await forgotten(app, eve.id)
        assert caplog.messages == [f"client #{eve.id} is closed: the connection is lost"]
        await all_is_well(ann)


async def test_clients_that_are_gone_before_they_are_admitted_harm_nobody() -> None:
    async with server() as (app, port), Client.connect(port) as ann:
        for _ in range(20):
            with closing(socket.socket()) as sock:
                _reset_at_close(sock)
                sock.connect(("127.0.0.1", port))
        async with Client.connect(port) as bob:  # is accepted after them
            await all_is_well(ann, bob)
        while app.supervisor(router.CLIENTS).count_children().active > 1:
            await anyio.lowlevel.checkpoint()
        assert [child.incarnation for child in app.children()] == [1, 1, 1]


def _reset_at_close(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def test_what_is_sent_to_a_client_that_has_left_is_dropped_and_its_sender_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with server() as (app, port), Client.connect(port) as ann:
        async with Client.connect(port) as bob:
            pass
        await forgotten(app, bob.id)
        with logged(caplog):
            await ann.send(bob.id, "too late")
            await all_is_well(ann)
        assert caplog.messages == [f"client #{ann.id}: a message is dropped, since client #{bob.id} has left"]


async def crash(_: object) -> None:
    raise RuntimeError("sabotage")


async def test_a_crash_of_a_writer_is_told_to_the_router_and_costs_its_own_client_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with server() as (app, port), Client.connect(port) as ann, Client.connect(port) as bob:
        async with Client.connect(port) as eve:
            writer = await writer_of(app, eve.id)
            assert writer is not None
            with logged(caplog):
                await writer.send(crash)
                assert await eve.hear() is None
                await forgotten(app, eve.id)
        assert f"client #{eve.id} is closed: its writer crashed: RuntimeError('sabotage')" in caplog.messages
        await ann.send(eve.id, "are you there?")
        await all_is_well(ann, bob)
        assert app.account().balanced


async def test_who_waits_for_room_in_the_outbox_of_a_writer_that_crashes_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async with server() as (app, port), Client.connect(port) as ann, Client.connect(port) as eve:
        writer = await writer_of(app, eve.id)
        assert writer is not None
        go = anyio.Event()

        async def hold_and_crash(_: object) -> None:
            await go.wait()
            raise RuntimeError("sabotage")

        await writer.send(hold_and_crash)
        with pytest.raises(MailboxFull):
            while True:
                writer.try_send(Writer.write, b"")
                await anyio.lowlevel.checkpoint()
        asked = app.find(router.ROUTER).account().handled
        await ann.send(eve.id, "for eve")
        while app.find(router.ROUTER).account().handled == asked:
            await anyio.lowlevel.checkpoint()
        await settle()  # it knows the writer now, and waits for room
        with logged(caplog):
            go.set()
            await ann.send(ann.id, "let go")
            assert await ann.hear() == "let go"
        assert f"client #{ann.id}: a message is dropped, since client #{eve.id} has left" in caplog.messages


async def test_a_writer_that_is_killed_still_tells_the_router(caplog: pytest.LogCaptureFixture) -> None:
    async with server() as (app, port), Client.connect(port) as eve:
        writer = await writer_of(app, eve.id)
        assert writer is not None
        with logged(caplog):
            app.kill(writer.path.removeprefix("router/"))
            assert await eve.hear() is None
            await forgotten(app, eve.id)
        assert f"client #{eve.id} is closed: its writer was stopped" in caplog.messages


async def test_a_client_whose_admission_is_cut_by_a_stop_is_closed() -> None:
    with closing(socket.socket()) as sock:
        async with server() as (app, port):
            held = app.find(router.ROUTER)
            await held.send(_hold_until_it_is_stopped)
            sock.connect(("127.0.0.1", port))
            sock.setblocking(False)
            while not (held.account().in_hand and len(held)):  # until the new writer asks for its id
                await anyio.lowlevel.checkpoint()
        with anyio.fail_after(GUARD), pytest.raises((ConnectionResetError, anyio.EndOfStream)):
            await RawClient(sock).read(ID)


async def _hold_until_it_is_stopped(_: object) -> None:
    while not current().stopping:
        await anyio.lowlevel.checkpoint()


async def test_over_the_admission_limit_a_client_is_turned_away() -> None:
    async with server() as (app, port), Client.connect(port) as ann:
        clients = app.supervisor(router.CLIENTS)
        for _ in range(int(router.CLIENTS.spec.max_children) - 1):
            await clients.start(object)
        with pytest.raises((anyio.IncompleteRead, anyio.BrokenResourceError)):
            async with Client.connect(port):
                pass
        await all_is_well(ann)


async def test_a_crash_of_the_router_ends_its_connections_since_their_ids_mean_nothing_to_the_next() -> None:
    async with server() as (app, port), Client.connect(port) as ann:
        await app.find(router.ROUTER).send(crash)
        assert await ann.hear() is None
        listener = app.find("listener")
        while await listener.call(lambda _: current().incarnation) == 1:
            await anyio.lowlevel.checkpoint()
        again = await listener.call(router.Listener.port)
        async with Client.connect(again) as ann, Client.connect(again) as bob:
            assert (ann.id, bob.id) == (1, 2)
            await all_is_well(ann, bob)
