"""Who comes in at a gate, over which transports, and who doesn't.

Tested: TCP, a unix socket and TLS on the real clock; identities and `admit`; what isn't safe and has to be said; in virtual
time: a newer connection of the same link, limits of connections, silent and rude callers, frames that break a rule.
"""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme

from supervise import Address, InvalidSpec, RunningSupervisor, Supervisor, child, current
from supervise.address.origin import Origin
from supervise.errors import NotServed
from supervise.events import Stopped
from supervise.remote.caller import Admission, Caller
from supervise.remote.dial import connect, dial
from supervise.remote.gate import Acceptor, gate
from supervise.remote.limits import Limits
from supervise.remote.peer import Peer
from supervise.testing import record
from supervise.testing.fake_link import FakeNetwork
from supervise.testing.virtual_time import at_rest
from supervise.wire.frames import Frame, encode
from supervise.wire.interface import Interface
from supervise.wire.kinds import Kind
from tests.real_clock import on_the_real_clock

from .world import ORDERS, Order, Orders, OrdersApi, world

pytestmark = pytest.mark.anyio


class WhoApi:
    """Tells who asks."""

    async def who(self) -> list[str]:
        """The other side's identity, name and address."""
        raise NotImplementedError


WHO: Interface[WhoApi] = Interface("who", WhoApi)


class Who(WhoApi):
    async def who(self) -> list[str]:
        origin = current().origin
        assert isinstance(origin, Origin)
        assert current().sender is None
        return [origin.identity, origin.name, origin.address.partition(":")[0], origin.link.name]


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


