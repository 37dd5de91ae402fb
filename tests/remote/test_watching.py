"""What an actor at the other side of a link does is seen from here: its ends, and what it publishes.

Tested on both backends in virtual time: `watch`, monitors, subscriptions; over crashes, stops, lost links and reconnects; a
slow reader; what the other side doesn't have; how many a side may ask for.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
import pytest

from supervise import Address, Down, ExitKind, RunningSupervisor, SubscriberTooSlow, Supervisor, child, current
from supervise.errors import NotServed
from supervise.remote.dial import dial
from supervise.remote.gate import gate
from supervise.remote.link import Link
from supervise.remote.watching import AHEAD
from supervise.testing.fake_link import FakeNetwork
from supervise.testing.virtual_time import at_rest
from supervise.wire.frames import Frame
from supervise.wire.interface import Interface
from supervise.wire.kinds import Kind
from supervise.wire.remote_address import RemoteAddress
from tests.doubles import Outcomes

pytestmark = pytest.mark.anyio


@dataclass
class Price:
    """What a market publishes."""

    item: str
    cents: int


@dataclass
class Unheard:
    """What it doesn't say that it does."""

    text: str


class MarketApi(Protocol):
    """What can be asked of a market."""

    async def price(self, item: str, cents: int) -> None: ...
    async def crash(self) -> None: ...


MARKET: Interface[MarketApi] = Interface("market", MarketApi, events=(Price,))


class Market:
    """Publishes what it is told."""

    async def price(self, item: str, cents: int) -> None:
        current().publish(Price(item, cents))
        current().publish(Unheard(item))

    async def crash(self) -> None:
        raise ValueError("crash")


