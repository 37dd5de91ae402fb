"""What is told of links: their connections, and who comes in at a gate.

Tested: a connection and its end, on both sides, with what is unknown by then; an orderly end, which is no warning; whom a gate
admits, and whom it refuses, with the reason: by `admit`, TLS, a limit, silence, a broken rule, a newer connection of the same
link. Whoever goes away by himself isn't told of. A name from outside is one line. Of the live view, and of metrics, there are
tests in their rooms.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from supervise import Supervisor, child
from supervise.errors import OutcomeUnknown
from supervise.events import Admitted, Event, LinkDown, LinkUp, Refused, Stopped
from supervise.remote.caller import Caller
from supervise.remote.dial import connect, dial
from supervise.remote.gate import Acceptor, gate
from supervise.remote.greeting import Dialing
from supervise.remote.limits import Limits
from supervise.testing import record
from supervise.testing.fake_link import FakeNetwork
from supervise.testing.virtual_time import at_rest
from supervise.wire.frames import Frame, encode
from supervise.wire.kinds import Kind
from supervise.wire.table import Table
from tests.real_clock import on_the_real_clock

from .test_gates import contexts, joined
from .world import ORDERS, Orders, OrdersApi, world

pytestmark = pytest.mark.anyio

OF_LINKS = (LinkUp, LinkDown, Admitted, Refused)
FORGED = "web\nERROR\x1b[31m"


async def heard_of(told: Iterable[Event], kind: type[Event]) -> Any:
    """The first one, once there is one."""
    with anyio.fail_after(60):
        while True:
            for event in told:
                if isinstance(event, kind):
                    return event
            await anyio.sleep(0.01)


def of_links(told: list[Event]) -> list[Event]:
    return [event for event in told if isinstance(event, OF_LINKS)]


@asynccontextmanager
async def listened_to(
    network: FakeNetwork,
    *,
    name: str = "web",
    admit: Any = None,
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
) -> AsyncGenerator[tuple[list[Event], list[Event], Any]]:
    """A shop and a web application, with what is told of the links of each."""
    at_shop: list[Event] = []
    at_web: list[Event] = []
    orders = child(Orders, name="orders")
    door = gate(network.listen, serves=[ORDERS.by(orders)], limits=limits, admit=admit)
    once = child(connect(network.connect, uses=[ORDERS], name=name), name="web", restart="temporary")
    link = dial(network.connect, uses=[ORDERS], name=name) if name.isprintable() else once
    async with (
        Supervisor("shop", orders, door, listener=at_shop.append),
        Supervisor("web", link, listener=at_web.append) as web,
    ):
        yield at_shop, at_web, web.find(link)


async def test_both_sides_tell_of_a_connection_and_of_its_end_with_what_is_unknown() -> None:
    network = FakeNetwork()
    async with listened_to(network) as (at_shop, at_web, link):
        far = ORDERS.over(link)
        await far.call(OrdersApi.count)
        assert of_links(at_web) == [LinkUp("web/web", 1, "connect", "", "gate")]
        assert str(at_web[-1]) == "web/web #1 is connected to 'gate' at connect"
        admitted, up = of_links(at_shop)
        assert admitted == Admitted("shop/gate/acceptor", "here", "", "web")
        assert isinstance(up, LinkUp)
        assert (up.path, up.name, up.address) == ("shop/gate/links/link", "web", "here")

        unknown: list[Exception] = []

        async def asks() -> None:
            try:
                await far.call(OrdersApi.wait, 60)
            except OutcomeUnknown as error:
                unknown.append(error)

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(asks)
            await at_rest()
            for n in range(4):  # behind the calls, which the shop has in hand
                await far.send(OrdersApi.note, n)
            network.cut()
        assert len(unknown) == 3
        down = await heard_of(at_web, LinkDown)
        assert (down.path, down.incarnation, down.open_calls) == ("web/web", 1, 3)
        assert down.level == logging.WARNING
        assert str(down).startswith("web/web #1: the connection has ended (ConnectionLost: ")
        assert str(down).endswith("3 calls open")
        there = await heard_of(at_shop, LinkDown)
        assert (there.path, there.unconfirmed, there.open_calls) == (up.path, 0, 0)


async def test_sends_that_nobody_confirmed_are_counted() -> None:
    network = FakeNetwork()
    async with listened_to(network) as (_, at_web, link):
        far = ORDERS.over(link)
        await far.call(OrdersApi.count)
        network.stall()
        for n in range(4):
            await far.send(OrdersApi.note, n)
        await at_rest()
        network.cut()
        down = await heard_of(at_web, LinkDown)
        assert (down.unconfirmed, down.open_calls) == (4, 0)
        assert str(down).endswith("; 4 sends unconfirmed")


async def test_an_orderly_end_is_no_warning() -> None:
    async with listened_to(FakeNetwork()) as (at_shop, at_web, link):
        await ORDERS.over(link).call(OrdersApi.count)
    for told in at_shop, at_web:
        (down,) = [event for event in told if isinstance(event, LinkDown)]
        assert (down.unconfirmed, down.open_calls, down.level) == (0, 0, logging.INFO)


def says_no(caller: Caller) -> bool:
    return False


def says_nothing(caller: Caller) -> None:
    return None


def raises(caller: Caller) -> bool:
    raise ValueError("no")


async def gives_up(caller: Caller) -> bool:
    raise asyncio.CancelledError("what it waited for was cancelled")


async def takes_its_time(caller: Caller) -> bool:
    await anyio.sleep(60)
    return True


@pytest.mark.parametrize(
    ("admit", "why"),
    [
        (says_no, "admit says no"),
        (says_nothing, "admit says no"),
        (raises, "admit raised ValueError: no"),
        (gives_up, "admit raised CancelledError: what it waited for was cancelled"),
        (takes_its_time, "admit hasn't answered within 3 s"),
    ],
)
async def test_whom_admit_refuses(admit: Callable[[Caller], Any], why: str) -> None:
    async with listened_to(FakeNetwork(), admit=admit) as (at_shop, at_web, _):
        assert await heard_of(at_shop, Refused) == Refused("shop/gate/acceptor", "here", "web", why)
        assert not [event for event in (*at_shop, *at_web) if isinstance(event, LinkUp | LinkDown | Admitted)]
        assert not [event for event in at_shop if isinstance(event, Stopped)]  # the gate and its links stay


async def test_a_name_from_outside_is_one_line() -> None:
    async with listened_to(FakeNetwork(), name=FORGED, admit=says_no) as (at_shop, _, _):
        assert str(await heard_of(at_shop, Refused)).isprintable()
    async with listened_to(FakeNetwork(), name=FORGED) as (at_shop, _, _):
        assert str(await heard_of(at_shop, LinkUp)).isprintable()
        assert str(await heard_of(at_shop, Admitted)).isprintable()


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (Limits(per_address=1), "the limit per_address=1 is reached"),
        (Limits(connections=1), "the limit connections=1 is reached"),
    ],
)
async def test_who_is_one_too_many(limits: Limits, why: str) -> None:
    network = FakeNetwork()
    async with listened_to(network, limits=limits) as (at_shop, _, link):
        await ORDERS.over(link).call(OrdersApi.count)
        stream = await network.connect()
        assert await heard_of(at_shop, Refused) == Refused("shop/gate/acceptor", "here", "", why)
        await stream.aclose()


async def test_too_many_who_havent_greeted() -> None:
    network = FakeNetwork()
    async with listened_to(network, limits=Limits(handshakes=2)) as (at_shop, _, link):
        await ORDERS.over(link).call(OrdersApi.count)
        streams = [await network.connect() for _ in range(3)]
        refused = await heard_of(at_shop, Refused)
        assert refused.why == "the limit handshakes=2 is reached"
        await anyio.sleep(4)
        silent = [event.why for event in at_shop if isinstance(event, Refused)][1:]
        assert silent == ["it hasn't greeted within 3 s"] * 2
        for stream in streams:
            await stream.aclose()


@pytest.mark.parametrize(
    ("rude", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "length"),
        (encode(Frame(Kind.CALL, 1, depth=1, above=(bytes(8),))), "order"),
        (encode(Frame(Kind.HELLO, body=b"\x80")), "map"),
    ],
)
async def test_who_breaks_a_rule_of_the_greeting(rude: bytes, why: str) -> None:
    network = FakeNetwork()
    async with listened_to(network) as (at_shop, _, link):
        await ORDERS.over(link).call(OrdersApi.count)
        stream = await network.connect()
        await stream.send(rude)
        refused = await heard_of(at_shop, Refused)
        assert refused.why.startswith(f"{why}: "), refused
        await stream.aclose()


@pytest.mark.parametrize("said", [b"", b"\x00"])
async def test_who_goes_away_by_himself_isnt_told_of(said: bytes, caplog: pytest.LogCaptureFixture) -> None:
    network = FakeNetwork()
    async with listened_to(network) as (at_shop, _, link):
        await ORDERS.over(link).call(OrdersApi.count)
        stream = await network.connect()
        if said:
            await stream.send(said)
        await stream.aclose()
        await anyio.sleep(5)
        assert not [event for event in at_shop if isinstance(event, Refused)]
        assert not [record for record in caplog.records if "couldn't be taken" in record.message]


async def test_an_older_life_of_the_same_link_isnt_let_in_again() -> None:
    network = FakeNetwork()
    async with world(network) as w:
        told = record(w.shop)
        await w.far.call(OrdersApi.count)
        older = Dialing(Table(), Limits(), link=w.state.id, life=0, name="web", token=None, uses=[])
        stream = await network.connect()
        await stream.send(b"".join(map(encode, older.begin().frames)))
        refused = await heard_of(told, Refused)
        assert refused.why == "a newer connection of the same link is there"
        await stream.aclose()
        assert await w.far.call(OrdersApi.count) == 0


@on_the_real_clock
async def test_why_tls_failed_is_told() -> None:
    server, _ = contexts(client="web.example.org")
    _, nobody = contexts()
    told: list[Event] = []
    async with joined("tcp://127.0.0.1:0", tls=server, near={"tls": nobody}, listener=told.append):
        refused = await heard_of(told, Refused)
    assert refused.why.startswith("TLS failed: ")
    assert "certificate" in refused.why
    assert refused.address.startswith("127.0.0.1:")


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00"])
@on_the_real_clock
async def test_who_goes_away_in_the_middle_of_tls_isnt_told_of(said: bytes) -> None:
    """A probe that only asks whether the port is open, as a load balancer does: each few seconds, for years."""
    server, _ = contexts()
    told: list[Event] = []
    orders = child(Orders, name="orders")
    door = gate("tcp://127.0.0.1:0", serves=[ORDERS.by(orders)], tls=server)
    async with Supervisor("shop", orders, door, listener=told.append) as shop:
        (where,) = await shop.find("gate/acceptor").call(Acceptor.addresses)
        for text in (said, b"GET / HTTP/1.1\r\n\r\n"):  # the second is told of, and comes after the first
            async with await anyio.connect_tcp("127.0.0.1", int(where.rpartition(":")[2])) as stream:
                if text:
                    await stream.send(text)
        await heard_of(told, Refused)
        assert ["HTTP_REQUEST" in event.why for event in told if isinstance(event, Refused)] == [True]


@on_the_real_clock
async def test_why_nobody_is_reached_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """It may be told every 30 s for days: what the network's library did in between helps nobody."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and doesn't listen
        told: list[Event] = []
        link = dial(f"tcp://127.0.0.1:{taken.getsockname()[1]}", uses=[ORDERS], name="shop")
        async with Supervisor("web", link, listener=told.append):
            reason = str((await heard_of(told, Stopped)).reason)
            assert "isn't reached: " in reason
            assert "Connect" in reason  # what the system says
    (record, *_) = [record for record in caplog.records if "isn't reached" in record.getMessage()]
    assert record.exc_text is not None
    assert "\n" not in record.exc_text
