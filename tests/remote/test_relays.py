"""Messages that are passed on to a third process: they arrive as they were sent, and their answers come back as they are.

Tested on both backends in virtual time: calls, sends, errors, order; deadlines, cancellation and credit; a backend that is
gone, slow, wrong, or another one by now; balancing; who asks; what a relay doesn't do.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from supervise import (
    ActorCrashed,
    ActorStopped,
    Address,
    CallTimeout,
    Child,
    ExitKind,
    InvalidSpec,
    RunningSupervisor,
    Supervisor,
    child,
    current,
)
from supervise.errors import BadReply, MailboxClosed, OutcomeUnknown, RemoteError
from supervise.events import Stopped
from supervise.remote.caller import Admission
from supervise.remote.dial import dial
from supervise.remote.gate import gate
from supervise.remote.limits import Limits
from supervise.remote.link import Link
from supervise.remote.peer import Peer
from supervise.remote.relay import Passing, relay
from supervise.testing import record
from supervise.testing.fake_link import FakeNetwork
from supervise.testing.virtual_time import at_rest
from supervise.wire.frames import Frame
from supervise.wire.interface import Interface
from supervise.wire.kinds import Kind
from supervise.wire.remote_address import RemoteAddress
from tests.doubles import Outcomes

from .world import ORDERS, Order, Orders, OrdersApi, OutOfStock

pytestmark = pytest.mark.anyio
SMALL = Limits(frame=32768, calls=4, call_bytes=40_000, send_bytes=33_024, out_bytes=33_024)


class WhoApi:
    """Tells who asks."""

    async def who(self) -> list[str]:
        """The identity and those behind it."""
        raise NotImplementedError


WHO: Interface[WhoApi] = Interface("who", WhoApi)


class Who(WhoApi):
    async def who(self) -> list[str]:
        origin = current().origin
        assert origin is not None
        return [origin.identity, *origin.relayed]


@dataclass
class Chain:
    """A shop, a relay in front of it, and who calls it through that."""

    outer: FakeNetwork
    inner: FakeNetwork
    shop: RunningSupervisor
    between: RunningSupervisor
    orders: Address[Orders]
    far: RemoteAddress[OrdersApi]
    who: RemoteAddress[WhoApi]
    log: list[Any]
    inside: Child[Peer]
    """The relay's own link, as it is described."""


def dial_to(network: FakeNetwork) -> Child[Peer]:
    return dial(network.connect, uses=[ORDERS, WHO])


@asynccontextmanager
async def chain(
    *,
    outer: FakeNetwork | None = None,
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
    front: Limits = Limits(),  # noqa: B008 - a frozen value
    **options: Any,
) -> AsyncGenerator[Chain]:
    outer, inner, log = outer or FakeNetwork(), FakeNetwork(), list[Any]()
    options = {"name": "orders", "expects": (KeyError, OutOfStock), **options}
    orders, who = child(Orders, log, **options), child(Who, name="who")
    back = gate(inner.listen, serves=[ORDERS.by(orders), WHO.by(who)], admit=lambda _: Admission("the relay"))
    link = dial(inner.connect, uses=[ORDERS, WHO], limits=limits)
    door = gate(
        outer.listen, serves=[relay(link, ORDERS), relay(link, WHO)], admit=lambda _: Admission("the web"), limits=front
    )
    near = dial_to(outer)
    async with (
        Supervisor("shop", orders, who, back) as shop,
        Supervisor("between", link, door) as between,
        Supervisor("web", near) as web,
    ):
        found = web.find(near)
        yield Chain(outer, inner, shop, between, shop.find(orders), ORDERS.over(found), WHO.over(found), log, link)
        await at_rest()
        assert all(app.account().balanced for app in (shop, between, web))


