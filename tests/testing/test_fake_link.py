"""Connections within one process behave as sockets do, and break where the test says, at the very byte.

Tested, on both backends in virtual time: bytes arrive whole, in order and after the latency, under random use, cancellation
included; what each end raises, and when; back-pressure; each fault by hand, and what the other side knows of it; listeners; no
task is left (which every test of this suite is looked through for).
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute

from supervise.testing import at_rest
from supervise.testing.fake_link import BUFFER, FakeNetwork, FakeStream, Traffic
from tests.doubles import Outcomes

pytestmark = pytest.mark.anyio
Pair = tuple[FakeStream, FakeStream]


@asynccontextmanager
async def pair(network: FakeNetwork | None = None) -> AsyncGenerator[Pair]:
    network = network or FakeNetwork()
    near, far = await network.connect(), await network.listener().accept()
    yield near, far
    await near.aclose()
    await far.aclose()


async def exactly(stream: ByteStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await stream.receive(size - len(data))
    return data


def kinds(outcomes: Outcomes) -> dict[Any, Any]:
    """What each came to; of an error its class."""
    return {label: type(value) if isinstance(value, Exception) else value for label, value in outcomes.of.items()}


# -- bytes ----------------------------------------------------------------------------------------------------------------


async def test_bytes_arrive_in_order_and_both_ways_as_many_at_once_as_were_asked_for() -> None:
    async with pair() as (near, far):
        for data in (b"ab", b"", b"cdef"):
            await near.send(data)
        await far.send(b"back")
        assert [await far.receive(3), await far.receive(2), await far.receive()] == [b"abc", b"de", b"f"]
        assert await near.receive() == b"back"


async def test_what_has_no_attributes_says_so_and_less_than_a_byte_cant_be_asked_for() -> None:
    async with pair() as (near, far):
        await near.send(b"a")
        with pytest.raises(ValueError, match="max_bytes"):
            await far.receive(0)
        for nothing in (near, FakeNetwork().listener()):
            assert nothing.extra(SocketAttribute.local_address, None) is None


async def test_latency_is_kept_to_the_instant_and_a_shorter_one_lets_no_byte_overtake() -> None:
    network = FakeNetwork(latency=5)
    async with pair(network) as (near, far):
        begun = anyio.current_time()
        await near.send(b"slow ")
        network.latency = 1
        await near.send(b"fast")
        await near.send_eof()
        with anyio.move_on_after(4.9) as scope:
            await far.receive()
        assert scope.cancelled_caught
        assert await far.receive() == b"slow fast"
        assert anyio.current_time() - begun == pytest.approx(5)
        with pytest.raises(anyio.EndOfStream):
            await far.receive()
        await far.send(b"x")
        assert await near.receive() == b"x"
        assert anyio.current_time() - begun == pytest.approx(6)


async def test_the_end_takes_as_long_as_a_byte() -> None:
    network = FakeNetwork(latency=2)
    async with pair(network) as (near, far):
        begun = anyio.current_time()
        await near.aclose()
        await far.send(b"still accepted")
        with pytest.raises(anyio.EndOfStream):
            await far.receive()
        assert anyio.current_time() - begun == pytest.approx(2)
        with pytest.raises(anyio.BrokenResourceError):
            await far.send(b"x")


async def test_who_writes_waits_while_the_buffer_is_full() -> None:
    assert FakeNetwork().buffer == BUFFER == 64 * 1024
    network = FakeNetwork(buffer=10)
    async with pair(network) as (near, far), anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("fits", near.send(b"0123456789"))
        await outcomes.watch("waits", near.send(b"abcdefghijk"))
        assert outcomes.of == {"fits": None}
        assert network.traffic == [Traffic(10, 0)]
        assert await far.receive(4) == b"0123"
        await at_rest()
        assert network.traffic == [Traffic(14, 0)]
        assert outcomes.of == {"fits": None}
        assert await exactly(far, 17) == b"456789abcdefghijk"
        await at_rest()
        assert outcomes.of == {"fits": None, "waits": None}


async def test_only_one_reads_and_one_writes_at_a_time() -> None:
    network = FakeNetwork(buffer=1)
    async with pair(network) as (near, _), anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("reads", near.receive())
        with pytest.raises(anyio.BusyResourceError, match="reading from"):
            await near.receive()
        await outcomes.watch("writes", near.send(b"ab"))
        with pytest.raises(anyio.BusyResourceError, match="writing to"):
            await near.send(b"c")
        await near.aclose()
        await at_rest()
        assert kinds(outcomes) == {"reads": anyio.ClosedResourceError, "writes": anyio.ClosedResourceError}


@pytest.mark.parametrize("seed", range(20))
async def test_at_random_no_byte_is_lost_or_twice_or_out_of_order_whoever_is_cancelled(seed: int) -> None:
    chance = random.Random(seed)
    network = FakeNetwork(latency=chance.choice([0.0, 0.3]), buffer=chance.choice([1, 7, 100]))
    data = chance.randbytes(300)
    got = bytearray()
    async with pair(network) as (near, far), anyio.create_task_group() as group:

        async def write() -> None:
            rest = data
            while rest:
                before = network.traffic[-1].there
                with anyio.move_on_after(chance.choice([0.0, 0.1, 1.0])):
                    await near.send(rest[: chance.randint(1, 20)])
                rest = rest[network.traffic[-1].there - before :]
                if chance.random() < 0.1:
                    network.stall(back=False)
                    await anyio.sleep(0.2)
                    network.heal()
            await near.send_eof()

        group.start_soon(write)
        while True:
            with anyio.move_on_after(chance.choice([0.0, 0.1, 1.0])):
                try:
                    got += await far.receive(chance.randint(1, 30))
                except anyio.EndOfStream:
                    break
    assert bytes(got) == data


# -- ends -----------------------------------------------------------------------------------------------------------------


async def test_who_writes_no_more_reads_on() -> None:
    async with pair() as (near, far):
        await near.send(b"last")
        for _ in range(2):
            await near.send_eof()
        with pytest.raises(anyio.ClosedResourceError):
            await near.send(b"x")
        assert await far.receive() == b"last"
        for _ in range(2):
            with pytest.raises(anyio.EndOfStream):
                await far.receive()
        await far.send(b"answer")
        assert await near.receive() == b"answer"


async def test_after_a_close_the_other_side_reads_all_and_then_the_end() -> None:
    async with pair() as (near, far), anyio.create_task_group() as group:
        await far.send(b"never read")
        outcomes = Outcomes(group)
        await near.send(b"last")
        for _ in range(2):
            await near.aclose()
        ways: list[Callable[[], Awaitable[Any]]] = [near.receive, partial(near.send, b"x"), near.send_eof]
        for way in ways:
            with pytest.raises(anyio.ClosedResourceError):
                await way()
        await outcomes.watch("writes", far.send(b"x"))
        assert kinds(outcomes) == {"writes": anyio.BrokenResourceError}
        assert await far.receive() == b"last"
        with pytest.raises(anyio.EndOfStream):
            await far.receive()


async def test_who_waits_at_a_full_buffer_hears_that_the_reader_has_gone() -> None:
    network = FakeNetwork(latency=3, buffer=1)
    async with pair(network) as (near, far), anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("waits", near.send(b"ab"))
        await far.aclose()
        await anyio.sleep(2.9)
        assert outcomes.of == {}
        await anyio.sleep(0.2)
        assert kinds(outcomes) == {"waits": anyio.BrokenResourceError}


# -- faults ---------------------------------------------------------------------------------------------------------------


async def test_a_cut_breaks_both_ends_and_what_was_under_way_is_gone() -> None:
    network = FakeNetwork(buffer=4)
    async with pair(network) as (near, far), pair(network) as others, anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await far.send(b"gone")
        await outcomes.watch("reads", far.receive())
        await outcomes.watch("writes", far.send(b"full"))
        network.stall()
        await near.send(b"gone")
        network.cut()
        await at_rest()
        assert kinds(outcomes) == dict.fromkeys(["reads", "writes"], anyio.BrokenResourceError)
        for end in (near, far, *others):
            ways: list[Callable[[], Awaitable[Any]]] = [end.receive, partial(end.send, b"x"), end.send_eof]
            for way in ways:
                with pytest.raises(anyio.BrokenResourceError):
                    await way()
        network.heal()
        async with pair(network) as (near, far):  # new ones work
            await near.send(b"new")
            assert await far.receive() == b"new"
        assert network.made == 3


@pytest.mark.parametrize("side", ["near", "far"])
async def test_one_side_alone_is_broken_and_the_other_isnt_told(side: str) -> None:
    network = FakeNetwork(buffer=4)
    async with pair(network) as (near, far), anyio.create_task_group() as group:
        broken, other = (near, far) if side == "near" else (far, near)
        outcomes = Outcomes(group)
        await broken.send(b"last")
        (network.cut_near if side == "near" else network.cut_far)()
        with pytest.raises(anyio.BrokenResourceError):
            await broken.receive()
        with pytest.raises(anyio.BrokenResourceError):
            await broken.send(b"x")
        await broken.aclose()  # which doesn't tell, either
        assert await other.receive() == b"last"
        await outcomes.watch("reads", other.receive())
        await outcomes.watch("fits", other.send(b"abcd"))
        await outcomes.watch("waits", other.send(b"e"))
        await anyio.sleep(1000)
        assert outcomes.of == {"fits": None}
        network.cut()


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("size", range(7))
async def test_it_breaks_after_exactly_so_many_bytes(size: int, back: bool) -> None:
    network = FakeNetwork()
    async with pair(network) as (near, far), pair(network) as (last_near, last_far), anyio.create_task_group() as group:
        writer, reader = (last_far, last_near) if back else (last_near, last_far)
        await writer.send(b"before")
        assert await reader.receive() == b"before"
        network.cut_after(size, back=back)
        outcomes = Outcomes(group)
        for data in (b"abc", b"def", b"g"):
            await outcomes.watch(data, writer.send(data))
        got = await exactly(reader, size) if size else b""
        assert got == b"abcdefg"[:size]
        for end in (reader, writer):
            with pytest.raises(anyio.BrokenResourceError):
                await end.receive()
            with pytest.raises(anyio.BrokenResourceError):
                await end.send(b"x")
        assert kinds(outcomes) == {
            b"abc": None if size >= 3 else anyio.BrokenResourceError,
            b"def": None if size >= 6 else anyio.BrokenResourceError,
            b"g": anyio.BrokenResourceError,
        }
        assert network.traffic[-1] == (Traffic(0, 6 + size) if back else Traffic(6 + size, 0))
        await near.send(b"untouched")
        assert await far.receive() == b"untouched"


@pytest.mark.parametrize(("there", "back"), [(True, False), (False, True), (True, True)])
async def test_a_stall_lets_nothing_arrive_and_tells_nobody_until_it_heals(there: bool, back: bool) -> None:
    network = FakeNetwork(buffer=4)
    async with pair(network) as (near, far), anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await near.send(b"1")
        await far.send(b"2")
        network.stall(there=there, back=back)
        network.stall(there=False, back=False)  # adds nothing, and takes nothing away
        await outcomes.watch("far", far.receive())
        await outcomes.watch("near", near.receive())
        await outcomes.watch("fits", near.send(b"345"))
        await outcomes.watch("waits", near.send(b"67"))
        await anyio.sleep(1000)
        free = {"fits": None, **({} if there else {"far": b"1"}), **({} if back else {"near": b"2"})}
        assert outcomes.of == free
        network.heal()
        await at_rest()
        assert outcomes.of["near"] == b"2"
        assert outcomes.of["far"] + await exactly(far, 6 - len(outcomes.of["far"])) == b"134567"


async def test_in_a_stall_a_close_is_told_to_nobody_either() -> None:
    network = FakeNetwork(buffer=4)
    async with pair(network) as (near, far), anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        network.stall()
        await near.send(b"last")
        await near.aclose()
        await outcomes.watch("fits", far.send(b"abcd"))
        await outcomes.watch("waits", far.send(b"e"))
        await outcomes.watch("reads", far.receive())
        await anyio.sleep(1000)
        assert outcomes.of == {"fits": None}
        network.heal()
        await at_rest()
        assert kinds(outcomes) == {"fits": None, "waits": anyio.BrokenResourceError, "reads": b"last"}


async def test_connections_that_are_made_after_a_stall_work() -> None:
    network = FakeNetwork()
    async with pair(network):
        network.stall()
        async with pair(network) as (near, far):
            await near.send(b"a")
            assert await far.receive() == b"a"


async def test_a_network_that_refuses_says_so_and_one_that_is_absent_says_nothing() -> None:
    network = FakeNetwork()
    network.refuse()
    with pytest.raises(OSError, match="refused"):
        await network.connect()
    network.heal()
    network.leave()
    async with anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("waits", network.connect())
        with anyio.move_on_after(5) as scope:
            await network.connect()
        assert scope.cancelled_caught
        assert (outcomes.of, network.made) == ({}, 0)
        network.heal()
        await at_rest()
        assert isinstance(outcomes.of["waits"], FakeStream)
        assert network.made == 1


# -- listeners ------------------------------------------------------------------------------------------------------------


async def test_connections_are_taken_in_their_order_also_those_from_before() -> None:
    network = FakeNetwork()
    early = [await network.connect() for _ in range(3)]
    (listener,) = await network.listen()
    for number, stream in enumerate(early):
        await stream.send(b"%d" % number)
        assert await (await listener.accept()).receive() == b"%d" % number


@pytest.mark.parametrize("with_group", [False, True])
async def test_it_serves_each_connection_in_a_task(with_group: bool) -> None:
    network = FakeNetwork()
    got: list[bytes] = []

    async def handler(stream: ByteStream) -> None:
        async with stream:
            got.append(await stream.receive())
            await stream.send(b"answer")

    async with anyio.create_task_group() as group, anyio.create_task_group() as own:
        listener = network.listener()
        own.start_soon(listener.serve, handler, group if with_group else None)
        silent, speaking = await network.connect(), await network.connect()
        await speaking.send(b"asks")
        assert await speaking.receive() == b"answer"
        assert got == [b"asks"]
        await silent.send(b"late")
        await at_rest()
        assert got == [b"asks", b"late"]
        own.cancel_scope.cancel()


async def test_a_listener_that_is_closed_takes_no_more_and_the_next_one_does() -> None:
    network = FakeNetwork()
    listener, later = network.listener(), network.listener()
    async with anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("waits", listener.accept())
        with pytest.raises(anyio.BusyResourceError):
            await listener.accept()
        await listener.aclose()
        await at_rest()
        assert kinds(outcomes) == {"waits": anyio.ClosedResourceError}
        with pytest.raises(anyio.ClosedResourceError):
            await listener.accept()
        near = await network.connect()
        await near.send(b"a")
        assert await (await later.accept()).receive() == b"a"


async def test_two_listeners_share_what_comes_and_none_is_forgotten() -> None:
    network = FakeNetwork()
    async with anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        for number in range(2):
            await outcomes.watch(number, network.listener().accept())
        for _ in range(2):
            await network.connect()
        await at_rest()
        assert len({*outcomes.of.values()}) == 2


async def test_a_call_for_a_connection_that_is_cancelled_takes_none() -> None:
    network = FakeNetwork()
    listener = network.listener()
    near = await network.connect()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await listener.accept()
    with anyio.move_on_after(1):
        await (await listener.accept()).send(b"a")
    assert await near.receive() == b"a"
