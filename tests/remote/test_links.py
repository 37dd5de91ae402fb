"""Two trees on a link: calls and sends over it, what each error means, and what a connection's end does to what is under way.

Tested on both backends in virtual time, over a network of this process: the rules of a link's life, of calls, of back-pressure.
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from tenacity import wait_fixed

from supervise import (
    ActorCrashed,
    ActorRestarting,
    ActorStopped,
    BadCall,
    CallTimeout,
    InvalidSpec,
    MailboxFull,
    Restart,
    SendTimeout,
    Supervisor,
    child,
)
from supervise.errors import BadReply, NotServed, OutcomeUnknown, RemoteError, TooLarge
from supervise.events import DeadLetter, Stopped
from supervise.health import health
from supervise.remote.dial import dial
from supervise.remote.gate import gate
from supervise.remote.limits import Limits
from supervise.remote.link import Link
from supervise.testing import record
from supervise.testing.fake_link import FakeNetwork
from supervise.testing.virtual_time import at_rest
from supervise.wire.interface import Interface
from tests.doubles import Outcomes

from .world import ORDERS, Order, Orders, OrdersApi, OutOfStock, Receipt, world

pytestmark = pytest.mark.anyio
OTHER: Interface[OrdersApi] = Interface("other", OrdersApi)
SMALL = Limits(frame=32768, calls=4, call_bytes=40_000, send_bytes=33_024, out_bytes=33_024)


# -- calls and sends --------------------------------------------------------------------------------------------------------


async def test_a_call_is_answered_and_a_send_is_delivered() -> None:
    async with world() as w:
        assert await w.far.call(OrdersApi.place, Order("tea", 2), urgent=True) == Receipt("tea!", 2)
        assert await w.far.call(OrdersApi.count) == 2
        await w.far.send(OrdersApi.note, 1)
        w.far.try_send(OrdersApi.note, 2)
        assert await w.far.call(OrdersApi.read) == [1, 2]
        assert w.settled()
        assert (w.far.name, w.far.path, repr(w.far)) == ("shop", "web/link:shop", "<RemoteAddress web/link:shop>")
        assert w.far == ORDERS.over(w.link)
        assert len({w.far, ORDERS.over(w.link), w.far.options(timeout=1)}) == 1


async def test_one_senders_sends_and_calls_arrive_in_order() -> None:
    async with world(near=SMALL, shop_options={"capacity": 3}) as w:
        for n in range(300):
            if n % 7 == 6:
                await w.far.call(OrdersApi.note, n)
            else:
                await w.far.send(OrdersApi.note, n)
        assert await w.far.call(OrdersApi.read) == [*range(300)]
        assert w.settled()


async def test_what_the_handler_raises_arrives_as_what_it_is() -> None:
    async with world() as w:
        with pytest.raises(OutOfStock) as itself:
            await w.far.call(OrdersApi.fail, "stock")
        assert itself.value.args == ("tea", 3)
        with pytest.raises(RemoteError, match="KeyError: 'answer'") as answer:
            await w.far.call(OrdersApi.fail, "answer")
        assert answer.value.type == "KeyError"
        assert w.orders.account().failed == 2
        with pytest.raises(ActorCrashed, match=r"shop/orders #1 crashed .* ValueError: boom") as crash:
            await w.far.call(OrdersApi.fail, "boom")
        assert (crash.value.path, crash.value.incarnation, crash.value.begun) == ("shop/orders", 1, True)
        assert isinstance(crash.value.__cause__, RemoteError)
        assert crash.value.message is not None
        assert await w.far.call(OrdersApi.count) == 0
        assert w.settled()


async def test_what_cant_cross_is_its_callers_error_and_nothing_is_sent() -> None:
    async with world() as w:
        asked: Any = w.far
        functions: list[Any] = [lambda: 1, Orders.place, OrdersApi.place.__get__(object()), len, "place"]
        for function in functions:
            for way in (asked.call, asked.send):
                with pytest.raises(NotServed) as refused:
                    await way(function, 1)
                assert refused.value.message is not None
            with pytest.raises(NotServed):
                asked.try_send(function, 1)
        with pytest.raises(BadCall):
            await asked.call(OrdersApi.place)
        with pytest.raises(TooLarge, match="65"):
            await w.far.call(OrdersApi.swallow, bytes(70_000))
        with pytest.raises(BadReply):
            await w.far.call(OrdersApi.blob, 70_000)
        assert await w.far.call(OrdersApi.swallow, bytes(60_000)) == 60_000
        assert len(await w.far.call(OrdersApi.blob, 60_000)) == 60_000
        assert w.orders.account().accepted == 3
        assert w.settled()


async def test_an_actor_that_is_stopped_over_there_says_so() -> None:
    async with world() as w:
        await w.shop.terminate_child(w.orders)
        with pytest.raises(ActorStopped, match="shop/orders is stopped"):
            await w.far.call(OrdersApi.count)
        events = record(w.shop)
        await w.far.send(OrdersApi.note, 1)
        await at_rest()
        assert [event.path for event in events if isinstance(event, DeadLetter)] == ["shop/orders"]
        await w.shop.restart_child("orders")
        assert await w.far.call(OrdersApi.count) == 0
        assert w.settled()


# -- deadlines and cancellation --------------------------------------------------------------------------------------------


async def test_a_deadline_covers_all_of_it_and_what_hasnt_begun_is_skipped() -> None:
    async with world(FakeNetwork(latency=0.5)) as w, anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await anyio.sleep(5)
        await outcomes.watch("in hand", w.far.call(OrdersApi.wait, 10))
        hurried = w.far.options(timeout=3)
        await outcomes.watch("late", hurried.call(OrdersApi.note, 1))
        await anyio.sleep(4)
        assert isinstance(outcomes.of["late"], CallTimeout)
        await anyio.sleep(20)
        assert outcomes.of["in hand"] == "waited"
        assert await w.far.call(OrdersApi.read) == []
        assert w.settled()


async def test_what_is_left_of_the_deadline_travels() -> None:
    async with world(FakeNetwork(latency=1)) as w:
        await anyio.sleep(10)
        with pytest.raises(CallTimeout):
            await w.far.options(timeout=5, on_cancel="cancel").call(OrdersApi.wait, 100)
        await anyio.sleep(3)
        assert w.log == ["cancelled"]
        assert w.settled()


@pytest.mark.parametrize("on_cancel", [None, "finish", "cancel"])
async def test_a_caller_that_is_cancelled_is_forgotten_over_there(on_cancel: Any) -> None:
    async with world() as w:
        with anyio.move_on_after(1):
            await w.far.options(on_cancel=on_cancel).call(OrdersApi.wait, 100)
        queued = anyio.CancelScope()
        async with anyio.create_task_group() as group:

            async def note() -> None:
                with queued:
                    await w.far.call(OrdersApi.note, 1)

            group.start_soon(note)
            await at_rest()
            queued.cancel()
        await at_rest()
        if on_cancel != "cancel":
            assert w.state._calls[0].out == 1  # the window can't be cheated: it counts what is at work for us
        await anyio.sleep(200)
        assert w.log == (["cancelled", 1] if on_cancel == "cancel" else [])
        assert w.settled()


async def test_the_handler_knows_how_long_its_caller_still_waits() -> None:
    async with world(FakeNetwork(latency=1)) as w:
        await anyio.sleep(10)
        w.orders.pause()
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            await outcomes.watch("left", w.far.options(timeout=8).call(OrdersApi.remaining))
            await anyio.sleep(4)
            w.orders.resume()
            await anyio.sleep(2)
            assert 4.9 < outcomes.of["left"] < 5.1  # the clock over there begins when the message is there, after 1 s
        assert await w.far.call(OrdersApi.remaining) is None


async def test_a_call_that_doesnt_wait_for_a_restart_over_there() -> None:
    slowly = {"restart": Restart.permanent(wait=wait_fixed(50))}
    async with world(shop_options=slowly) as w:
        await w.far.send(OrdersApi.fail, "boom")
        await at_rest()
        with pytest.raises(ActorRestarting, match="shop/orders is restarting"):
            await w.far.options(on_restart="fail").call(OrdersApi.count)
        assert await w.far.call(OrdersApi.count) == 0
        assert w.settled()


# -- back-pressure ---------------------------------------------------------------------------------------------------------


async def test_more_calls_than_the_window_wait_and_all_are_answered() -> None:
    async with world(near=SMALL) as w, anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        for n in range(20):
            group.start_soon(outcomes._await, n, w.far.call(OrdersApi.wait_beside, 1))
        await at_rest()
        assert w.state.open_calls == 4
        await anyio.sleep(10)
        assert [outcomes.of[n] for n in range(20)] == ["waited"] * 20
        assert w.settled()


async def test_sends_that_arent_accepted_hold_up_their_sender_alone() -> None:
    async with world(near=SMALL, shop_options={"capacity": 2}) as w, anyio.create_task_group() as group:
        await at_rest()
        w.orders.pause()
        sent: list[int] = []

        async def send() -> None:
            for n in range(300):
                await w.far.send(OrdersApi.note, n)
                sent.append(n)

        group.start_soon(send)
        await at_rest()
        waiting = len(sent)
        assert 50 < waiting < 200
        with pytest.raises(MailboxFull):
            w.far.try_send(OrdersApi.note, 1000)
        with pytest.raises(SendTimeout):
            await w.far.options(timeout=5).send(OrdersApi.note, 1000)
        w.orders.resume()
        await anyio.sleep(1)
        assert len(sent) == 300
        assert await w.far.call(OrdersApi.read) == [*range(300)]
        assert w.settled()


async def test_the_smaller_of_both_sides_limits_holds() -> None:
    async with world(there=SMALL) as w, anyio.create_task_group() as group:
        await at_rest()
        assert w.state.agreed.calls == 4
        with pytest.raises(TooLarge):
            await w.far.call(OrdersApi.swallow, bytes(40_000))
        outcomes = Outcomes(group)
        for n in range(9):
            group.start_soon(outcomes._await, n, w.far.call(OrdersApi.wait_beside, 1))
        await at_rest()
        assert w.state.open_calls == 4
        await anyio.sleep(10)
        assert w.settled()


async def test_a_slow_actor_holds_up_its_own_senders_alone() -> None:
    network = FakeNetwork()
    slow, quick = child(Orders, name="slow", capacity=1), child(Orders, name="quick")
    door = gate(network.listen, serves=[ORDERS.by(slow), OTHER.by(quick)], limits=SMALL)
    link = dial(network.connect, uses=[ORDERS, OTHER])
    async with (
        Supervisor("shop", slow, quick, door) as shop,
        Supervisor("web", link) as web,
        anyio.create_task_group() as group,
    ):
        far, other = ORDERS.over(web.find(link)), OTHER.over(web.find(link))
        await far.call(OrdersApi.count)
        shop.find(slow).pause()

        async def flood() -> None:
            for n in range(1000):
                await far.send(OrdersApi.note, n)

        group.start_soon(flood)
        await at_rest()
        begun = anyio.current_time()
        for n in range(100):
            await other.send(OrdersApi.note, n)
            await other.call(OrdersApi.count)
        assert anyio.current_time() == begun
        group.cancel_scope.cancel()


async def test_a_smaller_window_at_the_new_connection_breaks_nothing() -> None:
    """What waited with the last one's credit is more than the new one agrees to: it goes out in order, as credit comes."""
    network = FakeNetwork()
    orders = child(Orders, list[Any](), name="orders", capacity=2)
    link = dial(network.connect, uses=[ORDERS], capacity=2000)
    async with Supervisor("web", link) as web, anyio.create_task_group() as group:
        far = ORDERS.over(web.find(link))
        outcomes = Outcomes(group)
        async with Supervisor("shop", orders, gate(network.listen, serves=[ORDERS.by(orders)])):
            await far.call(OrdersApi.count)
        network.refuse()
        await at_rest()
        for n in range(500):
            await far.send(OrdersApi.note, n)
            if n % 20 == 0:
                await outcomes.watch(n, far.call(OrdersApi.wait_beside, 1))
        network.heal()
        door = gate(network.listen, serves=[ORDERS.by(orders)], limits=SMALL)
        async with Supervisor("shop", orders, door) as shop:
            log: list[int] = []
            await anyio.sleep(200)
            log = await far.call(OrdersApi.read)
            assert log == [*range(500)]
            assert list(outcomes.of.values()) == ["waited"] * 25
            assert shop.account().balanced
            state = web.find(link)._mailbox.mailbox.extras.carrier
            assert isinstance(state, Link)
            assert not state.is_busy
            assert [window.out for window in state._calls] == [0] * 8


