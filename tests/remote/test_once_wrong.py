"""What once went wrong on a link: each test is of one fault, and was red with it.

Tested on both backends in virtual time: credit of sends that never go out; answers and credit that break a rule; what is larger
than a new connection takes; deadlines that no frame can say; events and watches over reconnects; frames after the end; calls
that were given up; a slow actor and the reader; a gate's counts, its stop, and connections that come at once.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from tenacity import wait_fixed

from supervise import CallTimeout, ExitKind, Restart, Supervisor, child, pool
from supervise.errors import ActorRestarting, ActorStopped, MailboxClosed, MailboxFull, OutcomeUnknown, RemoteError
from supervise.events import LinkUp, Stopped
from supervise.mailbox.observers import _OBSERVED
from supervise.remote.connection import Connection
from supervise.remote.dial import connect, dial
from supervise.remote.gate import gate
from supervise.remote.greeting import Dialing
from supervise.remote.limits import Limits
from supervise.testing import record
from supervise.testing.fake_link import FakeNetwork, FakeStream
from supervise.testing.virtual_time import at_rest
from supervise.wire.bodies import Goodbye, encode_body
from supervise.wire.frames import GREETING, Frame, FrameReader, encode
from supervise.wire.kinds import Kind
from supervise.wire.table import Table
from tests.doubles import Outcomes

from .test_watching import MarketApi, Nurse, Price, town, watched
from .world import ORDERS, Order, Orders, OrdersApi, World, world

pytestmark = pytest.mark.anyio
SMALL = Limits(frame=32768, calls=4, call_bytes=40_000, send_bytes=33_024, out_bytes=33_024)


def peers(w: World) -> list[Any]:
    """The gate's sides of its links."""
    found: list[Any] = []
    for info in w.shop.supervisor("gate/links").which_children():
        life = w.shop.find(f"gate/links/{info.id}")._mailbox.mailbox.turn
        assert life is not None
        found.append(life.instance)
    return found


def acceptor(w: World) -> Any:
    life = w.shop.find("gate/acceptor")._mailbox.mailbox.turn
    assert life is not None
    return life.instance


async def introduces_itself(network: FakeNetwork, life: int, link: bytes = bytes(16)) -> Any:
    """Somebody who speaks the protocol by hand."""
    stream = await network.connect()
    dialing = Dialing(Table(), Limits(), link=link, life=life, name="by hand")
    await stream.send(b"".join(map(encode, dialing.begin().frames)))
    return stream


# -- credit ----------------------------------------------------------------------------------------------------------------


async def test_the_credit_of_a_send_whose_deadline_passes_in_the_mailbox_comes_back() -> None:
    network = FakeNetwork()
    network.refuse()
    async with world(network) as w:
        for n in range(5):
            await w.far.options(timeout=1).send(OrdersApi.note, n)
        await anyio.sleep(5)
        network.heal()
        await anyio.sleep(60)
        assert await w.far.call(OrdersApi.read) == []
        assert w.settled()


async def test_the_credit_of_sends_that_wait_at_a_stop_comes_back() -> None:
    network = FakeNetwork()
    network.refuse()
    async with world(network) as w:
        for n in range(5):
            await w.far.send(OrdersApi.note, n)
        await w.web.terminate_child(w.link)
        network.heal()
        await w.web.restart_child("link")
        assert await w.far.call(OrdersApi.read) == []
        assert w.settled()


@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest"])
async def test_the_credit_of_sends_that_the_links_mailbox_drops_comes_back(overflow: Any) -> None:
    network, log = FakeNetwork(), list[Any]()
    network.refuse()
    orders = child(Orders, log, name="orders")
    restart = Restart.permanent(wait=wait_fixed(1))
    link = child(connect(network.connect, uses=[ORDERS]), name="link", overflow=overflow, capacity=3, restart=restart)
    async with (
        Supervisor("shop", orders, gate(network.listen, serves=[ORDERS.by(orders)])) as shop,
        Supervisor("web", link) as web,
    ):
        found = web.find(link)
        w = World(network, shop, web, log, shop.find(orders), ORDERS.over(found), found)
        for n in range(10):
            await w.far.send(OrdersApi.note, n)
        network.heal()
        await anyio.sleep(60)
        await w.far.call(OrdersApi.count)
        assert len(log) == 3
        assert w.settled()


async def test_credit_that_wasnt_sent_leaks_none() -> None:
    async with world() as w:
        await w.far.call(OrdersApi.count)
        w.orders.pause()
        for n in range(5):
            await w.far.send(OrdersApi.note, n)
        peers(w)[0]._put(Frame(Kind.CREDIT, 10**6, 0))
        await anyio.sleep(5)
        w.orders.resume()
        await w.far.call(OrdersApi.read)
        assert w.settled()


