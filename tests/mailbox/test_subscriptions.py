"""What an actor publishes, and who reads it.

Tested: SEMANTICS 18 (`publish`); a subscription is typed by class, belongs to the logical actor, outlives restarts and stops,
ends when the actor is gone for good; a slow subscriber costs itself only; what isn't read is dropped and counted, or the
subscription closes; who subscribes keeps nobody alive, and nothing is kept of who doesn't.
"""

from __future__ import annotations

import gc
import math
import weakref
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
import pytest

from supervise import (
    Address,
    Crashed,
    DynamicSupervisor,
    Ended,
    InvalidSpec,
    SubscriberTooSlow,
    Supervisor,
    current,
    open_mailbox,
)
from supervise.mailbox import observers
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Priced:
    price: int


@dataclass(frozen=True)
class Sold:
    price: int


class Market:
    """Publishes what it is told."""

    async def price(self, price: int) -> None:
        current().publish(Priced(price))

    async def sell(self, price: int) -> None:
        current().publish(Sold(price))

    async def price_then_crash(self, price: int) -> None:
        current().publish(Priced(price))
        raise Boom

    async def leave(self) -> None:
        current().publish(Priced(0))
        current().stop()


async def read(market: Address[Market], kind: type[Any], into: list[Any]) -> None:
    async with market.subscribe(kind) as events:
        async for event in events:
            into.append(event)
    into.append("end")


async def test_a_subscriber_gets_the_events_of_its_class_in_order() -> None:
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        market = await app.start(Market)
        prices: list[Any] = []
        everything: list[Any] = []
        group.start_soon(read, market, Priced, prices)
        group.start_soon(read, market, object, everything)
        await at_rest()
        for n in range(3):
            await market.call(Market.price, n)
            await market.call(Market.sell, n)
        await at_rest()
        assert prices == [Priced(0), Priced(1), Priced(2)]
        assert everything == [Priced(0), Sold(0), Priced(1), Sold(1), Priced(2), Sold(2)]
        group.cancel_scope.cancel()


async def test_an_event_that_nobody_subscribed_to_is_gone_and_nothing_is_kept() -> None:
    async with Supervisor("app") as app:
        market = await app.start(Market)
        await market.call(Market.price, 1)
        async with market.subscribe(Priced) as prices:
            assert len(prices) == 0
            await market.call(Market.price, 2)
            assert await prices.receive() == Priced(2)
            assert observers._OBSERVED
        assert not observers._OBSERVED


async def test_a_subscription_outlives_restarts_of_the_publisher() -> None:
    async with Supervisor("app") as app:
        market = await app.start(Market)
        async with market.subscribe(Priced) as prices:
            for n in range(3):
                await market.send(Market.price_then_crash, n)
            assert [await prices.receive() for _ in range(3)] == [Priced(0), Priced(1), Priced(2)]
            await at_rest()
            assert app.get_childspec("market").incarnation == 4


async def test_it_goes_on_when_the_actor_was_stopped_and_is_started_again() -> None:
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        market = await app.start(Market)
        prices: list[Any] = []
        group.start_soon(read, market, Priced, prices)
        await at_rest()
        await app.terminate_child("market")
        await at_rest()
        assert prices == []
        await app.restart_child("market")
        await market.call(Market.price, 7)
        await at_rest()
        assert prices == [Priced(7)]
        await app.terminate_child("market")
        await app.delete_child("market")
        await at_rest()
        assert prices == [Priced(7), "end"]


async def test_it_ends_after_what_waits_when_the_actor_is_gone_for_good() -> None:
    async with DynamicSupervisor("app") as app:
        market = await app.start(Market)
        async with market.subscribe(Priced) as prices:
            await market.send(Market.price, 1)
            await market.send(Market.leave)
            await at_rest()
            assert [price async for price in prices] == [Priced(1), Priced(0)]
            with pytest.raises(anyio.EndOfStream):
                await prices.receive()
        async with market.subscribe(Priced) as prices:
            assert [price async for price in prices] == []


async def test_it_ends_with_the_tree() -> None:
    prices: list[Any] = []
    async with anyio.create_task_group() as group:
        async with Supervisor("app") as app:
            group.start_soon(read, await app.start(Market), Priced, prices)
            await at_rest()
    assert prices == ["end"]


async def test_a_slow_subscriber_loses_the_oldest_and_is_told_how_many() -> None:
    async with Supervisor("app") as app:
        market = await app.start(Market)
        async with market.subscribe(Priced, capacity=2) as prices, market.subscribe(Priced) as other:
            for n in range(5):
                await market.call(Market.price, n)  # the publisher never waits
            assert prices.dropped == 3
            assert len(prices) == 2
            assert [await prices.receive(), await prices.receive()] == [Priced(3), Priced(4)]
            assert other.dropped == 0
            assert len(other) == 5


async def test_a_slow_subscriber_is_closed_if_it_wants_all_or_nothing() -> None:
    async with Supervisor("app") as app:
        market = await app.start(Market)
        async with market.subscribe(Priced, capacity=2, overflow="close") as prices:
            for n in range(5):
                await market.call(Market.price, n)
            assert not observers._OBSERVED
            read: list[Priced] = []
            with pytest.raises(SubscriberTooSlow, match=r"'app/market' was closed: 2 values waited, and overflow='close'"):
                async for price in prices:
                    read.append(price)
            assert read == [Priced(0), Priced(1)]
            assert prices.dropped == 0
            with pytest.raises(SubscriberTooSlow):
                await prices.receive()