class Nurse:
    """Watches."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def look_after(self, far: RemoteAddress[MarketApi]) -> None:
        current().watch(far, Nurse.down)

    def down(self, down: Down) -> None:
        self.seen.append(str(down))

    def read(self) -> list[str]:
        return self.seen


@dataclass
class Town:
    """A market behind a gate, and who looks at it."""

    network: FakeNetwork
    market: Address[Market]
    shop: RunningSupervisor
    web: RunningSupervisor
    far: RemoteAddress[MarketApi]
    link: Address[Any]


@asynccontextmanager
async def town() -> AsyncGenerator[Town]:
    network, market = FakeNetwork(), child(Market, name="market")
    link = dial(network.connect, uses=[MARKET])
    async with Supervisor("shop", market, gate(network.listen, serves=[MARKET.by(market)])) as shop:
        async with Supervisor("web", link) as web:
            found = web.find(link)
            await MARKET.over(found).call(MarketApi.price, "first", 0)
            yield Town(network, shop.find(market), shop, web, MARKET.over(found), found)


# -- ends ------------------------------------------------------------------------------------------------------------------


async def test_watch_waits_for_the_end_and_a_restart_isnt_one() -> None:
    async with town() as t, anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("end", t.far.watch())
        await t.far.send(MarketApi.crash)
        await at_rest()
        assert outcomes.of == {}
        await t.shop.terminate_child(t.market)
        await at_rest()
        assert str(outcomes.of["end"]) == "web/link:market #2 ended: shutdown"
        assert (await t.far.watch()).reason.kind is ExitKind.SHUTDOWN  # it has ended before


async def test_a_lost_link_is_an_end_at_once() -> None:
    async with town() as t, anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("end", t.far.watch())
        t.network.refuse()
        t.network.cut()
        await at_rest()
        assert outcomes.of["end"].reason.kind is ExitKind.UNREACHABLE
        assert (await t.far.watch()).reason.kind is ExitKind.UNREACHABLE


async def test_a_watch_that_is_cancelled_is_taken_back() -> None:
    async with town() as t:
        with anyio.move_on_after(1):
            await t.far.watch()
        await at_rest()
        assert watched(t) == (0, 0)


def watched(t: Town) -> tuple[int, int]:
    """What the far side keeps for this link: watches and subscriptions."""
    (link,) = [t.shop.find(f"gate/links/{info.id}") for info in t.shop.supervisor("gate/links").which_children()]
    life = link._mailbox.mailbox.turn
    assert life is not None
    found = life.instance._watched
    return len(found._lookouts), len(found._feeds)


async def test_a_monitor_hears_of_each_end_and_goes_on_after_a_reconnect() -> None:
    async with town() as t:
        nurse = await t.web.start(Nurse)
        await nurse.call(Nurse.look_after, t.far)
        await at_rest()
        await t.far.send(MarketApi.crash)
        await at_rest()
        t.network.cut()
        await anyio.sleep(5)
        await t.far.send(MarketApi.crash)
        await at_rest()
        assert await nurse.call(Nurse.read) == [
            "web/link:market #1 ended: crashed (ValueError: crash)",
            "web/link:market ended: unreachable (ConnectionLost: the connection broke)",
            "web/link:market #2 ended: crashed (ValueError: crash)",
        ]
        await t.web.terminate_child(nurse)
        await t.far.send(MarketApi.crash)  # nobody wants to know any more
        await at_rest()
        assert watched(t) == (0, 0)


# -- events ----------------------------------------------------------------------------------------------------------------


async def test_what_it_publishes_comes_over_the_link_as_it_declares_it() -> None:
    async with town() as t:
        async with t.far.subscribe(Price) as prices:
            await at_rest()
            for cents in range(5):
                await t.far.send(MarketApi.price, "tea", cents)
            assert [await prices.receive() for _ in range(5)] == [Price("tea", cents) for cents in range(5)]
            assert watched(t) == (0, 1)
        await at_rest()
        assert watched(t) == (0, 0)
        with pytest.raises(NotServed):
            t.far.subscribe(Unheard)


async def test_what_the_very_next_call_makes_it_publish_is_told() -> None:
    async with town() as t:
        for cents in range(30):  # trio runs tasks in a random order
            async with t.far.subscribe(Price) as prices:
                await t.far.call(MarketApi.price, "tea", cents)
                await at_rest()
                assert len(prices) == 1
                assert await prices.receive() == Price("tea", cents)


async def test_a_slow_reader_harms_itself_alone() -> None:
    async with town() as t:
        async with t.far.subscribe(Price, capacity=10) as slow, t.far.subscribe(Price, capacity=1000) as quick:
            await at_rest()
            for cents in range(200):
                await t.far.call(MarketApi.price, "tea", cents)
                assert await quick.receive() == Price("tea", cents)
            await at_rest()
            got = [(await slow.receive()).cents for _ in range(AHEAD + 1 + 10)]
            assert got == [*range(AHEAD + 1), *range(190, 200)]
            assert (slow.dropped, slow.gaps, quick.dropped) == (200 - len(got), 0, 0)


async def test_a_slow_reader_may_be_closed() -> None:
    async with town() as t:
        async with t.far.subscribe(Price, capacity=1, overflow="close") as slow:
            await at_rest()
            for cents in range(50):
                await t.far.call(MarketApi.price, "tea", cents)
            got: list[int] = []
            with pytest.raises(SubscriberTooSlow, match=r"market' was closed: 1 value waited, and overflow='close'"):
                while True:
                    got.append((await slow.receive()).cents)
            assert got == [*range(len(got))]
            assert AHEAD <= len(got) <= AHEAD + 2


async def test_a_subscription_goes_on_over_a_reconnect_and_counts_the_gap() -> None:
    async with town() as t:
        async with t.far.subscribe(Price) as prices:
            await at_rest()
            await t.far.call(MarketApi.price, "tea", 1)
            await at_rest()  # the answer comes before the event
            t.network.cut()
            await t.market.call(Market.price, "missed", 2)
            await anyio.sleep(5)
            await t.far.call(MarketApi.price, "tea", 3)
            assert [await prices.receive(), await prices.receive()] == [Price("tea", 1), Price("tea", 3)]
            assert prices.gaps == 1


async def test_it_may_begin_before_there_is_a_link_and_ends_with_the_actor() -> None:
    async with town() as t:
        t.network.refuse()
        t.network.cut()
        await at_rest()
        async with t.far.subscribe(Price) as prices:
            t.network.heal()
            await anyio.sleep(10)
            await t.far.call(MarketApi.price, "tea", 1)
            assert await prices.receive() == Price("tea", 1)
            assert prices.gaps == 0
            await t.web.terminate_child(t.link)
            with pytest.raises(anyio.EndOfStream):
                await prices.receive()


async def test_nobody_may_ask_for_too_much() -> None:
    async with town() as t:
        carrier = t.link._mailbox.mailbox.extras.carrier
        assert isinstance(carrier, Link)
        connection = carrier.connection
        assert connection is not None
        for number in range(1, 1001):
            connection.put(Frame(Kind.WATCH, number), urgent=True)
        await at_rest()
        assert watched(t) == (1000, 0)
        connection.put(Frame(Kind.WATCH, 1001), urgent=True)
        await at_rest()
        assert connection.closed
