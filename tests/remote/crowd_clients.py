"""The crowd itself, in a process of its own: clients that are silent, slow, too large, wrong, or deaf. For `crowds.py`.

    python -m tests.remote.crowd_clients PLAN

PLAN is JSON. It prints, as JSON, of each client: its kind, its own address, since when its time ran, and when it was out.
Each is one coroutine over a socket of its own, and speaks the protocol by hand as far as it speaks it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any, Final, TypeAlias

from supervise.remote.greeting import Dialing
from supervise.remote.limits import Limits
from supervise.wire.frames import GREETING, RULES, Frame, FrameReader, encode
from supervise.wire.kinds import Kind
from supervise.wire.table import Table
from tests.wire import by_hand

from .crowd_gate import DOOR
from .fault_shop import trusts

BLOB: Final = next(n for n, method in enumerate(DOOR.methods) if method.name == "blob")
PATIENCE: Final = 10.0
"""Seconds beyond all limits, after which a client that is still in goes by itself."""
CROWDED: Final = 0.4
"""So many of each kind come from one address; the others from many."""
ADDRESSES: Final = 60
RUSH: Final = 0.3
"""So many of those that are silent come at once, before all others."""
GONE: Final = (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, OSError)


@dataclass
class Plan:
    """What the crowd is told."""

    port: int
    each: int
    seed: int
    seconds: float
    """Over which they come."""
    limits: dict[str, Any]
    folder: str = ""
    """With the authority's certificate, if they speak TLS."""
    asks: int = 6
    size: int = 16_384
    """So many answers of so many bytes does a deaf client ask for, and read none: a little more than the kernel takes for it.
    What is beyond that the gate keeps, until its limit for a write: up to `calls` x `depth` x `frame`.
    """
    later: float = 1.5
    """Seconds beyond that limit, after which it looks whether it is out."""


@dataclass
class Seen:
    """What one client saw."""

    kind: str
    address: str
    since: float
    out: float | None
    """None: it was still in when it lost its patience."""
    greeted: bool


_USED: Final[set[str]] = set()


def bound(host: str) -> tuple[socket.socket, str]:
    """A socket with an address that no client has had before."""
    taken: list[socket.socket] = []
    try:
        while True:
            raw = socket.socket()
            raw.setblocking(False)
            raw.bind((host, 0))
            address = "{}:{}".format(*raw.getsockname())
            if address not in _USED:
                _USED.add(address)
                return raw, address
            taken.append(raw)
    finally:
        for each in taken:
            each.close()


class Client:
    """One of them."""

    def __init__(self, plan: Plan, limits: Limits, kind: str, number: int, chance: Random) -> None:
        self.plan, self.limits, self.kind, self.number, self.chance = plan, limits, kind, number, chance
        self.reader: Any = None
        self.writer: Any = None
        self.since = 0.0
        self.greeted = False

    async def run(self, at: float, host: str) -> Seen:
        await asyncio.sleep(at)
        raw, address = bound(host)
        out: float | None = None
        try:
            if self.kind == "deaf":  # so that the kernel takes little for it, here and over there
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
            await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self.plan.port))
            self.since = time.monotonic()
            plain = not self.plan.folder or (self.kind in ("silent", "garbage") and self.number % 4 == 0)
            context = None if plain else trusts(Path(self.plan.folder))
            self.reader, self.writer = await asyncio.open_connection(
                sock=raw, ssl=context, server_hostname=None if plain else "localhost", limit=4096
            )
            limits = self.limits
            patience = limits.greeting + limits.whole_frame + limits.idle + limits.pong + limits.write + PATIENCE
            async with asyncio.timeout(patience):
                await KINDS[self.kind](self)
                out = time.monotonic()
        except TimeoutError:
            pass
        except GONE:
            out = time.monotonic()
        finally:
            if self.writer is not None:
                self.writer.transport.abort()
            raw.close()
        return Seen(self.kind, address, self.since, out, self.greeted)

    # -- what they do ----------------------------------------------------------------------------------------------------------

    async def greets(self) -> None:
        """As it should be."""
        dialing = Dialing(Table(), self.limits, link=self.chance.randbytes(16), life=1, name=self.kind, uses=["door"])
        self.writer.write(b"".join(map(encode, dialing.begin().frames)))
        reader = FrameReader(GREETING)
        while not dialing.over:
            data = await self.reader.read(4096)
            if not data:
                raise ConnectionError("it was refused")
            for frame in reader.feed(data):
                dialing.take(frame)
        self.greeted = True
        self.since = time.monotonic()

    async def waits(self) -> None:
        """Until the end. It reads, and answers nothing."""
        while await self.reader.read(4096):
            pass

    async def does(self, data: bytes) -> None:
        """What is wrong: it should be out now."""
        self.since = time.monotonic()
        self.writer.write(data)
        await self.waits()

    async def silent(self) -> None:
        if self.number % 4 == 3:  # it stays much longer than all others
            await self.greets()
        await self.waits()

    async def slow(self) -> None:
        """One byte after the other, of a frame that is well."""
        frame = encode(Frame(Kind.SEND, 0, 0, body=bytes(1000)))
        if self.number % 2:
            await self.greets()
        else:
            frame = encode(Dialing(Table(), self.limits, link=bytes(16), life=1, name="slow" * 40).begin().frames[0])
        self.since = time.monotonic() if self.greeted else self.since
        writes = asyncio.create_task(self._byte_by_byte(frame))
        try:
            await self.waits()
        finally:
            writes.cancel()
            with suppress(asyncio.CancelledError, *GONE):
                await writes

    async def _byte_by_byte(self, frame: bytes) -> None:
        pause = max(self.limits.greeting, self.limits.whole_frame) / 40
        for byte in frame:
            self.writer.write(bytes((byte,)))
            await asyncio.sleep(pause)

    async def oversize(self) -> None:
        """The length of a frame that is more than may be."""
        size = GREETING + 1
        if self.number % 2:
            await self.greets()
            size = self.limits.frame + 1
        await self.does(size.to_bytes(4, "big") + bytes(100))

    async def garbage(self) -> None:
        if self.number % 2:
            await self.greets()
        await self.does(self.chance.choice(WRONG if self.greeted else STRANGE)(self.chance))

    async def deaf(self) -> None:
        """It asks, and doesn't read. What it may be told it finds when it looks again, and it should be out by then."""
        await self.greets()
        if self.plan.folder:
            self.writer.transport.set_read_buffer_limits(1)  # TLS would read on, for itself
        self.writer.transport.pause_reading()
        body = DOOR.methods[BLOB].encode((self.plan.size,), {})
        calls = [Frame(Kind.CALL, n, BLOB, body, 0, 1, above=(n.to_bytes(8, "big"),)) for n in range(1, self.plan.asks + 1)]
        self.writer.write(b"".join(map(encode, calls)))
        self.since = time.monotonic()
        await asyncio.sleep(self.limits.write + self.plan.later)
        self.writer.transport.resume_reading()
        await self.waits()