async def test_calls_sends_and_errors_pass_as_they_are_and_in_order() -> None:
    async with chain() as c:
        for n in range(50):
            await c.far.send(OrdersApi.note, n)
        assert await c.far.call(OrdersApi.read) == [*range(50)]
        assert (await c.far.call(OrdersApi.place, Order("tea", 2), urgent=True)).text == "tea!"
        with pytest.raises(OutOfStock) as itself:
            await c.far.call(OrdersApi.fail, "stock")
        assert itself.value.args == ("tea", 3)
        with pytest.raises(RemoteError) as answer:
            await c.far.call(OrdersApi.fail, "answer")
        assert answer.value.type == "KeyError"
        with pytest.raises(ActorCrashed, match="shop/orders #1 crashed"):
            await c.far.call(OrdersApi.fail, "boom")
        assert len(await c.far.call(OrdersApi.blob, 60_000)) == 60_000


async def test_deadlines_and_cancellation_reach_the_handler() -> None:
    async with chain() as c:
        await c.far.call(OrdersApi.count)
        left = await c.far.options(timeout=8).call(OrdersApi.remaining)
        assert left is not None
        assert left > 7.9
        with pytest.raises(CallTimeout):
            await c.far.options(timeout=2, on_cancel="cancel").call(OrdersApi.wait, 100)
        with anyio.move_on_after(2):
            await c.far.options(on_cancel="cancel").call(OrdersApi.wait, 100)
        await at_rest()
        assert c.log == ["cancelled", "cancelled"]
        assert await c.far.call(OrdersApi.count) == 0


async def test_a_smaller_window_behind_it_holds_up_its_senders() -> None:
    async with chain(limits=SMALL, capacity=2) as c, anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        for n in range(20):
            group.start_soon(outcomes._await, n, c.far.call(OrdersApi.wait_beside, 1))
        await anyio.sleep(10)
        assert [outcomes.of[n] for n in range(20)] == ["waited"] * 20
        for n in range(400):
            await c.far.send(OrdersApi.note, n)
        assert await c.far.call(OrdersApi.read) == [*range(400)]


async def test_a_caller_that_is_gone_while_its_message_asks_for_credit_gives_none_to_others() -> None:
    other = dial_to(network := FakeNetwork())
    async with chain(outer=network, limits=SMALL) as c, Supervisor("web-2", other) as web, anyio.create_task_group() as group:
        second = ORDERS.over(web.find(other))
        await c.far.call(OrdersApi.count)
        await second.call(OrdersApi.count)
        outcomes = Outcomes(group)
        for n in range(4):
            await outcomes.watch(n, c.far.call(OrdersApi.wait_beside, 10))
        await outcomes.watch(4, second.call(OrdersApi.wait_beside, 10))  # it asks first
        with anyio.move_on_after(2):
            await c.far.call(OrdersApi.wait_beside, 10)
        await at_rest()
        link = c.between.find("link")._mailbox.mailbox.extras.carrier
        assert isinstance(link, Link)
        assert (link._calls[1].out, link._calls[1].waiting) == (4, 2)
        await anyio.sleep(30)
        assert [outcomes.of[n] for n in range(5)] == ["waited"] * 5
        assert [(window.out, window.out_bytes, window.waiting) for window in link._calls] == [(0, 0, 0)] * 8
        assert await c.far.call(OrdersApi.count) == 0


async def test_a_backend_that_is_gone() -> None:
    async with chain() as c, anyio.create_task_group() as group:
        await c.far.call(OrdersApi.count)
        outcomes = Outcomes(group)
        await outcomes.watch("in hand", c.far.call(OrdersApi.wait, 100))
        c.inner.refuse()
        c.inner.cut()
        await at_rest()
        assert isinstance(outcomes.of["in hand"], OutcomeUnknown)
        await outcomes.watch("waits", c.far.call(OrdersApi.count))
        await c.far.send(OrdersApi.note, 1)
        c.inner.heal()
        await anyio.sleep(200)
        assert outcomes.of["waits"] == 0
        assert c.log == [1]


async def test_a_result_that_is_too_large_for_the_first_link_is_a_bad_reply() -> None:
    async with chain(front=SMALL) as c:
        with pytest.raises(BadReply, match="60003 bytes"):
            await c.far.call(OrdersApi.blob, 60_000)
        assert await c.far.call(OrdersApi.count) == 0


