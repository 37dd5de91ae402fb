"""How both sides of a connection greet each other on a stream: `greeting.py` decides, and this obeys it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
from anyio.abc import ByteStream

from supervise.errors import ConnectionLost
from supervise.wire.frames import GREETING, FrameReader, encode
from supervise.wire.table import Table

from .caller import caller_at
from .connection import CHUNK
from .greeting import Answering, Dialing, Greeted, Met, Refused, Step
from .route import Routes

if TYPE_CHECKING:
    from supervise.wire.bodies import Hello
    from supervise.wire.interface import Interface, Served

    from .caller import Caller
    from .limits import Limits
    from .link import Link
    from .peer import Terms


class Introduced(NamedTuple):
    """Both sides have met: what a connection begins with."""

    stream: ByteStream
    reader: FrameReader
    limits: Limits
    serves: tuple[Served, ...]
    """In the order of the own table."""
    routes: Routes
    address: str
    """Of the other side."""
    identity: str
    name: str
    """What the other side says that it is called."""


class Heard(NamedTuple):
    """A gate has heard who wants to come in, and hasn't answered."""

    stream: ByteStream
    reader: FrameReader
    machine: Answering
    hello: Hello


class Arrived(NamedTuple):
    """One that was let in: a connection, and whose it is."""

    introduced: Introduced
    link: bytes
    life: int
    identity: str


async def introduce(stream: ByteStream, link: Link, terms: Terms, name: str, token: str | None, life: int) -> Introduced:
    """The dialing side's part. Raises ConnectionLost, which says why, if it comes to nothing; the stream is closed then."""
    machine = Dialing(
        table_of(terms.serves),
        terms.limits,
        link=link.id,
        life=life,
        name=name,
        token=token,
        uses=[used.name for used in terms.uses],
    )
    reader = FrameReader(GREETING)
    try:
        with anyio.fail_after(terms.limits.greeting):
            await _send(stream, machine.begin())
            met = await _meet(stream, reader, machine)
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(stream)
        if isinstance(error, TimeoutError):
            raise ConnectionLost(f"{terms.where} hasn't greeted within {terms.limits.greeting:g} s") from None
        if isinstance(error, anyio.BrokenResourceError | anyio.ClosedResourceError | anyio.EndOfStream | OSError):
            raise ConnectionLost(f"{terms.where} has closed the connection before it had greeted") from None
        raise
    caller = caller_at(stream, met.hello)
    return _introduced(stream, reader, met, terms.serves, terms.uses, terms.where, caller.identity)


async def hear(stream: ByteStream, limits: Limits, name: str, uses: Sequence[Interface[Any]]) -> Heard | str:
    """The gate's first part: who wants to come in? A text: why not; if that is this side's word, the other one was told."""
    machine = Answering(Table(), limits, link=secrets.token_bytes(16), life=1, name=name, uses=[used.name for used in uses])
    reader = FrameReader(GREETING)
    while True:
        for frame in reader:
            step = machine.take(frame)
            await _send(stream, step)
            if isinstance(step.fact, Greeted):
                return Heard(stream, reader, machine, step.fact.hello)
            if isinstance(step.fact, Refused):
                return step.fact.why
        reader.feed(await stream.receive(CHUNK))


async def answer(
    heard: Heard, caller: Caller, identity: str, serves: Sequence[Served], uses: Sequence[Interface[Any]]
) -> Arrived | None:
    """Its second part: whoever that is was admitted, and may use so much. None: it has left."""
    await _send(heard.stream, heard.machine.admit(table_of(serves)))
    try:
        met = await _meet(heard.stream, heard.reader, heard.machine)
    except ConnectionLost:
        return None
    introduced = _introduced(heard.stream, heard.reader, met, tuple(serves), uses, caller.address, identity)
    return Arrived(introduced, heard.hello.link, heard.hello.life, identity)


async def refuse(heard: Heard, why: str) -> None:
    """Or it isn't admitted."""
    await _send(heard.stream, heard.machine.refuse(why))


def table_of(serves: Sequence[Served]) -> Table:
    """What the other side is told of it."""
    return Table(served.interface.table() for served in serves)


async def _meet(stream: ByteStream, reader: FrameReader, machine: Dialing | Answering) -> Met:
    while True:
        for frame in reader:
            step = machine.take(frame)
            await _send(stream, step)
            if isinstance(step.fact, Met):
                return step.fact
            if isinstance(step.fact, Refused):
                raise ConnectionLost(
                    f"refused: {step.fact.why}" if step.fact.ours else f"the other side refuses: {step.fact.why}"
                )
        reader.feed(await stream.receive(CHUNK))


async def _send(stream: ByteStream, step: Step) -> None:
    if step.frames:
        await stream.send(b"".join(map(encode, step.frames)))


def _introduced(
    stream: ByteStream,
    reader: FrameReader,
    met: Met,
    serves: tuple[Served, ...],
    uses: Sequence[Interface[Any]],
    address: str,
    identity: str,
) -> Introduced:
    reader.limit = met.limits.frame
    return Introduced(stream, reader, met.limits, serves, Routes(uses, met.theirs), address, identity, met.hello.name)