def contexts(*, client: str | None = None) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of the server, and of a client that trusts it and, if it has a name, shows a certificate."""
    server, near = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority: Any = _authority()  # its types name a package that needn't be there
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(near)
    if client is not None:
        authority.configure_trust(server)
        server.verify_mode = ssl.CERT_REQUIRED
        authority.issue_cert(client).configure_cert(near)
    return server, near


@asynccontextmanager
async def joined(
    where: str, *, near: Any = None, listener: Any = None, **of_gate: Any
) -> AsyncGenerator[tuple[RunningSupervisor, Address[Any]]]:
    """A shop behind a gate there, and a link to it."""
    orders, who = child(Orders, name="orders"), child(Who, name="who")
    door = gate(where, serves=[ORDERS.by(orders), WHO.by(who)], **of_gate)
    async with Supervisor("shop", orders, who, door, listener=listener) as shop:
        acceptor: Address[Acceptor] = shop.find("gate/acceptor")
        (found,) = await acceptor.call(Acceptor.addresses)
        options = dict[str, Any](uses=[ORDERS, WHO], name="web", **(near or {}))
        link = dial(found.replace("127.0.0.1", "localhost"), **options)
        async with Supervisor("web", link) as web:
            yield web, web.find(link)


async def first_end(app: RunningSupervisor) -> str:
    """Why the first life ends that does."""
    async with app.events() as events:
        while True:
            event = await events.receive()
            if isinstance(event, Stopped):
                return str(event.reason)


@on_the_real_clock
async def test_tcp() -> None:
    async with joined("tcp://127.0.0.1:0") as (_, link):
        with anyio.fail_after(30):
            assert (await ORDERS.over(link).call(OrdersApi.place, Order("tea"))).total == 1
            assert await WHO.over(link).call(WhoApi.who) == ["", "web", "127.0.0.1", "link"]


@on_the_real_clock
async def test_a_unix_socket_is_for_this_user_alone_and_says_who_that_is(tmp_path: Path) -> None:
    path = tmp_path / "shop.sock"
    async with joined(f"unix://{path}") as (_, link):
        with anyio.fail_after(30):
            identity, *rest = await WHO.over(link).call(WhoApi.who)
        assert rest == ["web", "unix", "link"]
        assert identity in (f"uid {os.getuid()}", "")  # the kernel says so on Linux
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@on_the_real_clock
async def test_tls_with_certificates_on_both_sides() -> None:
    server, near = contexts(client="web.example.org")
    async with joined("tcp://127.0.0.1:0", tls=server, near={"tls": near}) as (_, link):
        with anyio.fail_after(30):
            assert (await ORDERS.over(link).call(OrdersApi.place, Order("tea"))).total == 1
            assert (await WHO.over(link).call(WhoApi.who))[0] == "web.example.org"


@on_the_real_clock
async def test_a_server_that_isnt_trusted_isnt_spoken_to() -> None:
    server, _ = contexts()
    async with joined("tcp://127.0.0.1:0", tls=server, near={"tls": ssl.create_default_context()}) as (web, _):
        with anyio.fail_after(30):
            assert "certificate verify failed" in await first_end(web)


async def who_may(caller: Caller) -> Admission | None:
    if caller.has_token("secret"):
        return Admission(identity=f"{caller.name} by its token")
    return None


async def test_admit_says_who_comes_in_and_as_whom() -> None:
    async with admitting(who_may, token="secret") as (_, link):
        assert (await WHO.over(link).call(WhoApi.who))[0] == "web by its token"


@pytest.mark.parametrize("token", [None, "", "wrong", "secret2"])
async def test_who_isnt_admitted_is_told_so_and_nothing_else(token: str | None) -> None:
    async with admitting(who_may, token=token) as (web, _):
        reason = await first_end(web)
        assert "it isn't admitted" in reason
        assert "secret" not in reason


@asynccontextmanager
async def admitting(admit: Any, **options: Any) -> AsyncGenerator[tuple[RunningSupervisor, Address[Any]]]:
    network, who, orders = FakeNetwork(), child(Who, name="who"), child(Orders, name="orders")
    door = gate(network.listen, serves=[WHO.by(who), ORDERS.by(orders)], admit=admit)
    link = dial(network.connect, uses=[WHO, ORDERS], name="web", **options)
    async with Supervisor("shop", who, orders, door), Supervisor("web", link) as web:
        yield web, web.find(link)


async def test_admit_may_give_each_its_own() -> None:
    def admit(caller: Caller) -> Admission:
        return Admission(serves=[] if caller.uses else None)

    async with admitting(admit) as (_, link):
        with pytest.raises(NotServed, match=r"who\.WhoApi\.who isn't served there"):
            await WHO.over(link).call(WhoApi.who)


@pytest.mark.parametrize("raises", [ValueError, KeyError])
async def test_an_admit_that_raises_admits_nobody(raises: Any, caplog: pytest.LogCaptureFixture) -> None:
    def admit(caller: Caller) -> bool:
        raise raises("no")

    async with admitting(admit) as (web, _):
        assert "ConnectionLost" in await first_end(web)
        assert [record.message for record in caplog.records if "admit raised" in record.message]


@pytest.mark.parametrize(
    ("where", "options", "cure"),
    [
        ("tcp://0.0.0.0:7000", {}, "tls="),
        ("tcp://0.0.0.0:7000", {"insecure": True}, "admit="),
        ("tcp://0.0.0.0:7000", {"tls": "server"}, "admit="),
        ("tcp://shop:7000", {"insecure": True}, "admit="),
        ("tcp://shop", {}, "where="),
        ("http://shop:80", {}, "where="),
        ("tcp://shop:99999", {}, "where="),
        ("unix://", {}, "where="),
        (7, {}, "where="),
    ],
)
def test_a_gate_that_isnt_safe_is_refused(where: Any, options: dict[str, Any], cure: str) -> None:
    if options.get("tls"):
        options = {"tls": contexts()[0]}
    with pytest.raises(InvalidSpec, match=cure):
        gate(where, **options)


def test_a_gate_with_certificates_or_on_this_machine_needs_no_more() -> None:
    gate("tcp://0.0.0.0:7000", tls=contexts(client="web")[0])
    gate("tcp://0.0.0.0:7000", insecure=True, admit=who_may)
    gate("tcp://[::1]:7000")
    gate("unix:///run/shop.sock")


@pytest.mark.parametrize(
    ("where", "options", "cure"),
    [
        ("tcp://shop:7000", {}, "tls="),
        ("tcp://127.0.0.1:7000", {"tls": "blind"}, "verifies"),
        ("tcp://127.0.0.1:7000", {"uses": [ORDERS, ORDERS]}, "two"),
        ("tcp://127.0.0.1:7000", {"uses": [Orders]}, "uses="),
        ("tcp://127.0.0.1:7000", {"serves": [ORDERS]}, "serves="),
        ("tcp://127.0.0.1:7000", {"token": b"secret"}, "token="),
        (7, {}, "where="),
    ],
)
def test_a_link_that_isnt_safe_is_refused(where: Any, options: dict[str, Any], cure: str) -> None:
    if options.get("tls"):
        blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
        options = {"tls": blind}
    with pytest.raises(InvalidSpec, match=cure) as refused:
        connect(where, **options)
    assert "secret" not in str(refused.value)


# -- in virtual time -------------------------------------------------------------------------------------------------------


async def test_a_newer_connection_of_the_same_link_ends_the_older_one() -> None:
    """It was cut on the near side alone: the far side still has bytes of it, and doesn't know."""
    network = FakeNetwork()
    async with world(network, shop_options={"capacity": 1}) as w:
        await w.far.call(OrdersApi.count)
        w.orders.pause()
        for n in range(20):
            await w.far.send(OrdersApi.note, n)
        await at_rest()
        network.cut_near()
        await anyio.sleep(0.5)
        assert network.made == 2
        for n in range(100, 105):
            await w.far.send(OrdersApi.note, n)
        assert len(w.shop.supervisor("gate/links").which_children()) == 1
        w.orders.resume()
        await w.far.call(OrdersApi.read)
        assert w.log == sorted(w.log)
        assert w.log[-5:] == [*range(100, 105)]
        assert w.settled()


