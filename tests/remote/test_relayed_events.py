"""What an actor behind a relay does is seen through it: its ends, and what it publishes.

Tested in virtual time: `watch`, monitors and subscriptions over two links; the link behind the relay is lost, and comes back; a
reader that is slow; how much was missed, on either link; a relay that has no link, or chooses one for each message.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import pytest

from supervise import Address, ExitKind, RunningSupervisor, SubscriberTooSlow, Supervisor, child
from supervise.mailbox.observers import _OBSERVED
from supervise.remote.dial import dial
from supervise.remote.gate import gate
from supervise.remote.relay import relay
from supervise.remote.watching import AHEAD
from supervise.testing.fake_link import FakeNetwork
from supervise.testing.virtual_time import at_rest
from supervise.wire.remote_address import RemoteAddress

from .test_watching import MARKET, Market, MarketApi, Nurse, Price

pytestmark = pytest.mark.anyio


@dataclass
class Road:
    """A market, a relay in front of it, and who looks at it through that."""

    outer: FakeNetwork
    inner: FakeNetwork
    shop: RunningSupervisor
    between: RunningSupervisor
    web: RunningSupervisor
    market: Address[Market]
    far: RemoteAddress[MarketApi]


@asynccontextmanager
async def road(*, chosen: bool = False) -> AsyncGenerator[Road]:
    outer, inner, market = FakeNetwork(), FakeNetwork(), child(Market, name="market")
    link = dial(inner.connect, uses=[MARKET])
    through = relay((lambda _: link) if chosen else link, MARKET)
    near = dial(outer.connect, uses=[MARKET])
    async with (
        Supervisor("shop", market, gate(inner.listen, serves=[MARKET.by(market)])) as shop,
        Supervisor("between", link, gate(outer.listen, serves=[through])) as between,
        Supervisor("web", near) as web,
    ):
        far = MARKET.over(web.find(near))
        await far.call(MarketApi.price, "first", 0)
        yield Road(outer, inner, shop, between, web, shop.find(market), far)
        await at_rest()
        assert all(app.account().balanced for app in (shop, between, web))


async def test_watch_waits_for_the_end_of_the_actor_behind_it() -> None:
    async with road() as r, anyio.create_task_group() as group:
        ends: list[str] = []

        async def watches() -> None:
            ends.append(str(await r.far.watch()))

        group.start_soon(watches)
        await at_rest()
        await r.market.send(Market.crash)
        await at_rest()
        assert ends == []
        await r.shop.terminate_child("market")
        await at_rest()
        assert ends == ["web/link:market #2 ended: shutdown"]


async def test_a_monitor_hears_of_each_end_and_of_a_lost_link_behind_the_relay() -> None:
    async with road() as r:
        nurse = await r.web.start(Nurse)
        await nurse.call(Nurse.look_after, r.far)
        await at_rest()
        await r.market.send(Market.crash)
        await at_rest()
        r.inner.cut()
        await anyio.sleep(5)
        await r.market.send(Market.crash)
        await at_rest()
        first, lost, second = await nurse.call(Nurse.read)
        assert "#1 ended: crashed (ValueError: crash" in first
        assert "market ended: unreachable (ConnectionLost" in lost
        assert "#2 ended: crashed (ValueError: crash" in second


async def test_what_it_publishes_comes_over_both_links() -> None:
    async with road() as r, r.far.subscribe(Price) as prices:
        await at_rest()
        for cents in range(100):
            await r.market.call(Market.price, "tea", cents)
            assert await prices.receive() == Price("tea", cents)
        assert (prices.gaps, prices.dropped) == (0, 0)


async def test_what_was_missed_on_either_link_is_counted() -> None:
    async with road() as r, r.far.subscribe(Price) as prices:
        await at_rest()
        for number, network in enumerate([r.inner, r.outer, r.inner], 1):
            network.cut()
            await r.market.call(Market.price, "missed", number)
            await anyio.sleep(10)
            await r.market.call(Market.price, "tea", number)
            assert await prices.receive() == Price("tea", number)
            assert prices.gaps == number
        assert prices.dropped == 0


async def test_a_slow_reader_harms_itself_alone_and_is_told_how_much_it_has_missed() -> None:
    async with road() as r, r.far.subscribe(Price, capacity=10) as slow:
        await at_rest()
        for cents in range(300):
            await r.market.call(Market.price, "tea", cents)
        await at_rest()
        got = [(await slow.receive()).cents]
        while got[-1] != 299:
            got.append((await slow.receive()).cents)
        assert got == sorted(got)
        assert got[-10:] == [*range(290, 300)]
        assert len(got) <= 2 * AHEAD + 20
        assert slow.dropped == 300 - len(got)


async def test_a_slow_reader_may_be_closed() -> None:
    async with road() as r, r.far.subscribe(Price, capacity=1, overflow="close") as slow:
        await at_rest()
        for cents in range(100):
            await r.market.call(Market.price, "tea", cents)
        with pytest.raises(SubscriberTooSlow, match="1 value waited"):
            while True:
                await slow.receive()


async def test_who_leaves_is_forgotten_on_both_links() -> None:
    async with road() as r:
        id_of_market = r.market._mailbox.mailbox.id
        async with r.far.subscribe(Price):
            await at_rest()
            assert len(_OBSERVED[id_of_market].subscriptions) == 1
        with anyio.move_on_after(1):
            await r.far.watch()
        await at_rest()
        assert id_of_market not in _OBSERVED  # nobody wants to know


async def test_a_relay_whose_link_is_gone_says_so() -> None:
    async with road() as r:
        await r.between.terminate_child("link")
        await r.between.delete_child("link")
        down = await r.far.watch()
        assert down.reason.kind is ExitKind.UNREACHABLE
        with pytest.raises(anyio.EndOfStream):
            async with r.far.subscribe(Price) as prices:
                await prices.receive()


async def test_one_that_chooses_for_each_message_has_no_actor_to_be_watched() -> None:
    async with road(chosen=True) as r:
        down = await r.far.watch()
        assert down.reason.kind is ExitKind.UNREACHABLE
        assert "a link of its own" in down.reason.detail
        with pytest.raises(anyio.EndOfStream):
            async with r.far.subscribe(Price) as prices:
                await prices.receive()
