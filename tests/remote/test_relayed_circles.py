"""Calls that wait for themselves through a relay are told so within a round trip: a relay is one hop more, and no hiding place.

Tested on both backends in virtual time, with three trees: circles that close at each depth from 2 to 7, over links and through
the relay; circles at the far side; what isn't one is answered; the deepest call, and one that is too deep.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol

import anyio
import pytest

from supervise import Address, CallCycle, Child, Supervisor, child, concurrent, current
from supervise.errors import CallTooDeep
from supervise.remote.dial import dial
from supervise.remote.gate import gate
from supervise.remote.peer import Peer
from supervise.remote.relay import relay
from supervise.testing.fake_link import FakeNetwork
from supervise.testing.virtual_time import at_rest
from supervise.wire.interface import Interface

pytestmark = pytest.mark.anyio
LATENCY = 0.125
"""Seconds of one way over one link."""


class SideApi(Protocol):
    """Goes on along a path, and says how many steps there were behind it."""

    async def go(self, path: list[str]) -> int: ...


NAMES = ("left", "left-alone", "right", "right-alone")
APIS: dict[str, Interface[SideApi]] = {name: Interface(name, SideApi) for name in NAMES}


class Side(SideApi):
    """A step is `link left-alone`, to that actor by the link of one's own, or `relay right`, through the relay. What has no
    `-alone` in its name handles many at once.
    """

    async def go(self, path: list[str]) -> int:
        if not path:
            return 0
        way, to = path[0].split()
        return 1 + await APIS[to].over(current().find(way)).call(SideApi.go, path[1:])


class Beside(Side):
    """The same for many at once."""

    @concurrent
    async def go(self, path: list[str]) -> int:
        return await super().go(path)


def _of(name: str) -> list[Interface[SideApi]]:
    return [APIS[name], APIS[f"{name}-alone"]]


def _side(name: str, own: FakeNetwork, front: FakeNetwork, other: FakeNetwork) -> Supervisor:
    far = "right" if name == "left" else "left"
    beside, alone = child(Beside, name="beside", expects=(Exception,)), child(Side, name="alone", expects=(Exception,))
    through: Child[Peer] = dial(front.connect, uses=[*APIS.values()], name="relay")
    straight: Child[Peer] = dial(other.connect, uses=_of(far), name="link")
    door = gate(own.listen, serves=[APIS[name].by(beside), APIS[f"{name}-alone"].by(alone)])
    return Supervisor(name, beside, alone, door, through, straight)


@asynccontextmanager
async def sides() -> AsyncGenerator[Address[Side]]:
    """Left, right, and a relay between them; they also have links of their own. Left's actor that handles one at a time."""
    left, right, front = (FakeNetwork(latency=LATENCY) for _ in range(3))
    links = {name: dial(network.connect, uses=_of(name), name=name) for name, network in (("left", left), ("right", right))}
    door = gate(front.listen, serves=[relay(links[name], api) for name in links for api in _of(name)])
    async with (
        Supervisor("between", *links.values(), door) as between,
        _side("right", right, front, left) as there,
        _side("left", left, front, right) as here,
    ):
        await anyio.sleep(60)  # all links are up
        yield here.find("alone")
        await at_rest()
        assert all(app.account().balanced and not app.account().in_hand for app in (here, between, there))


@pytest.mark.parametrize(
    ("depth", "path"),
    [
        (2, ["relay left-alone"]),
        (3, ["relay right", "link left-alone"]),
        (3, ["link right", "relay left-alone"]),
        (4, ["relay right", "relay left-alone"]),
        (4, ["relay right-alone", "relay left-alone"]),
        (5, ["relay right", "link left", "relay left-alone"]),
        (6, ["relay right", "relay left", "relay left-alone"]),
        (6, ["relay right-alone", "relay left", "relay right-alone"]),
        (7, ["relay right", "relay left", "relay right", "link left-alone"]),
        (7, ["link right-alone", "relay left", "relay left", "relay right-alone"]),
    ],
)
async def test_a_circle_is_told_within_a_round_trip(depth: int, path: list[str]) -> None:
    async with sides() as left:
        for _ in range(2):
            begun = anyio.current_time()
            with pytest.raises(CallCycle) as cycle:
                await left.call(Side.go, path)
            assert cycle.value.cycle
            assert anyio.current_time() - begun == pytest.approx(2 * depth * LATENCY)


@pytest.mark.parametrize(
    ("depth", "path"),
    [
        (3, ["relay right", "link left"]),
        (4, ["relay right-alone", "relay left"]),
        (6, ["relay right", "relay left", "relay right-alone"]),
        (8, ["relay right", "relay left", "relay right", "relay left"]),
    ],
)
async def test_what_waits_for_nobody_is_none(depth: int, path: list[str]) -> None:
    async with sides() as left:
        begun = anyio.current_time()
        assert await left.call(Side.go, path) == len(path)
        assert anyio.current_time() - begun == pytest.approx(2 * depth * LATENCY)


async def test_a_relay_is_one_hop_more() -> None:
    async with sides() as left:
        deepest = ["relay right", "relay left", "relay right", "link left"]
        assert await left.call(Side.go, [*deepest, "link right"]) == 5
        with pytest.raises(CallTooDeep):
            await left.call(Side.go, [*deepest, "relay right"])
