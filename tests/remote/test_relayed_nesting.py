"""Calls within calls through a relay: whoever waits for credit behind it holds up nobody whose call is deeper.

Tested in virtual time: both sides call each other through the same relay, whose windows to the one side are smaller than to the
other; sends and calls of one sender keep their order at each depth.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import anyio
import pytest

from supervise import Address, Supervisor, child, concurrent, current
from supervise.remote.dial import dial
from supervise.remote.gate import gate
from supervise.remote.limits import Limits
from supervise.remote.relay import Passing, relay
from supervise.testing.fake_link import FakeNetwork
from supervise.wire.interface import Interface

pytestmark = pytest.mark.anyio


class SideApi(Protocol):
    """Both sides have one, and call each other."""

    async def down(self, depth: int) -> int: ...
    async def note(self, entry: int) -> None: ...
    async def notes(self) -> list[int]: ...
    async def down_and_note(self, depth: int, entry: int) -> list[int]: ...
    async def blob(self, data: bytes) -> None: ...
    async def down_and_blob(self, depth: int, size: int) -> int: ...


LEFT: Interface[SideApi] = Interface("left", SideApi)
RIGHT: Interface[SideApi] = Interface("right", SideApi)


class Side:
    """Calls the other side, which calls back, and so on."""

    def __init__(self) -> None:
        self.noted: list[int] = []

    def other(self) -> Any:
        interface = RIGHT if current().path.startswith("left") else LEFT
        return interface.over(current().find("link" if interface is RIGHT else "gate/links/link"))

    @concurrent
    async def down(self, depth: int) -> int:
        return 0 if not depth else 1 + await self.other().call(SideApi.down, depth - 1)

    async def note(self, entry: int) -> None:
        self.noted.append(entry)

    async def notes(self) -> list[int]:
        return [*self.noted]

    @concurrent
    async def down_and_note(self, depth: int, entry: int) -> list[int]:
        """The other side's notes, once the deepest one of those that call each other has left one of its own there."""
        if depth:
            return list[int](await self.other().call(SideApi.down_and_note, depth - 1, entry))
        for n in range(10):
            await self.other().send(SideApi.note, entry + n)
        return list[int](await self.other().call(SideApi.notes))

    @concurrent(limit=2)
    async def blob(self, data: bytes) -> None:
        await anyio.sleep(0.01)

    @concurrent
    async def down_and_blob(self, depth: int, size: int) -> int:
        if depth:
            return int(await self.other().call(SideApi.down_and_blob, depth - 1, size))
        for n in range(10):
            await self.other().send(SideApi.blob, bytes(size + n))
        return 10


@asynccontextmanager
async def through_a_relay(near: Limits, far: Limits) -> AsyncGenerator[Address[Side]]:
    outer, inner = FakeNetwork(), FakeNetwork()
    left, right = child(Side, name="left"), child(Side, name="right")

    def back_to_the_left(_: Passing) -> Address[Any]:
        return middle.find("gate/links/link")

    link = dial(inner.connect, uses=[RIGHT], serves=[relay(back_to_the_left, LEFT)], limits=far)
    async with (
        Supervisor("right", right, gate(inner.listen, serves=[RIGHT.by(right)], uses=[LEFT], limits=far)),
        Supervisor("middle", link, gate(outer.listen, serves=[relay(link, RIGHT)], uses=[LEFT], limits=near)) as middle,
        Supervisor("left", left, dial(outer.connect, uses=[RIGHT], serves=[LEFT.by(left)], limits=near)) as app,
    ):
        yield app.find("left")


SMALL, WIDE = Limits(calls=3, frame=32768, send_bytes=33024), Limits(calls=16)


@pytest.mark.parametrize(("near", "far"), [(WIDE, SMALL), (SMALL, WIDE), (SMALL, SMALL)], ids=["behind", "before", "both"])
async def test_mutual_nested_calls_through_a_relay_are_all_answered(near: Limits, far: Limits) -> None:
    async with through_a_relay(near, far) as left:
        answers: list[int] = []

        async def ask() -> None:
            answers.append(await left.options(timeout=60).call(Side.down, 4))

        async with anyio.create_task_group() as group:
            for _ in range(40):
                group.start_soon(ask)
        assert answers == [4] * 40


async def test_sends_and_calls_of_one_sender_keep_their_order_at_each_depth() -> None:
    async with through_a_relay(WIDE, SMALL) as left, anyio.create_task_group() as group:
        wrong: list[Any] = []
        seen: list[int] = []

        async def ask(entry: int, depth: int) -> None:
            notes = await left.options(timeout=60).call(Side.down_and_note, depth, entry)
            own = [note for note in notes if entry <= note < entry + 10]
            seen.append(entry)
            if own != [*range(entry, entry + 10)]:
                wrong.append((depth, own))

        for n in range(60):
            group.start_soon(ask, 10 * n, n % 4)
        await anyio.sleep(70)
        assert len(seen) == 60
        assert wrong == []


async def test_credit_of_sends_comes_back_whatever_their_depths() -> None:
    """Some pass others. What comes back has to fit what went out, in its order: else the other side has broken a rule."""
    async with through_a_relay(WIDE, SMALL) as left, anyio.create_task_group() as group:
        done: list[int] = []

        async def ask(size: int, depth: int) -> None:
            done.append(await left.options(timeout=60).call(Side.down_and_blob, depth, size))

        for n in range(100):
            group.start_soon(ask, 1000 + 997 * (n % 29), n % 4)
        await anyio.sleep(70)
        assert done == [10] * 100
