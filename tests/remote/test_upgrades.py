"""Two sides without the same interface: what fits works, what doesn't is `NotServed` with both signatures, and the link stays.

Tested on both backends in virtual time: a server of yesterday's Protocol and a caller of today's, and the other way round; both
served beside each other; a table that is another one after a reconnect.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
import pytest

from supervise import RunningSupervisor, Supervisor, child
from supervise.errors import NotServed
from supervise.events import DeadLetter
from supervise.remote.dial import dial
from supervise.remote.gate import gate
from supervise.testing import record
from supervise.testing.fake_link import FakeNetwork
from supervise.testing.virtual_time import at_rest
from supervise.wire.interface import Interface
from supervise.wire.remote_address import RemoteAddress

pytestmark = pytest.mark.anyio


@dataclass
class OrderV1:
    """As it was yesterday."""

    item: str


@dataclass
class Order:
    """As it is today."""

    item: str
    number: int = 1


class ApiV1(Protocol):
    """Yesterday's."""

    async def place(self, order: OrderV1) -> int: ...
    def count(self) -> int: ...
    def gone(self) -> int: ...


class Api(Protocol):
    """Today's."""

    async def place(self, order: Order) -> int: ...
    def count(self) -> int: ...
    def new(self) -> int: ...


OLD: Interface[ApiV1] = Interface("shop", ApiV1, wire="Api")
NEW: Interface[Api] = Interface("shop", Api)


class Shop:
    """It serves both."""

    def __init__(self) -> None:
        self.placed: list[Any] = []

    async def place(self, order: Any) -> int:
        self.placed.append(order)
        return len(self.placed)

    def count(self) -> int:
        return len(self.placed)

    def new(self) -> int:
        return 1

    def gone(self) -> int:
        return 2


@asynccontextmanager
async def between(
    serves: list[Interface[Any]], uses: Interface[Any]
) -> AsyncGenerator[tuple[RemoteAddress[Any], RunningSupervisor]]:
    network, shop = FakeNetwork(), child(Shop, name="shop")
    link = dial(network.connect, uses=[uses])
    async with Supervisor("there", shop, gate(network.listen, serves=[each.by(shop) for each in serves])):
        async with Supervisor("here", link) as here:
            yield uses.over(here.find(link)), here
            assert network.made == 1  # it stays up


@pytest.mark.parametrize(
    ("serves", "uses", "place", "order", "missing", "signatures"),
    [
        (OLD, NEW, Api.place, Order("tea"), Api.new, ("number: int = ...", "item: str}")),
        (NEW, OLD, ApiV1.place, OrderV1("tea"), ApiV1.gone, ("item: str}", "number: int = ...")),
    ],
    ids=["yesterday's server", "yesterday's caller"],
)
async def test_what_fits_works_and_what_doesnt_is_told_with_both_signatures(
    serves: Any, uses: Any, place: Any, order: Any, missing: Any, signatures: tuple[str, str]
) -> None:
    async with between([serves], uses) as (far, here):
        count = uses.of.count
        assert await far.call(count) == 0
        with pytest.raises(NotServed, match=r"shop\.Api\.place has another signature there") as other:
            await far.call(place, order)
        own, theirs = str(other.value).split("; there ")
        assert signatures[0] in own
        assert signatures[1] in theirs
        assert other.value.message is not None
        with pytest.raises(NotServed, match="isn't served there"):
            await far.call(missing)
        events = record(here)
        await far.send(place, order)
        await at_rest()
        assert [event.path for event in events if isinstance(event, DeadLetter)] == ["here/link"]
        assert here.account().balanced
        assert await far.call(count) == 0


@pytest.mark.parametrize(
    ("uses", "place", "order"),
    [(NEW, Api.place, Order("tea", 2)), (OLD, ApiV1.place, OrderV1("tea"))],
    ids=["today", "yesterday"],
)
async def test_both_are_served_beside_each_other_and_each_gets_its_own_class(uses: Any, place: Any, order: Any) -> None:
    async with between([NEW, OLD], uses) as (far, _):
        for n in range(20):
            await far.send(place, order)
            assert await far.call(uses.of.count) == n + 1
        assert await far.call(place, order) == 21


async def test_the_table_may_be_another_one_after_a_reconnect() -> None:
    network, shop = FakeNetwork(), child(Shop, name="shop")
    link = dial(network.connect, uses=[NEW])
    async with Supervisor("here", link) as here:
        far = NEW.over(here.find(link))
        async with Supervisor("there", shop, gate(network.listen, serves=[OLD.by(shop)])):
            with pytest.raises(NotServed):
                await far.call(Api.place, Order("tea"))
        async with Supervisor("there", shop, gate(network.listen, serves=[NEW.by(shop)])):
            with anyio.fail_after(100):
                assert await far.call(Api.place, Order("tea")) == 1
        async with Supervisor("there", shop, gate(network.listen)):
            with pytest.raises(NotServed), anyio.fail_after(100):
                await far.call(Api.place, Order("tea"))