def _not_packed(chance: Random) -> bytes:
    return by_hand.framed(b"\xc1" + chance.randbytes(50))


STRANGE: Final[list[Callable[[Random], bytes]]] = [
    lambda chance: b"\xff" + chance.randbytes(200),
    lambda _: b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n",
    lambda _: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    lambda _: by_hand.framed(b""),
    lambda _: by_hand.frame(2),  # READY comes last
    lambda _: by_hand.frame(0, 0, 0, b"\x80"),  # HELLO that says nothing
    lambda _: by_hand.frame(77, 1),
    lambda _: by_hand.frame("HELLO"),
    _not_packed,
]
WRONG: Final[list[Callable[[Random], bytes]]] = [
    lambda chance: b"\xff" + chance.randbytes(200),
    lambda _: by_hand.frame(8, 999, 0, b"\xc0"),  # the answer to no call
    lambda _: by_hand.frame(6, 1, 999, b"\x90", 0, 1, "", [bytes(8)]),  # a handler that isn't there
    lambda _: by_hand.frame(6, 1, 0, b"\x90", 0, 99, "", [bytes(8)]),  # too deep
    lambda _: by_hand.frame(6, 1, 0, b"\x90", 0, 1),  # without an id of its own
    lambda _: by_hand.frame(11, 10**9, 0),  # credit for what wasn't sent
    lambda _: by_hand.frame(2),
    lambda _: by_hand.frame(7, 0, 2**40),
    _not_packed,
]
Way: TypeAlias = Callable[[Client], Awaitable[None]]
KINDS: Final[dict[str, Way]] = {
    "silent": Client.silent,
    "slow": Client.slow,
    "oversize": Client.oversize,
    "garbage": Client.garbage,
    "deaf": Client.deaf,
}
MAY_REACH: Final[dict[str, set[str]]] = {
    "silent": {"greeting", "idle, pong"},
    "slow": {"greeting", "whole_frame"},
    "oversize": {"length"},
    "garbage": {*RULES, "tls", "greeting"},  # of TLS it may be the beginning of something
    "deaf": {
        "write",
        "idle, pong",
    },  # the kernel may take all of it; or it looks before a gate that has much to do has answered
}
"""Beside being refused, which may happen to each."""


async def main(plan: Plan) -> list[Seen]:
    """All of them, to the end of the last one."""
    chance, limits = Random(plan.seed), Limits(**plan.limits)
    steps = max(1, plan.each // 5)
    async with asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[Seen]] = []
        for which, kind in enumerate(KINDS):
            for number in range(plan.each):
                host = 1 if chance.random() < CROWDED else chance.randrange(2, ADDRESSES + 2)
                at = plan.seconds * chance.randrange(steps) / steps  # several at the same instant
                if kind == "silent" and number < RUSH * plan.each:
                    at = 0.0
                client = Client(plan, limits, kind, number, Random(chance.random()))
                tasks.append(group.create_task(client.run(at, f"127.{which + 1}.0.{host}")))
    return [task.result() for task in tasks]


if __name__ == "__main__":
    print(json.dumps([asdict(seen) for seen in asyncio.run(main(Plan(**json.loads(sys.argv[1]))))]))