class Tape(Orders):
    """Notes what it swallows, too."""

    async def swallow(self, data: bytes) -> int:
        self.log.append(len(data))
        return len(data)


async def test_a_small_message_doesnt_pass_a_large_one_that_is_held_back() -> None:
    network = FakeNetwork()
    tape, link = child(Tape, list[Any](), name="tape"), dial(network.connect, uses=[ORDERS])
    network.refuse()
    async with Supervisor("web", link) as web:
        far = ORDERS.over(web.find(link))
        for size in (20_000, 20_000):
            await far.send(OrdersApi.swallow, bytes(size))
        for n in range(3):
            await far.send(OrdersApi.note, n)
        network.heal()
        async with Supervisor("shop", tape, gate(network.listen, serves=[ORDERS.by(tape)], limits=SMALL)) as shop:
            assert await far.call(OrdersApi.count) == 0
            await at_rest()
            assert await shop.find(tape).call(Tape.read) == [20_000, 20_000, 0, 1, 2]


# -- the life of a link ----------------------------------------------------------------------------------------------------


async def test_a_start_doesnt_wait_and_what_is_sent_meanwhile_goes_out_in_order() -> None:
    network = FakeNetwork()
    network.refuse()
    async with world(network) as w, anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        for n in range(10):
            await w.far.send(OrdersApi.note, n)
        for n in range(2):
            await outcomes.watch(n, w.far.call(OrdersApi.read))
        await anyio.sleep(30)
        assert health(w.web).ready is False
        assert "web/link" in str(health(w.web).why)
        network.heal()
        await anyio.sleep(60)
        assert outcomes.of == {0: [*range(10)], 1: [*range(10)]}
        assert health(w.web).ready
        assert w.settled()


