"""What once went wrong at a relay: each test is of one fault, and was red with it.

Tested on both backends in virtual time: events that the process behind it doesn't have, and more subscriptions than its link
takes; what was missed before the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import anyio
import pytest

from supervise import Supervisor, child
from supervise.events import LinkDown
from supervise.remote.dial import dial
from supervise.remote.gate import gate
from supervise.remote.relay import relay
from supervise.remote.watching import MOST
from supervise.testing import record
from supervise.testing.fake_link import FakeNetwork
from supervise.testing.virtual_time import at_rest
from supervise.wire.interface import Interface

from .test_relayed_events import road
from .test_watching import MARKET, Market, MarketApi, Price

pytestmark = pytest.mark.anyio


@dataclass
class Halted:
    """What a market of today publishes, too."""

    item: str


TODAY: Interface[MarketApi] = Interface("market", MarketApi, events=(Price, Halted))


async def test_events_that_the_process_behind_a_relay_doesnt_have_end_the_subscription_and_no_link() -> None:
    outer, inner, market = FakeNetwork(), FakeNetwork(), child(Market, name="market")
    link, near = dial(inner.connect, uses=[TODAY]), dial(outer.connect, uses=[TODAY])
    async with (
        Supervisor("shop", market, gate(inner.listen, serves=[MARKET.by(market)])),
        Supervisor("between", link, gate(outer.listen, serves=[relay(link, TODAY)])),
        Supervisor("web", near) as web,
    ):
        told = record(web)
        far = TODAY.over(web.find(near))
        await far.call(MarketApi.price, "first", 0)
        with anyio.fail_after(60), pytest.raises(anyio.EndOfStream):
            async with far.subscribe(Halted) as halts:
                await halts.receive()
        async with far.subscribe(Price) as prices:
            await far.call(MarketApi.price, "tea", 1)
            assert await prices.receive() == Price("tea", 1)
        assert not [event for event in told if isinstance(event, LinkDown)]


async def test_more_subscriptions_than_the_link_behind_a_relay_takes_end_and_no_link_does() -> None:
    async with road() as r:
        own = r.between.find("link")._mailbox.mailbox.extras.carrier.watching  # type: ignore[attr-defined]
        told = record(r.web)
        others = [own.subscribe(MARKET, Price, 1, "drop_oldest") for _ in range(MOST)]
        for other in others:
            other._enter()
        with anyio.fail_after(60), pytest.raises(anyio.EndOfStream):
            async with r.far.subscribe(Price) as prices:
                await prices.receive()
        for other in others:
            await other.aclose()
        assert not [event for event in told if isinstance(event, LinkDown)]


async def test_what_was_missed_is_told_before_the_end_too() -> None:
    async with road() as r, r.far.subscribe(Price) as prices:
        await at_rest()
        r.inner.cut()
        await anyio.sleep(5)
        await r.shop.terminate_child("market")
        await r.shop.delete_child("market")
        with pytest.raises(anyio.EndOfStream):
            await prices.receive()
        assert prices.gaps == 1
