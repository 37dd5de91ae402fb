"""What once went wrong at a relay: each test is of one fault, and was red with it.

Tested on both backends in virtual time: events that the process behind it doesn't have, and more subscriptions than its link
takes; what was missed before the end; frames that are as long as may be, and those that a client has made up;
relays that lead back to each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from supervise import Supervisor, child
from supervise.errors import BadReply, CallTooDeep
from supervise.events import LinkDown, Lost
from supervise.remote.dial import dial
from supervise.remote.gate import gate
from supervise.remote.link import Link
from supervise.remote.relay import relay
from supervise.remote.watching import MOST
from supervise.testing import record
from supervise.testing.fake_link import FakeNetwork
from supervise.testing.virtual_time import at_rest
from supervise.wire.bodies import ErrorBody, encode_body, packed
from supervise.wire.frames import GREETING, Frame, encode
from supervise.wire.interface import Interface
from supervise.wire.kinds import Kind
from tests.doubles import Outcomes

from .test_relayed_events import road
from .test_relays import SMALL, Chain, chain
from .test_watching import MARKET, Market, MarketApi, Price
from .world import ORDERS, OrdersApi

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
        link = r.between.find("link")._mailbox.mailbox.extras.carrier
        assert isinstance(link, Link)
        told = record(r.web)
        others = [link.watching.subscribe(MARKET, Price, 1, "drop_oldest") for _ in range(MOST)]
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


async def sent_by_a_client(c: Chain, frame: Frame) -> None:
    """Of a client that does what it likes. Its own link ends by the answer, to what it doesn't know of."""
    link: Any = c.far._carrier
    link.connection.put(frame, urgent=True)
    await anyio.sleep(5)


def index(c: Chain, handler: Any) -> int:
    link: Any = c.far._carrier
    found: int = link._routes.index_of("shop", ORDERS.method(handler))
    return found


async def test_as_many_calls_above_it_as_a_frame_takes_are_no_fault_of_the_relays_link() -> None:
    async with chain() as c:
        await c.far.call(OrdersApi.count)
        body = ORDERS.method(OrdersApi.count).encode((), {})
        await sent_by_a_client(c, Frame(Kind.CALL, 99, index(c, OrdersApi.count), body, depth=1, above=(bytes(8),) * 8))
        assert c.inner.made == 1


@pytest.mark.parametrize("name", ["y" * 200, "\U0001f600" * 80], ids=["letters", "faces"])
async def test_as_many_bytes_as_a_frame_takes_are_no_fault_of_the_relays_link(name: str) -> None:
    async with chain() as c:
        await c.far.call(OrdersApi.count)
        told = record(c.between)
        method, to = ORDERS.method(OrdersApi.swallow), index(c, OrdersApi.swallow)
        size = GREETING - 2000
        while True:
            body = method.encode((bytes(size),), {})
            frame = Frame(Kind.SEND, 0, to, body, 10000, 0, "x" * 200, via=(name, name))
            if len(encode(frame)) - 4 == GREETING:
                break
            size += GREETING - (len(encode(frame)) - 4)
        await sent_by_a_client(c, frame)
        assert c.inner.made == 1
        (lost,) = told.of(Lost)
        assert "the other side takes" in str(lost)


async def test_an_error_that_is_too_large_for_the_first_link_is_a_bad_reply() -> None:
    async with chain(front=SMALL) as c, anyio.create_task_group() as group:
        await c.far.call(OrdersApi.count)
        outcomes = Outcomes(group)
        await outcomes.watch("call", c.far.call(OrdersApi.wait, 100))
        life = c.shop.find("gate/links/link")._mailbox.mailbox.turn
        assert life is not None
        peer: Any = life.instance
        body = encode_body(ErrorBody(kind="raised", args=packed(["x" * 40_000])))
        peer._answer(next(iter(peer._calls.values())), Kind.ERROR, body)
        await at_rest()
        assert isinstance(outcomes.of["call"], BadReply)
        assert (c.inner.made, c.outer.made) == (1, 1)


async def test_a_send_doesnt_go_round_for_ever_where_relays_lead_back_to_each_other() -> None:
    here, there = FakeNetwork(latency=0.1), FakeNetwork(latency=0.1)
    to_here, to_there = dial(here.connect, uses=[ORDERS], name="to_here"), dial(there.connect, uses=[ORDERS], name="to_there")
    near = dial(here.connect, uses=[ORDERS])
    async with (
        Supervisor("here", to_there, gate(here.listen, serves=[relay(to_there, ORDERS)])) as at_here,
        Supervisor("there", to_here, gate(there.listen, serves=[relay(to_here, ORDERS)])) as at_there,
        Supervisor("web", near) as web,
    ):
        told = [record(at_here), record(at_there)]
        far = ORDERS.over(web.find(near))
        await far.send(OrdersApi.note, 1)
        await anyio.sleep(60)
        (lost,) = [event for events in told for event in events.of(Lost)]
        assert "was passed on by 8 relays, which is the most" in str(lost)
        with pytest.raises(CallTooDeep):
            await far.call(OrdersApi.count)
        await at_rest()
        assert all(app.account().balanced for app in (at_here, at_there, web))