async def test_a_neighbour_that_is_silent_is_given_up_and_tried_again() -> None:
    network = FakeNetwork()
    network.leave()
    async with world(network) as w:
        events = record(w.web)
        await anyio.sleep(6)
        (ended,) = [event for event in events if isinstance(event, Stopped)]
        assert "ConnectionLost: connect wasn't reached within 5 s" in str(ended.reason)
        network.heal()
        await anyio.sleep(60)
        assert await w.far.call(OrdersApi.count) == 0


async def test_a_cut_leaves_what_was_written_unknown_and_what_waits_goes_out_later() -> None:
    network = FakeNetwork()
    async with world(network) as w, anyio.create_task_group() as group:
        await at_rest()
        outcomes = Outcomes(group)
        await outcomes.watch("written", w.far.call(OrdersApi.wait, 100))
        network.refuse()
        network.cut()
        await at_rest()
        assert isinstance(outcomes.of["written"], OutcomeUnknown)
        assert w.link._mailbox.mailbox.restarting
        await outcomes.watch("waits", w.far.call(OrdersApi.read))
        with pytest.raises(ActorRestarting):
            await w.far.options(on_restart="fail").call(OrdersApi.count)
        await w.far.send(OrdersApi.note, 5)
        network.heal()
        await anyio.sleep(200)
        assert (outcomes.of["waits"], w.log) == ([], [5])
        assert w.settled()


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 20, 40])
@pytest.mark.parametrize("back", [False, True])
async def test_cut_at_any_byte_each_call_ends_and_order_holds(size: int, back: bool) -> None:
    network = FakeNetwork()
    async with world(network) as w, anyio.create_task_group() as group:
        await w.far.call(OrdersApi.count)
        outcomes = Outcomes(group)
        network.cut_after(size, back=back)
        for n in range(6):
            await w.far.send(OrdersApi.note, n)
            await outcomes.watch(n, w.far.call(OrdersApi.count))
        await anyio.sleep(60)
        assert all(value == 0 or isinstance(value, OutcomeUnknown) for value in outcomes.of.values())
        assert len(outcomes.of) == 6
        assert w.log == sorted(w.log)
        assert w.settled()