async def test_what_is_larger_than_the_new_connection_takes_is_refused_and_blocks_nobody() -> None:
    network = FakeNetwork()
    network.refuse()
    async with world(network, there=SMALL) as w, anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("large", w.far.call(OrdersApi.swallow, bytes(60_000)))
        await outcomes.watch("small", w.far.call(OrdersApi.count))
        await w.far.send(OrdersApi.swallow, bytes(60_000))
        network.heal()
        await anyio.sleep(60)
        assert {name: type(value).__name__ for name, value in outcomes.of.items()} == {"large": "TooLarge", "small": "int"}
        assert w.settled()


# -- answers ---------------------------------------------------------------------------------------------------------------


async def test_an_error_that_is_none_leaves_its_call_unknown() -> None:
    async with world() as w, anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("call", w.far.call(OrdersApi.wait, 100))
        peers(w)[0]._put(Frame(Kind.ERROR, 1, body=b"\xc1"))
        await anyio.sleep(300)
        assert isinstance(outcomes.of["call"], OutcomeUnknown)
        assert w.settled()


async def test_a_deadline_that_no_frame_can_say_is_none() -> None:
    async with world() as w:
        for timeout in (math.inf, 1e15):
            assert await w.far.options(timeout=timeout).call(OrdersApi.count) == 0
            await w.far.options(timeout=timeout).send(OrdersApi.note, 1)
        with pytest.raises(CallTimeout):
            await w.far.options(timeout=0).call(OrdersApi.count)
        assert w.network.made == 1


async def test_a_stopped_link_says_so_to_a_call_that_doesnt_wait() -> None:
    async with world() as w:
        await w.far.call(OrdersApi.count)
        await w.web.terminate_child(w.link)
        with pytest.raises(ActorStopped):
            await w.far.options(on_restart="fail").call(OrdersApi.count)
        await w.web.restart_child("link")
        w.network.refuse()
        w.network.cut()
        await at_rest()
        with pytest.raises(ActorRestarting):
            await w.far.options(on_restart="fail").call(OrdersApi.count)


# -- what is looked at -----------------------------------------------------------------------------------------------------


async def test_events_that_are_unread_at_a_reconnect_break_no_rule() -> None:
    async with town() as t, t.far.subscribe(Price, capacity=100) as prices:
        await at_rest()
        for cents in range(10):
            await t.far.call(MarketApi.price, "tea", cents)
        await at_rest()
        t.network.cut()
        await anyio.sleep(5)
        for cents in range(10, 30):
            await t.far.call(MarketApi.price, "tea", cents)
        await anyio.sleep(10)
        assert t.network.made == 2
        assert [(await prices.receive()).cents for _ in range(30)] == [*range(30)]


async def test_watchers_that_are_gone_take_up_no_room() -> None:
    async with town() as t:
        for _ in range(200):
            nurse = await t.web.start(Nurse, name="nurse", restart="temporary")
            await nurse.call(Nurse.look_after, t.far)
            await t.web.terminate_child(nurse)
        await at_rest()
        assert watched(t)[0] < 130
        assert t.network.made == 1


async def test_more_watches_than_the_other_side_allows_dont_end_the_link() -> None:
    async with town() as t, anyio.create_task_group() as group:
        for _ in range(1005):
            group.start_soon(t.far.watch)
        await anyio.sleep(100)
        assert t.network.made == 1
        group.cancel_scope.cancel()


async def test_a_subscription_to_a_link_that_is_gone_ends() -> None:
    async with town() as t:
        await t.web.terminate_child(t.link)
        await t.web.delete_child("link")
        async with t.far.subscribe(Price) as prices:
            with anyio.fail_after(10), pytest.raises(anyio.EndOfStream):
                await prices.receive()


# -- at the serving side ---------------------------------------------------------------------------------------------------


async def test_what_comes_after_goodbye_isnt_taken() -> None:
    async with world() as w:
        await w.far.call(OrdersApi.count)
        connection, mailbox = w.state.connection, w.orders._mailbox.mailbox
        assert connection is not None
        connection.put(Frame(Kind.GOODBYE, body=encode_body(Goodbye(why="by hand"))), urgent=True)
        for number in range(10):
            connection.put(Frame(Kind.WATCH, 100 + number, 0), urgent=True)
        await anyio.sleep(5)
        observers = _OBSERVED.get(mailbox.id)
        assert observers is None or not observers.monitors
        assert await w.far.call(OrdersApi.count) == 0


