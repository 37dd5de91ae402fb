"""What others can bring about as often as they like doesn't fill the log.

Tested in virtual time: an `admit` that raises, a function that chooses no link, events that can't cross.
"""

from __future__ import annotations

from typing import Any, NoReturn

import anyio
import pytest

from supervise import Supervisor, child, current
from supervise.events import Refused
from supervise.remote.caller import Caller
from supervise.remote.dial import dial
from supervise.remote.gate import gate
from supervise.remote.relay import Passing, relay
from supervise.testing import record
from supervise.testing.fake_link import FakeNetwork
from supervise.testing.virtual_time import at_rest

from .test_once_wrong import introduces_itself
from .test_watching import MARKET, MarketApi, Price
from .world import ORDERS, OrdersApi

pytestmark = pytest.mark.anyio


def said(caplog: pytest.LogCaptureFixture, what: str) -> int:
    return len([record for record in caplog.records if what in record.message])


async def test_an_admit_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    def admit(_: Caller) -> NoReturn:
        raise ValueError("no")

    network = FakeNetwork()
    async with Supervisor("shop", gate(network.listen, admit=admit)) as shop:
        told = record(shop)
        for life in range(50):
            stream = await introduces_itself(network, life)
            await at_rest()
            await stream.aclose()
        assert len(told.of(Refused)) == 50
        assert said(caplog, "acceptor: admit raised ValueError: no") == 1
        await anyio.sleep(60)
        caplog.clear()
        await (await introduces_itself(network, 50)).aclose()
        await at_rest()
        assert said(caplog, "acceptor: admit raised ValueError: no") == 1


async def test_a_relay_that_chooses_no_link(caplog: pytest.LogCaptureFixture) -> None:
    def choose(_: Passing) -> NoReturn:
        raise ValueError("none")

    network = FakeNetwork()
    link = dial(network.connect, uses=[ORDERS])
    async with (
        Supervisor("between", gate(network.listen, serves=[relay(choose, ORDERS)])) as between,
        Supervisor("web", link) as web,
    ):
        for n in range(50):
            await ORDERS.over(web.find(link)).send(OrdersApi.note, n)
        await at_rest()
        assert between.account().dead_lettered == 50
        assert said(caplog, "the function that chooses a link") == 1


class Verbose:
    """Publishes what is too large, and how much of that there was."""

    async def price(self, item: str, cents: int) -> None:
        for _ in range(cents):
            current().publish(Price(item * 100_000, 0))
        current().publish(Price(item, cents))

    async def crash(self) -> None: ...


async def test_events_that_cant_cross(caplog: pytest.LogCaptureFixture) -> None:
    network, market = FakeNetwork(), child(Verbose, name="market")
    link = dial(network.connect, uses=[MARKET])
    async with (
        Supervisor("shop", market, gate(network.listen, serves=[MARKET.by(market)])),
        Supervisor("web", link) as web,
    ):
        far: Any = MARKET.over(web.find(link))
        await far.call(MarketApi.price, "tea", 0)
        async with far.subscribe(Price) as prices:
            await far.call(MarketApi.price, "tea", 50)
            assert await prices.receive() == Price("tea", 50)
            assert prices.dropped == 50
        assert said(caplog, "an event can't be told to the other side") == 1
