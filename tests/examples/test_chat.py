"""The chat server over real sockets, on the real clock: it waits for facts, and its only durations are hang guards.

Tested: join returns an id; rooms broadcast; a crashed room comes back on the same address, its members are members still and
what waited isn't lost; a slow client doesn't hold up a room; bad input closes that client with a logged reason and touches
nobody else; the admission limit; a client that goes is no member any more.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream

from supervise import RunningSupervisor, current
from supervise.cli import chat
from tests.real_clock import on_the_real_clock

pytestmark = [pytest.mark.anyio, on_the_real_clock]
GUARD = 20.0  # seconds; each test takes a small part of one


class Client:
    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self._lines = BufferedByteReceiveStream(stream)

    async def say(self, line: str | bytes) -> None:
        await self.stream.send((line.encode() if isinstance(line, str) else line) + b"\n")

    async def hear(self) -> str:
        return (await self._lines.receive_until(b"\n", 4096)).decode()

    async def is_closed(self) -> bool:
        try:
            await self.hear()
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
            return True
        return False


@asynccontextmanager
async def server() -> AsyncGenerator[tuple[RunningSupervisor, int], None]:
    with anyio.fail_after(GUARD):
        async with chat.tree() as app:
            yield app, await app.find("listener").call(chat.Listener.port)


@asynccontextmanager
async def client(port: int, nick: str, room: str = "lobby") -> AsyncGenerator[Client, None]:
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        member = Client(stream)
        await member.say(f"NICK {nick}")
        assert await member.hear() == "OK"
        await member.say(f"JOIN {room}")
        assert (await member.hear()).startswith("OK ")
        yield member


async def crash(_: object) -> None:
    raise RuntimeError("sabotage")


async def test_join_returns_an_id_of_its_own_to_every_member() -> None:
    async with server() as (_, port):
        ids: list[str] = []
        for nick in ("ann", "bob"):
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                member = Client(stream)
                await member.say(f"NICK {nick}")
                await member.hear()
                await member.say("JOIN lobby")
                ids.append(await member.hear())
        assert ids == ["OK 1", "OK 2"]


async def test_a_room_broadcasts_to_all_its_members_and_to_no_other_room() -> None:
    async with (
        server() as (_, port),
        client(port, "ann") as ann,
        client(port, "bob") as bob,
        client(port, "eve", "attic") as eve,
    ):
        await ann.say("SAY hello")
        assert await ann.hear() == await bob.hear() == "(ann) hello"
        await eve.say("SAY alone")
        assert await eve.hear() == "(eve) alone"


async def test_a_crashed_room_comes_back_on_the_same_address_and_its_members_are_members_still() -> None:
    async with server() as (app, port), client(port, "ann") as ann, client(port, "bob") as bob:
        room = app.supervisor(chat.ROOMS).find("lobby")
        await room.send(crash)
        assert await room.call(lambda _: current().incarnation) == 2
        await ann.say("SAY again")
        assert await ann.hear() == await bob.hear() == "(ann) again"


async def test_what_waited_for_a_room_that_crashes_is_broadcast_by_the_fresh_one() -> None:
    async with server() as (app, port), client(port, "ann") as ann:
        room = app.supervisor(chat.ROOMS).find("lobby")
        held, go = anyio.Event(), anyio.Event()

        async def hold_and_crash(_: object) -> None:
            held.set()
            await go.wait()
            raise RuntimeError("sabotage")

        await room.send(hold_and_crash)
        await held.wait()
        for i in range(5):
            await ann.say(f"SAY {i}")
        await ann.say("NICK ann")  # is answered by the connection, so that what was said before is in the room's mailbox
        assert await ann.hear() == "OK"
        assert len(room) == 5
        go.set()
        assert [await ann.hear() for _ in range(5)] == [f"(ann) {i}" for i in range(5)]


async def test_a_slow_client_does_not_hold_up_a_room() -> None:
    async with server() as (app, port), client(port, "slow"), client(port, "ann") as ann:
        room = app.supervisor(chat.ROOMS).find("lobby")
        said = 0
        # `slow` never reads: its socket fills, then its outbox, and then lines are left out for it and for nobody else.
        while await room.call(_left_out) == 0:
            await ann.say("SAY " + "x" * 500)
            assert (await ann.hear()).startswith("(ann) x")
            said += 1
        assert said > chat.OUTBOX


def _left_out(room: chat.Room) -> int:
    return room.left_out


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"SAY \xff\xfe", "can't decode"),
        (b"x" * 600, "more than 512 bytes"),
        (b"DANCE", "unknown command 'DANCE'"),
        (b"JOIN a/b", "is no name"),
        (b"NICK", "is no name"),
    ],
)
async def test_bad_input_closes_that_client_with_a_logged_reason_and_touches_nobody_else(
    sent: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with server() as (app, port), client(port, "ann") as ann, client(port, "eve") as eve:
        with caplog.at_level(logging.WARNING, logger="chat"):
            await eve.say(sent)
            assert await eve.is_closed()
        assert [r for r in caplog.messages if "(eve) is closed" in r and reason in r], caplog.messages
        await ann.say("SAY still here")
        assert await ann.hear() == "(ann) still here"
        assert await app.find(chat.REGISTRY).call(lambda _: current().incarnation) == 1


async def test_talking_before_joining_is_bad_input() -> None:
    async with server() as (_, port), await anyio.connect_tcp("127.0.0.1", port) as stream:
        early = Client(stream)
        await early.say("SAY hello")
        assert await early.is_closed()


async def test_over_the_admission_limit_a_client_is_turned_away_with_a_line() -> None:
    async with server() as (app, port), client(port, "ann") as ann:
        connections = app.supervisor(chat.CONNECTIONS)
        for _ in range(int(chat.CONNECTIONS.spec.max_children) - 1):
            await connections.start(object)
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            late = Client(stream)
            assert await late.hear() == "ERR full"
            assert await late.is_closed()
        await ann.say("SAY hello")
        assert await ann.hear() == "(ann) hello"


async def test_a_client_that_goes_is_no_member_any_more() -> None:
    async with server() as (app, port), client(port, "ann") as ann:
        async with client(port, "bob") as bob:
            await bob.say("QUIT")
            assert await bob.is_closed()
        room = app.supervisor(chat.ROOMS).find("lobby")
        while len(await room.call(_members)) > 1:
            await anyio.lowlevel.checkpoint()
        await ann.say("SAY alone")
        assert await ann.hear() == "(ann) alone"


def _members(room: chat.Room) -> list[int]:
    return list(room.members)


async def test_a_crashed_connection_costs_its_own_client_and_nobody_else() -> None:
    async with server() as (app, port), client(port, "ann") as ann, client(port, "bob") as bob:
        members = await app.find(chat.REGISTRY).call(chat.Registry.members, "lobby")
        await next(m.connection for m in members if m.nick == "bob").send(crash)
        assert await bob.is_closed()
        await ann.say("SAY hello")
        assert await ann.hear() == "(ann) hello"