async def test_an_error_that_is_none_is_the_fault_of_the_link_that_it_came_by() -> None:
    """It isn't passed on: the caller's link would end by it, which can't help it."""
    async with chain() as c, anyio.create_task_group() as group:
        await c.far.call(OrdersApi.count)
        outcomes = Outcomes(group)
        await outcomes.watch("call", c.far.call(OrdersApi.wait, 100))
        with record(c.between) as between:
            life = c.shop.find("gate/links/link")._mailbox.mailbox.turn
            assert life is not None
            peer: Any = life.instance
            peer._put(Frame(Kind.ERROR, max(peer._calls), body=b"\xc1"))
            await anyio.sleep(300)
        assert isinstance(outcomes.of["call"], OutcomeUnknown)
        (stopped,) = between.of(Stopped)  # and none of the gate's
        assert stopped.path == "between/link"
        assert "ProtocolError: map: ErrorBody" in str(stopped.reason)
        assert (c.inner.made, c.outer.made) == (2, 1)
        assert await c.far.call(OrdersApi.count) == 0


async def test_a_relays_link_that_was_deleted_and_described_anew_is_found() -> None:
    async with chain() as c:
        for again in range(3):
            assert await c.far.call(OrdersApi.count) == 0
            await c.between.terminate_child("link")
            await c.between.delete_child("link")
            with pytest.raises((ActorStopped, MailboxClosed)):
                await c.far.call(OrdersApi.count)
            await c.between.start_child(c.inside)
            await c.far.send(OrdersApi.note, again)
        assert await c.far.call(OrdersApi.read) == [0, 1, 2]
        assert (c.inner.made, c.outer.made) == (4, 1)


async def test_who_asks_is_a_chain() -> None:
    async with chain() as c:
        assert await c.who.call(WhoApi.who) == ["the relay", "the web"]


async def test_each_message_may_have_a_link_of_its_own() -> None:
    networks, outer = [FakeNetwork(), FakeNetwork()], FakeNetwork()
    shops = [child(Orders, name="orders"), child(Orders, name="orders")]
    links: list[Child[Peer]] = [dial(network.connect, uses=[ORDERS], name=f"link-{n}") for n, network in enumerate(networks)]
    asked: list[Passing] = []

    def choose(passing: Passing) -> Child[Peer]:
        asked.append(passing)
        if passing.handler == "wait":
            raise ValueError("none for that")
        return links[len(asked) % 2]

    near = dial(outer.connect, uses=[ORDERS])
    async with (
        Supervisor("shop-0", shops[0], gate(networks[0].listen, serves=[ORDERS.by(shops[0])])) as first,
        Supervisor("shop-1", shops[1], gate(networks[1].listen, serves=[ORDERS.by(shops[1])])) as second,
        Supervisor("between", *links, gate(outer.listen, serves=[relay(choose, ORDERS)])),
        Supervisor("web", near) as web,
    ):
        far = ORDERS.over(web.find(near))
        for _ in range(10):
            await far.call(OrdersApi.place, Order("tea"))
        assert [app.find("orders").account().handled for app in (first, second)] == [5, 5]
        assert (asked[0].interface, asked[0].handler, asked[0].call, asked[0].size > 5) == ("shop", "place", True, True)
        with pytest.raises(ActorStopped, match="choosing a link raised ValueError: none for that"):
            await far.call(OrdersApi.wait, 1)
        down = await far.watch()
        assert down.reason.kind is ExitKind.UNREACHABLE
        assert down.reason.detail.endswith("none of them is the one to be watched, or subscribed to")
        assert await far.call(OrdersApi.count) == 5


def test_what_isnt_one_is_refused() -> None:
    wrong: Any = 7
    with pytest.raises(InvalidSpec, match="to="):
        relay(wrong, ORDERS)
    with pytest.raises(InvalidSpec, match="interface="):
        relay(dial("unix:///shop.sock", uses=[ORDERS]), wrong)
