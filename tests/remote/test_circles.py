"""Calls within calls over a link: a window for each depth keeps them going, and one that waits for itself is told at once.

Tested on both backends in virtual time: mutual nested calls with small windows; a circle at each depth, through local calls, a
nursery task and a third actor; what is no circle; the deepest call; what depth passes through.
"""

from __future__ import annotations

from typing import Any, Protocol

import anyio
import pytest

from supervise import Address, CallCycle, Supervisor, child, concurrent, current
from supervise.errors import CallTooDeep
from supervise.remote.dial import dial
from supervise.remote.gate import gate
from supervise.remote.limits import Limits
from supervise.testing.fake_link import FakeNetwork
from supervise.testing.virtual_time import at_rest
from supervise.wire.interface import Interface
from supervise.wire.remote_address import RemoteAddress

pytestmark = pytest.mark.anyio
SMALL = Limits(calls=4)


class SideApi(Protocol):
    """Both sides have one, and call each other."""

    async def down(self, depth: int) -> int: ...
    async def down_beside(self, depth: int) -> int: ...
    async def down_locally(self, depth: int) -> int: ...
    async def down_from_the_nursery(self, depth: int) -> int: ...
    async def leave_behind(self) -> None: ...
    async def count(self) -> int: ...


LEFT: Interface[SideApi] = Interface("left", SideApi)
RIGHT: Interface[SideApi] = Interface("right", SideApi)


class Side:
    """Calls the other side, which calls back, and so on."""

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen
        self.counted = 0

    def other(self) -> RemoteAddress[SideApi]:
        origin = current().origin
        if origin is not None:
            return LEFT.over(origin.link) if current().path.startswith("right") else RIGHT.over(origin.link)
        return RIGHT.over(current().find("link")) if current().path.startswith("left") else LEFT.over(links[0])

    async def down(self, depth: int) -> int:
        return 0 if not depth else 1 + await self.other().call(SideApi.down, depth - 1)

    @concurrent
    async def down_beside(self, depth: int) -> int:
        return 0 if not depth else 1 + await self.other().call(SideApi.down_beside, depth - 1)

    async def down_locally(self, depth: int) -> int:
        other = self.other()
        helper: Address[Helper] = current().find("helper")
        return 0 if not depth else 1 + await helper.call(Helper.ask, other, depth - 1)

    async def down_from_the_nursery(self, depth: int) -> int:
        if not depth:
            return 0
        other, found, done = self.other(), list[Any](), anyio.Event()

        async def ask() -> None:
            try:
                found.append(1 + await other.call(SideApi.down_from_the_nursery, depth - 1))
            except Exception as error:
                found.append(error)
            done.set()

        current().nursery.start_soon(ask)
        await done.wait()
        if isinstance(found[0], Exception):
            raise found[0]
        return int(found[0])

    async def leave_behind(self) -> None:
        """Ask the other side after having answered it."""
        other = self.other()

        async def ask() -> None:
            await anyio.sleep(1)
            self.seen.append(await other.call(SideApi.count))

        current().nursery.start_soon(ask)

    async def count(self) -> int:
        self.counted += 1
        return self.counted

    async def ask(self, handler: Any, *args: Any) -> Any:
        """For the tests: from a handler of its own."""
        return await self.other().call(handler, *args)


class Helper:
    """Asks for somebody else."""

    async def ask(self, other: RemoteAddress[SideApi], depth: int) -> int:
        return await other.call(SideApi.down_locally, depth)


links: list[Address[Any]] = []


class Sides:
    """Two trees that serve each other."""

    def __init__(self, limits: Limits = Limits(), **options: Any) -> None:  # noqa: B008 - a frozen value
        network = FakeNetwork()
        self.seen: list[Any] = []
        options = {"expects": (CallCycle, CallTooDeep), **options}
        left, right = child(Side, self.seen, name="left", **options), child(Side, self.seen, name="right", **options)
        door = gate(network.listen, serves=[RIGHT.by(right)], uses=[LEFT], limits=limits)
        link = dial(network.connect, uses=[RIGHT], serves=[LEFT.by(left)], limits=limits)
        self.right = Supervisor("right", right, child(Helper, name="helper", expects=(Exception,)), door)
        self.left = Supervisor("left", left, child(Helper, name="helper", expects=(Exception,)), link)

    async def __aenter__(self) -> Address[Side]:
        await self.right.__aenter__()
        app = await self.left.__aenter__()
        self._far = RIGHT.over(app.find("link"))
        return app.find("left")

    async def __aexit__(self, *_: Any) -> None:
        await self.left.__aexit__(None, None, None)
        await self.right.__aexit__(None, None, None)


async def test_mutual_nested_calls_with_small_windows_are_all_answered() -> None:
    async with Sides(SMALL) as left, anyio.create_task_group() as group:
        found: list[Any] = []

        async def ask() -> None:
            found.append(await left.call(Side.down_beside, 7))

        for _ in range(40):
            group.start_soon(ask)
        await anyio.sleep(100)
        assert found == [7] * 40


@pytest.mark.parametrize("depth", [2, 3, 4, 7])
@pytest.mark.parametrize("handler", [SideApi.down, SideApi.down_from_the_nursery, SideApi.down_locally])
async def test_a_circle_is_told_at_once(handler: Any, depth: int) -> None:
    """Left calls right, which calls left, which is at work for that."""
    async with Sides() as left:
        await at_rest()
        begun = anyio.current_time()
        own = getattr(Side, handler.__name__)
        # From a handler on the left: from its nursery nothing on the left waits for certain.
        with pytest.raises(CallCycle) as cycle:
            if handler is SideApi.down_from_the_nursery:
                await left.call(Side.ask, SideApi.down_from_the_nursery, depth - 1)
            else:
                await left.call(own, depth)
        assert anyio.current_time() == begun
        assert cycle.value.cycle
        assert await left.call(Side.count) == 1


async def test_what_has_been_answered_is_no_circle() -> None:
    sides = Sides()
    async with sides as left:
        await left.call(Side.ask, SideApi.leave_behind)
        await anyio.sleep(2)
        assert sides.seen == [1]


async def test_one_hop_is_no_circle() -> None:
    async with Sides() as left:
        assert await left.call(Side.down, 1) == 1
        assert await left.call(Side.ask, SideApi.count) == 1


async def test_the_deepest_call() -> None:
    async with Sides(Limits(depth=3)) as left:
        assert await left.call(Side.down_beside, 3) == 3
        with pytest.raises(CallTooDeep, match="call 4"):
            await left.call(Side.down_beside, 4)
        assert await left.call(Side.count) == 1