async def test_calls_that_were_given_up_dont_pile_up_at_an_actor_without_room() -> None:
    async with world(shop_options={"capacity": 1}) as w:
        await w.far.call(OrdersApi.count)
        w.orders.pause()
        await w.far.send(OrdersApi.note, 1000)
        for n in range(300):
            with anyio.move_on_after(1):
                await w.far.call(OrdersApi.note, n)
        await at_rest()
        (intake,) = peers(w)[0]._intakes.values()
        assert sum(len(line.waiting) for line in intake._lines.values()) < 50
        w.orders.resume()
        assert await w.far.call(OrdersApi.read) == [1000]
        assert w.settled()


async def test_who_calls_on_and_reads_no_answer_is_disconnected() -> None:
    async with world() as w:
        await w.far.call(OrdersApi.count)
        stream = await introduces_itself(w.network, 1)
        await at_rest()
        (peer,) = [each for each in peers(w) if each._link.agreed and each._connection.sent < 1000][-1:]
        blob = ORDERS.method(OrdersApi.blob)
        to = [method.entry.key for method in ORDERS.methods].index(blob.entry.key)
        most = 0
        with pytest.raises((anyio.BrokenResourceError, anyio.ClosedResourceError)):
            for number in range(1, 2000):
                await stream.send(encode(Frame(Kind.CALL, number, to, blob.encode((60_000,), {}), 0, 1, "", (bytes(8),))))
                await at_rest()
                most = max(most, sum(map(len, peer._connection._urgent)))
        assert most < 40_000_000
        await stream.aclose()


@pytest.mark.parametrize("before", [12, 15, 111, 114])
async def test_the_reader_doesnt_wait_for_room_that_others_fill_meanwhile(before: int) -> None:
    """At the end of its credits a sender lets others run once."""
    async with world(shop_options={"capacity": 400}) as w, anyio.create_task_group() as group:
        await w.far.call(OrdersApi.count)
        outcomes = Outcomes(group)
        await outcomes.watch("in hand", w.far.call(OrdersApi.wait, 1000))
        await at_rest()
        lane, scope = w.orders._mailbox.mailbox, anyio.CancelScope()

        async def fill() -> None:
            with scope:
                while True:
                    if lane._stint >= 127 and not lane.credits:
                        try:
                            while True:
                                w.orders.try_send(Orders.note, 5)
                        except MailboxFull:
                            pass
                    await checkpoint()

        group.start_soon(fill)
        w.network.stall()
        for n in range(before + 190):
            await w.far.send(OrdersApi.note, n)
        for _ in range(50):
            await checkpoint()
        w.network.heal()
        for _ in range(3000):
            await checkpoint()
        scope.cancel()
        await anyio.sleep(100)
        assert w.network.made == 1  # it has answered PINGs


class _Refusing(deque[Any]):
    def append(self, _: Any, /) -> None:
        raise ZeroDivisionError("queue")


def _key(_: Any) -> int:
    raise ZeroDivisionError("key")


@pytest.mark.parametrize("what", ["key", "queue"])
async def test_what_a_key_or_a_queue_raises_is_one_messages_error(what: str) -> None:
    network = FakeNetwork()
    orders: Any = (
        pool(Orders, name="orders", size=2, key=_key) if what == "key" else child(Orders, name="orders", queue=_Refusing)
    )
    async with Supervisor("shop", orders, gate(network.listen, serves=[ORDERS.by(orders)])):
        async with Supervisor("web", dial(network.connect, uses=[ORDERS])) as web:
            far = ORDERS.over(web.find("link"))
            with pytest.raises(RemoteError, match=what):
                await far.call(OrdersApi.count)
            await far.send(OrdersApi.note, 1)
            await anyio.sleep(10)
            assert network.made == 1


async def test_an_actor_that_is_deleted_and_started_anew_is_reached() -> None:
    network, orders = FakeNetwork(), child(Orders, name="orders")
    async with Supervisor("shop", orders, gate(network.listen, serves=[ORDERS.by(orders)])) as shop:
        async with Supervisor("web", dial(network.connect, uses=[ORDERS])) as web:
            far = ORDERS.over(web.find("link"))
            await far.call(OrdersApi.place, Order("tea"))
            await shop.terminate_child("orders")
            await shop.delete_child("orders")
            with pytest.raises(MailboxClosed):
                await far.call(OrdersApi.count)
            await shop.start_child(orders)
            assert await far.call(OrdersApi.count) == 0
            assert network.made == 1


