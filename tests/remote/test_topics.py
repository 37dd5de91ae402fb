"""Events for whoever subscribes: a topic, from the process that it is in, and from others.

Tested in virtual time: events sent here and over a link reach subscribers here and there, in order; a call is an error on both
sides, and the topic lives on; what it doesn't declare; an interface without handlers; what can be no topic.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgspec
import pytest

from supervise import Address, InvalidSpec, RunningSupervisor, Supervisor
from supervise.errors import NotServed
from supervise.events import Raised, Stopped
from supervise.remote.dial import dial
from supervise.remote.gate import gate
from supervise.remote.relay import relay
from supervise.remote.topic import Topic, topic
from supervise.testing import record
from supervise.testing.fake_link import FakeNetwork
from supervise.testing.virtual_time import at_rest
from supervise.wire.interface import Interface
from supervise.wire.remote_address import RemoteAddress

pytestmark = pytest.mark.anyio


class PriceChanged(msgspec.Struct, frozen=True, tag=True):
    """One kind of event."""

    item: str
    cents: int


class Halted(msgspec.Struct, frozen=True, tag=True):
    """Another one."""

    item: str


class Dearer(PriceChanged, frozen=True, tag=True):
    """What isn't declared, though its base is."""

    by: int = 0


class PricesApi(Protocol):
    """Others may publish, too."""

    def publish(self, event: PriceChanged | Halted) -> None: ...


class ReadOnly(Protocol):
    """They may not."""


PRICES: Interface[PricesApi] = Interface("prices", PricesApi, events=(PriceChanged, Halted))
TO_READ: Interface[ReadOnly] = Interface("prices", ReadOnly, events=(PriceChanged,))


@asynccontextmanager
async def markets() -> AsyncGenerator[tuple[RunningSupervisor, Address[Topic], RemoteAddress[PricesApi]]]:
    """The shop, its topic, and the address of that from another process."""
    network, prices = FakeNetwork(), topic(PRICES)
    link = dial(network.connect, uses=[PRICES])
    async with (
        Supervisor("shop", prices, gate(network.listen, serves=[PRICES.by(prices)])) as shop,
        Supervisor("web", link) as web,
    ):
        yield shop, shop.find(prices), PRICES.over(web.find(link))


async def test_what_is_sent_here_and_over_a_link_reaches_all_subscribers_in_order() -> None:
    async with markets() as (_, here, far):
        async with here.subscribe(PriceChanged) as near, far.subscribe(PriceChanged) as there, far.subscribe(Halted) as halts:
            await at_rest()
            await here.send(Topic.publish, PriceChanged("tea", 1))
            await far.send(PricesApi.publish, PriceChanged("tea", 2))
            await at_rest()
            await here.send(Topic.publish, Halted("tea"))
            far.try_send(PricesApi.publish, PriceChanged("tea", 3))
            for events in near, there:
                assert [(await events.receive()).cents for _ in range(3)] == [1, 2, 3]
            assert await halts.receive() == Halted("tea")


async def test_a_call_is_an_error_and_the_topic_lives_on() -> None:
    async with markets() as (shop, here, far):
        told = record(shop)
        async with far.subscribe(PriceChanged) as changes:
            await at_rest()
            with pytest.raises(NotServed, match="shop/prices is a topic, which answers nobody: send to it"):
                await here.call(Topic.publish, PriceChanged("tea", 1))
            with pytest.raises(NotServed, match="is a topic, which answers nobody: send to it"):
                await far.call(PricesApi.publish, PriceChanged("tea", 2))
            await here.send(Topic.publish, PriceChanged("tea", 3))
            assert await changes.receive() == PriceChanged("tea", 3)
        assert not [event for event in told if isinstance(event, Stopped)]


@pytest.mark.parametrize("event", [Dearer("tea", 1), "tea", None, PriceChanged])
async def test_what_it_doesnt_declare_is_told_and_no_crash(event: Any) -> None:
    async with markets() as (shop, here, _):
        told = record(shop)
        await here.send(Topic.publish, event)
        await at_rest()
        (raised,) = [event for event in told if isinstance(event, Raised)]
        assert "interface 'prices' has no event" in raised.error
        assert "its events are PriceChanged, Halted" in raised.error
        assert not [event for event in told if isinstance(event, Stopped)]


async def test_others_may_publish_only_if_the_interface_says_so() -> None:
    network, prices = FakeNetwork(), topic(TO_READ, name="feed")
    link = dial(network.connect, uses=[TO_READ])
    async with (
        Supervisor("shop", prices, gate(network.listen, serves=[TO_READ.by(prices)])) as shop,
        Supervisor("web", link) as web,
    ):
        far: Any = TO_READ.over(web.find(link))
        with pytest.raises(NotServed, match="it has events alone"):
            await far.send(Topic.publish, PriceChanged("tea", 1))
        async with far.subscribe(PriceChanged) as changes:
            await at_rest()
            await shop.find("feed").send(Topic.publish, PriceChanged("tea", 2))
            assert await changes.receive() == PriceChanged("tea", 2)


async def test_a_topic_behind_a_relay() -> None:
    outer, inner, prices = FakeNetwork(), FakeNetwork(), topic(PRICES)
    back, near = dial(inner.connect, uses=[PRICES]), dial(outer.connect, uses=[PRICES])
    async with (
        Supervisor("shop", prices, gate(inner.listen, serves=[PRICES.by(prices)])) as shop,
        Supervisor("between", back, gate(outer.listen, serves=[relay(back, PRICES)])),
        Supervisor("web", near) as web,
    ):
        far = PRICES.over(web.find(near))
        async with far.subscribe(PriceChanged) as changes:
            await at_rest()
            await far.send(PricesApi.publish, PriceChanged("tea", 1))
            assert await changes.receive() == PriceChanged("tea", 1)
            await shop.find(prices).send(Topic.publish, PriceChanged("tea", 2))
            assert await changes.receive() == PriceChanged("tea", 2)


def test_what_can_be_no_topic_is_refused() -> None:
    given: Any = PricesApi
    with pytest.raises(InvalidSpec, match=r"topic: interface=.*PricesApi.*: an interface, as Interface"):
        topic(given)
    with pytest.raises(
        InvalidSpec,
        match=r"topic: interface='prices' is not valid: one that declares events: Interface\('prices', PricesApi, events=",
    ):
        topic(Interface("prices", PricesApi))