@pytest.mark.parametrize("there", [False, True])
async def test_a_half_open_connection_ends_by_its_limits(there: bool) -> None:
    network = FakeNetwork()
    async with world(network) as w, anyio.create_task_group() as group:
        await at_rest()
        outcomes = Outcomes(group)
        network.stall(there=there, back=True)
        await outcomes.watch("call", w.far.call(OrdersApi.count))
        await anyio.sleep(29)
        assert outcomes.of == {}
        await anyio.sleep(10)
        assert isinstance(outcomes.of["call"], OutcomeUnknown)
        assert await w.far.call(OrdersApi.count) == 0
        assert w.settled()


async def test_a_silent_link_lives_by_its_pings() -> None:
    async with world() as w:
        await anyio.sleep(1000)
        assert w.network.made == 1
        assert await w.far.call(OrdersApi.count) == 0


async def test_an_ordered_stop_lets_what_is_open_finish_and_says_goodbye() -> None:
    async with world() as w, anyio.create_task_group() as group:
        await at_rest()
        outcomes = Outcomes(group)
        await outcomes.watch("open", w.far.call(OrdersApi.wait, 3))
        begun = anyio.current_time()
        await w.web.terminate_child(w.link)
        assert 2.9 < anyio.current_time() - begun < 3.1
        assert outcomes.of == {"open": "waited"}
        with pytest.raises(ActorStopped, match="web/link is stopped"):
            await w.far.call(OrdersApi.count)
        await at_rest()
        assert w.shop.supervisor("gate/links").which_children() == []
        await w.web.restart_child("link")
        assert await w.far.call(OrdersApi.count) == 0
        assert w.settled()