# -- the connection's time -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["whole_frame", "write", "pong"])
@pytest.mark.parametrize("began", [0.0, 0.01, 0.7, 0.99])
async def test_a_limit_of_time_is_over_when_it_is_over(limit: str, began: float) -> None:
    """Whenever that began. It was seen up to a fifth of the shortest limit later: a second, with those of a gate."""
    seconds: dict[str, Any] = {"whole_frame": 5.0, "write": 5.0, "idle": 7.0, "pong": 6.0}
    async with world(FakeNetwork(buffer=10_000), there=Limits(**seconds)) as w:
        await w.far.call(OrdersApi.count)
        (before,) = peers(w)
        stream = await introduces_itself(w.network, 1)
        await at_rest()
        (peer,) = [each for each in peers(w) if each is not before]
        await anyio.sleep(began)
        if limit == "whole_frame":
            await stream.send(b"\0")
        elif limit == "write":
            peer._put(Frame(Kind.PONG, 1, body=bytes(20_000)))
        else:
            seconds["pong"] += seconds["idle"] - began
        since = anyio.current_time()
        ended, close = anyio.Event(), peer._close

        def closes(why: str) -> None:
            close(why)
            ended.set()

        peer._close = closes
        with anyio.fail_after(60):
            await ended.wait()
        assert anyio.current_time() - since == pytest.approx(seconds[limit], abs=0.02)
        await stream.aclose()


# -- gates -----------------------------------------------------------------------------------------------------------------


async def test_a_link_that_doesnt_start_leaves_its_place_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise RuntimeError("no")

    network = FakeNetwork()
    monkeypatch.setattr("supervise.remote.peer.ActorTarget", fails)
    async with world(network) as w:
        await anyio.sleep(20)
        network.refuse()
        await anyio.sleep(20)
        assert not acceptor(w)._from
        assert not acceptor(w)._links


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1), (1, 3, 2)])
async def test_of_connections_of_one_link_that_come_at_once_the_newest_stays(order: tuple[int, ...]) -> None:
    async with world() as w:
        await w.far.call(OrdersApi.count)
        streams = [await introduces_itself(w.network, life) for life in order]
        await anyio.sleep(1)
        assert len(peers(w)) == acceptor(w)._from.total() == 2
        assert 3 in [life for life, _ in acceptor(w)._links.values()]
        assert not acceptor(w)._turns
        for stream in streams:
            await stream.aclose()
        await at_rest()
        assert acceptor(w)._from.total() == len(acceptor(w)._links) == 1


async def test_the_grace_of_a_gate_is_its_own() -> None:
    async with world(there=Limits(grace=20)) as w, anyio.create_task_group() as group:
        await w.far.call(OrdersApi.count)
        outcomes = Outcomes(group)
        await outcomes.watch("open", w.far.call(OrdersApi.wait, 10))
        await w.shop.terminate_child("gate")
        await at_rest()
        assert outcomes.of == {"open": "waited"}


async def test_goodbye_is_said_after_a_grace_that_wasnt_enough() -> None:
    async with world() as w, anyio.create_task_group() as group:
        await w.far.call(OrdersApi.count)
        events, outcomes = record(w.web), Outcomes(group)
        await outcomes.watch("open", w.far.call(OrdersApi.wait, 100))
        await w.shop.terminate_child("gate")
        await at_rest()
        ends = [str(event.reason) for event in events if isinstance(event, Stopped)]
        assert "said goodbye" in ends[0]
        assert isinstance(outcomes.of["open"], OutcomeUnknown)


async def test_a_gate_that_is_being_stopped_lets_nobody_in_to_be_lost(caplog: pytest.LogCaptureFixture) -> None:
    network = FakeNetwork()
    async with world(network) as w, anyio.create_task_group() as group:
        idle = ORDERS.over(await w.web.start_child(dial(network.connect, uses=[ORDERS], name="idle")))
        await idle.call(OrdersApi.count)
        await w.far.call(OrdersApi.count)
        outcomes = Outcomes(group)
        await outcomes.watch("open", w.far.call(OrdersApi.wait, 3))
        group.start_soon(w.shop.terminate_child, "gate")
        await at_rest()
        for n in range(4):
            await idle.send(OrdersApi.note, n)
        await anyio.sleep(30)
        await w.shop.restart_child("gate")
        await anyio.sleep(60)
        assert outcomes.of == {"open": "waited"}
        assert await idle.call(OrdersApi.read) == [0, 1, 2, 3]
        assert not [record for record in caplog.records if "couldn't be taken" in record.message]


# -- who waits to write ----------------------------------------------------------------------------------------------------