async def test_of_two_newer_connections_the_newest_one_stays() -> None:
    """Both come while the oldest one hasn't ended yet: its handlers may be waiting for room to write."""
    network = FakeNetwork()
    async with world(network, near=Limits(idle=1, pong=1)) as w:
        await w.far.call(OrdersApi.count)
        links, oldest = w.shop.supervisor("gate/links"), w.shop.find("gate/links/link")
        oldest.pause()
        for made, first in ((2, 0), (3, 100)):
            network.stall()  # the near side gives it up soon, and the gate much later
            await anyio.sleep(3)
            assert network.made == made
            await at_rest()
            for n in range(first, first + 20):
                await w.far.send(OrdersApi.note, n)
        oldest.resume()
        assert await w.far.call(OrdersApi.read) == [*range(100, 120)]
        assert len(links.which_children()) == 1
        network.heal()  # and what was under way on the second one arrives
        await at_rest()
        assert await w.far.call(OrdersApi.read) == [*range(100, 120)]
        assert w.settled()


@pytest.mark.parametrize("last", range(3))
async def test_what_comes_after_the_end_of_a_connection_isnt_taken(last: int) -> None:
    """Else it would get in where what was before it, and waited in line, doesn't any more."""
    async with world(shop_options={"capacity": 1}) as w:
        await w.far.call(OrdersApi.count)
        peer: Peer = await w.shop.find("gate/links/link").call(lambda peer: peer)

        class Log(list[Any]):
            def append(self, entry: Any) -> None:
                super().append(entry)
                if entry == last:
                    peer._superseded()

        log = Log()
        await w.orders.call(lambda orders: setattr(orders, "log", log))
        for n in range(800):  # of which one chunk is made, and that isn't taken in one turn
            w.far.try_send(OrdersApi.note, n)
        await anyio.sleep(10)
        assert last < len(log) < 800
        assert log == [*range(len(log))]
        assert w.settled()


async def test_no_more_connections_than_allowed() -> None:
    network = FakeNetwork()
    async with world(network, there=Limits(per_address=3)) as w:
        await w.far.call(OrdersApi.count)
        streams = [await network.connect() for _ in range(5)]
        await at_rest()
        closed = 0
        for stream in streams:
            with anyio.move_on_after(0.1):
                try:
                    await stream.receive()
                except anyio.EndOfStream:
                    closed += 1
        assert closed == 3
        await anyio.sleep(10)  # the others were silent for too long
        extra = [await network.connect() for _ in range(2)]
        await at_rest()
        assert await w.far.call(OrdersApi.count) == 0
        for stream in [*streams, *extra]:
            await stream.aclose()


@pytest.mark.parametrize(
    "rude",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x01\xc0",
        encode(Frame(Kind.CALL, 1, depth=1, above=(bytes(8),))),
        encode(Frame(Kind.HELLO, body=b"\x80")),
        encode(Frame(Kind.HELLO, body=b"\x80"))[:-1],
        b"\x00",
        b"",
    ],
)
async def test_a_rude_or_silent_caller_is_out_within_its_time_and_harms_nobody(rude: bytes) -> None:
    network = FakeNetwork()
    async with world(network) as w:
        events = record(w.shop)
        stream = await network.connect()
        await stream.send(rude)
        begun = anyio.current_time()
        try:
            while await stream.receive():
                pass
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            pass
        assert anyio.current_time() - begun <= 4
        assert await w.far.call(OrdersApi.count) == 0
        assert not [event for event in events if isinstance(event, Stopped)]
        await stream.aclose()


async def test_each_frame_that_breaks_a_rule_ends_the_link_by_its_name() -> None:
    for frame, rule in [
        (Frame(Kind.REPLY, 99), "id"),
        (Frame(Kind.CREDIT, 5, 7), "to"),
        (Frame(Kind.HELLO, body=b"\x80"), "order"),
        (Frame(Kind.CALL, 1, 99, depth=1, above=(bytes(8),)), "to"),
        (Frame(Kind.CALL, 1, 0, depth=9, above=(bytes(8),)), "depth"),
    ]:
        async with world() as w:
            await w.far.call(OrdersApi.count)
            events = record(w.shop)
            connection = w.state.connection
            assert connection is not None
            connection.put(frame, urgent=True)
            await at_rest()
            (ended,) = [event for event in events if isinstance(event, Stopped) and "link" in event.path]
            assert f"ProtocolError: {rule}" in str(ended.reason)
            assert await w.far.call(OrdersApi.count) == 0