async def test_an_ordered_stop_of_the_far_side_lets_what_is_open_finish_too() -> None:
    async with world() as w, anyio.create_task_group() as group:
        await at_rest()
        outcomes = Outcomes(group)
        await outcomes.watch("open", w.far.call(OrdersApi.wait, 3))
        begun = anyio.current_time()
        await w.shop.terminate_child("gate")
        assert 2.9 < anyio.current_time() - begun < 3.1
        assert outcomes.of == {"open": "waited"}


async def test_what_takes_longer_than_the_grace_is_cut() -> None:
    async with world(near=Limits(grace=2)) as w, anyio.create_task_group() as group:
        await at_rest()
        outcomes = Outcomes(group)
        await outcomes.watch("open", w.far.call(OrdersApi.wait, 30))
        begun = anyio.current_time()
        await w.web.terminate_child(w.link)
        assert 1.9 < anyio.current_time() - begun < 2.1
        assert isinstance(outcomes.of["open"], OutcomeUnknown)


async def test_a_stop_tells_those_who_wait_for_credit() -> None:
    async with world(near=SMALL) as w, anyio.create_task_group() as group:
        await at_rest()
        outcomes = Outcomes(group)
        for n in range(6):
            await outcomes.watch(n, w.far.call(OrdersApi.wait_beside, 1000))
        await w.web.terminate_child(w.link)
        await at_rest()
        kinds = sorted(type(value).__name__ for value in outcomes.of.values())
        assert kinds == ["ActorStopped"] * 2 + ["OutcomeUnknown"] * 4


async def test_the_far_tree_ends_in_order_and_the_link_comes_back() -> None:
    network = FakeNetwork()
    async with world(network) as w:
        await w.far.call(OrdersApi.count)
        link_events = record(w.web)
        await w.shop.terminate_child("gate")
        await at_rest()
        ends = [event for event in link_events if isinstance(event, Stopped)]
        assert "said goodbye" in str(ends[0].reason)
        await w.shop.restart_child("gate")
        assert await w.far.call(OrdersApi.count) == 0


async def test_the_far_tree_may_end_first() -> None:
    async with world() as w:
        await w.far.call(OrdersApi.count)
        await w.shop.stop()
        with pytest.raises(CallTimeout):
            await w.far.options(timeout=100).call(OrdersApi.count)


async def test_a_link_that_isnt_told_of_an_interface_has_no_address_for_it() -> None:
    async with world() as w:
        other: Any = Interface("other", OrdersApi)
        with pytest.raises(InvalidSpec, match="this one uses shop"):
            other.over(w.link)
        with pytest.raises(InvalidSpec, match="the address of a link"):
            ORDERS.over(w.orders)