async def test_one_who_waits_for_room_and_is_cancelled_takes_no_other_along() -> None:
    """A handler of the link and a subscription may wait for the same room, and a subscription is ended while it does."""
    network = FakeNetwork(buffer=1000)
    near = await network.connect()
    [listener] = await network.listen()
    far = await listener.accept()
    broken: list[Exception] = []
    through: list[str] = []

    async def wait(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            await connection.room()
            through.append(name)

    async with Supervisor("app") as app, anyio.create_task_group() as group:
        connection = Connection(near, FrameReader(GREETING), Limits(), app._branch.tree.backend, broken.append)
        group.start_soon(connection.write)
        for _ in range(6):
            connection.put(Frame(Kind.SEND, body=bytes(60_000)), urgent=False)
        await at_rest()
        scopes = [anyio.CancelScope(), anyio.CancelScope(), anyio.CancelScope()]
        for name, scope in zip("abc", scopes, strict=True):
            group.start_soon(wait, name, scope)
        await at_rest()
        scopes[0].cancel()
        await at_rest()
        assert through == []
        for _ in range(200):
            await far.receive()
        await at_rest()
        assert sorted(through) == ["b", "c"]
        connection.close()
        group.cancel_scope.cancel()
    assert broken == []
    await near.aclose()
    await far.aclose()


async def test_what_was_held_back_goes_out_when_calls_before_it_have_failed() -> None:
    """The new connection takes one call at a time, and each is answered by an error."""
    network = FakeNetwork()
    network.refuse()
    small = Limits(frame=32768, calls=1, call_bytes=40_000, send_bytes=33_024, out_bytes=33_024)
    async with world(network, there=small) as w, anyio.create_task_group() as group:
        ends: list[str] = []

        async def ask() -> None:
            try:
                await w.far.call(OrdersApi.fail, "answer")
            except RemoteError as error:
                ends.append(error.type)

        for _ in range(9):
            group.start_soon(ask)
        await at_rest()
        network.heal()
        await anyio.sleep(60)
        assert ends == ["KeyError"] * 9
        assert w.settled()


# -- what is served, and isn't there ---------------------------------------------------------------------------------------


async def test_a_child_that_isnt_there_is_as_one_that_is_stopped_and_is_found_when_it_comes() -> None:
    network, orders = FakeNetwork(), child(Orders, name="orders")
    link = dial(network.connect, uses=[ORDERS])
    async with (
        Supervisor("shop", gate(network.listen, serves=[ORDERS.by(orders)])) as shop,
        Supervisor("web", link) as web,
    ):
        far = ORDERS.over(web.find(link))
        with pytest.raises(ActorStopped, match="what it serves isn't there"):
            await far.call(OrdersApi.count)
        await far.send(OrdersApi.note, 1)
        assert (await far.watch()).reason.kind is ExitKind.UNREACHABLE
        await shop.start_child(orders)
        assert await far.call(OrdersApi.read) == []
        assert shop.account().balanced


async def test_a_link_may_serve_what_comes_later() -> None:
    network, orders = FakeNetwork(), child(Orders, name="orders")
    link = dial(network.connect, serves=[ORDERS.by(orders)], name="web")
    async with (
        Supervisor("shop", gate(network.listen, uses=[ORDERS])) as shop,
        Supervisor("web", link) as web,
    ):
        await at_rest()
        back = ORDERS.over(shop.find("gate/links/link"))
        with pytest.raises(ActorStopped, match="what it serves isn't there"):
            await back.call(OrdersApi.count)
        await web.start_child(orders)
        assert await back.call(OrdersApi.count) == 0


class Unhurried(FakeStream):
    """What it reads it reads to the end, whoever is cancelled meanwhile."""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        parts: list[bytes] = []
        with anyio.CancelScope(shield=True):
            parts.append(await super().receive(max_bytes))
        return parts[0]


async def test_a_link_that_is_stopped_as_its_greeting_ends_isnt_up() -> None:
    network, orders = FakeNetwork(latency=1), child(Orders)

    async def connects() -> FakeStream:
        stream = await network.connect()
        return Unhurried(stream._reads, stream._writes)

    link = dial(connects, uses=[ORDERS])
    async with (
        Supervisor("shop", orders, gate(network.listen, serves=[ORDERS.by(orders)])),
        Supervisor("web", link) as web,
    ):
        told = record(web)
        far = ORDERS.over(web.find(link))
        await far.send(OrdersApi.note, 1)
        await anyio.sleep(1.5)
        await web.terminate_child("link")
        assert not [event for event in told if isinstance(event, LinkUp)]
        with anyio.fail_after(10):
            assert (await far.watch()).reason.kind is ExitKind.UNREACHABLE
        await web.restart_child("link")
        assert await far.call(OrdersApi.count) == 0
        assert len([event for event in told if isinstance(event, LinkUp)]) == 1