async def test_a_single_value_that_waited_is_told_of_as_one() -> None:
    async with Supervisor("app") as app:
        market = await app.start(Market)
        async with market.subscribe(Priced, capacity=1, overflow="close") as prices:
            for n in range(2):
                await market.call(Market.price, n)
            await prices.receive()
            with pytest.raises(SubscriberTooSlow, match=r"was closed: 1 value waited, and"):
                await prices.receive()


async def test_a_reader_that_is_cancelled_loses_nothing() -> None:
    async with Supervisor("app") as app:
        market = await app.start(Market)
        async with market.subscribe(Priced) as prices:
            with anyio.move_on_after(1) as scope:
                await prices.receive()
            assert scope.cancelled_caught
            with anyio.CancelScope() as scope:
                await market.call(Market.price, 1)
                scope.cancel()
                await prices.receive()
            assert len(prices) == 1
            assert await prices.receive() == Priced(1)


async def test_it_is_for_one_reader_at_a_time() -> None:
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        market = await app.start(Market)
        async with market.subscribe(Priced) as prices:
            group.start_soon(prices.receive)
            await at_rest()
            with pytest.raises(anyio.BusyResourceError):
                await prices.receive()
            group.cancel_scope.cancel()


async def test_closing_it_wakes_its_reader() -> None:
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        market = await app.start(Market)
        raised: list[BaseException] = []

        async def receive() -> None:
            try:
                await prices.receive()
            except anyio.ClosedResourceError as error:
                raised.append(error)

        async with market.subscribe(Priced) as prices:
            group.start_soon(receive)
            await at_rest()
        await at_rest()
        assert len(raised) == 1
        await market.call(Market.price, 1)
        with pytest.raises(anyio.ClosedResourceError):
            await prices.receive()


async def test_it_is_entered_once() -> None:
    async with Supervisor("app") as app:
        market = await app.start(Market)
        prices = market.subscribe(Priced)
        with pytest.raises(RuntimeError, match="enter it with `async with`"):
            await prices.receive()
        async with prices:
            pass
        with pytest.raises(RuntimeError, match="subscribe again"):
            async with prices:
                pass
        with pytest.raises(RuntimeError, match="subscribe again"):
            closed = market.subscribe(Priced)
            await closed.aclose()
            async with closed:
                pass


class Shape(Protocol):
    area: int


async def test_what_can_never_work_is_refused_where_it_is_written() -> None:
    async with Supervisor("app") as app:
        market: Any = await app.start(Market)
        for bad in ("Priced", Priced(1), Priced | Sold, list[int], Shape):
            with pytest.raises(InvalidSpec, match="subscription to 'app/market': kind="):
                market.subscribe(bad)
        for capacity in (0, -1, 1.5, math.nan, True, "5"):
            with pytest.raises(InvalidSpec, match="capacity="):
                market.subscribe(Priced, capacity=capacity)
        with pytest.raises(InvalidSpec, match="overflow='wait' is not valid: 'drop_oldest' or 'close'"):
            market.subscribe(Priced, overflow="wait")
        async with market.weak.subscribe(Priced, capacity=math.inf) as prices:
            for n in range(200):
                await market.call(Market.price, n)
            assert len(prices) == 200


async def test_an_actor_can_publish_from_its_nursery_and_be_read_by_another_actor() -> None:
    class Chatty:
        def begin(self) -> None:
            current().nursery.start_soon(self.tick)

        async def tick(self) -> None:
            for n in range(3):
                await anyio.sleep(1)
                current().publish(Priced(n))

    class Reader:
        def __init__(self, chatty: Address[Chatty], log: list[Any]) -> None:
            self.log = log
            current().nursery.start_soon(self.listen, chatty)

        async def listen(self, chatty: Address[Chatty]) -> None:
            async with chatty.subscribe(Priced) as prices:
                async for price in prices:
                    self.log.append(price)

    async with Supervisor("app") as app:
        log: list[Any] = []
        chatty = await app.start(Chatty)
        await app.start(Reader, chatty, log)
        await chatty.call(Chatty.begin)
        await anyio.sleep(5)
        assert log == [Priced(0), Priced(1), Priced(2)]
        await app.terminate_child("reader")
        assert not observers._OBSERVED  # it went with the incarnation that read


async def test_a_subscriber_keeps_no_actor_alive() -> None:
    mailbox, market = open_mailbox(Market)
    outcomes: list[Any] = []

    async def run() -> None:
        outcomes.append(await mailbox.run(Market))

    async with anyio.create_task_group() as group:
        async with market.subscribe(Priced) as prices:
            group.start_soon(run)
            await market.send(Market.price, 1)
            await market.send(Market.price_then_crash, 2)
            await at_rest()
            assert isinstance(outcomes.pop(), Crashed)
            group.start_soon(run)
            await market.call(Market.price, 3)
            del market
            await at_rest()
            assert isinstance(outcomes.pop(), Ended)
            assert [price async for price in prices] == [Priced(1), Priced(2), Priced(3)]


async def test_what_was_read_is_let_go() -> None:
    class Cargo:
        pass

    def publish(_: object, cargo: Cargo) -> None:
        current().publish(cargo)

    async with Supervisor("app") as app:
        market = await app.start(Market)
        async with market.subscribe(Cargo) as cargoes:
            cargo = Cargo()
            seen = weakref.ref(cargo)
            await market.call(publish, cargo)
            del cargo
            await cargoes.receive()
            await at_rest()
            gc.collect()
            assert seen() is None
