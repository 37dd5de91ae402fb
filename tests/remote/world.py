"""Two trees on a link, in one process: what most tests of links play with."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import anyio

from supervise import Address, RunningSupervisor, Supervisor, child, concurrent, current
from supervise.remote.dial import dial
from supervise.remote.gate import gate
from supervise.remote.limits import Limits
from supervise.remote.link import Link
from supervise.remote.peer import Peer
from supervise.testing.fake_link import FakeNetwork
from supervise.wire.interface import Interface
from supervise.wire.remote_address import RemoteAddress


@dataclass
class Order:
    """What is ordered."""

    item: str
    number: int = 1


@dataclass
class Receipt:
    """What comes of it."""

    text: str
    total: int


class OutOfStock(Exception):
    """It crosses as itself."""


class OrdersApi(Protocol):
    """What can be asked of a shop."""

    async def place(self, order: Order, *, urgent: bool = False) -> Receipt: ...
    def count(self) -> int: ...
    async def note(self, entry: int) -> None: ...
    async def read(self) -> list[int]: ...
    async def fail(self, how: str) -> None: ...
    async def wait(self, seconds: float) -> str: ...
    async def wait_beside(self, seconds: float) -> str: ...
    async def blob(self, size: int) -> bytes: ...
    async def swallow(self, data: bytes) -> int: ...
    def remaining(self) -> float | None: ...


ORDERS: Interface[OrdersApi] = Interface("shop", OrdersApi, raises=(OutOfStock,))


class Orders:
    """A shop."""

    def __init__(self, log: list[Any] | None = None) -> None:
        self.log: list[Any] = [] if log is None else log
        self.total = 0
        self.cancelled: list[float] = []

    async def place(self, order: Order, *, urgent: bool = False) -> Receipt:
        self.total += order.number
        return Receipt(f"{order.item}{'!' if urgent else ''}", self.total)

    def count(self) -> int:
        return self.total

    async def note(self, entry: int) -> None:
        self.log.append(entry)

    async def read(self) -> list[int]:
        return [*self.log]

    async def fail(self, how: str) -> None:
        if how == "stock":
            raise OutOfStock("tea", 3)
        raise KeyError(how) if how == "answer" else ValueError(how)

    async def wait(self, seconds: float) -> str:
        try:
            await anyio.sleep(seconds)
        except BaseException:
            self.log.append("cancelled")
            raise
        return "waited"

    @concurrent
    async def wait_beside(self, seconds: float) -> str:
        return await self.wait(seconds)

    async def blob(self, size: int) -> bytes:
        return bytes(size)

    async def swallow(self, data: bytes) -> int:
        return len(data)

    def remaining(self) -> float | None:
        return current().remaining


@dataclass
class World:
    """A shop behind a gate, and a web application that has dialed it, over a network of this process."""

    network: FakeNetwork
    shop: RunningSupervisor
    web: RunningSupervisor
    log: list[Any]
    orders: Address[Orders]
    far: RemoteAddress[OrdersApi]
    link: Address[Peer]

    @property
    def state(self) -> Link:
        """Of the web's side."""
        carrier = self.link._mailbox.mailbox.extras.carrier
        assert isinstance(carrier, Link)
        return carrier

    def settled(self) -> bool:
        """Whether all messages have ended, and all credit is back."""
        state = self.state
        windows = [*state._calls, *state._sends.values()]
        accounts = [self.web.account(), self.shop.account()]
        return (
            not any(window.out or window.out_bytes or window.waiting for window in windows)
            and not state.is_busy
            and all(account.balanced and not account.queued and not account.in_hand for account in accounts)
        )


@asynccontextmanager
async def world(
    network: FakeNetwork | None = None,
    *,
    near: Limits = Limits(),  # noqa: B008 - a frozen value
    there: Limits = Limits(),  # noqa: B008 - a frozen value
    shop_options: dict[str, Any] | None = None,
    link_options: dict[str, Any] | None = None,
    gate_options: dict[str, Any] | None = None,
) -> AsyncGenerator[World]:
    """Both trees, which are up; the link may be on its way still. In a way that is a gate and a link over any network."""
    network = network or FakeNetwork()
    log: list[Any] = []
    options: Any = {"name": "orders", "expects": (KeyError, OutOfStock), **(shop_options or {})}
    orders = child(Orders, log, **options)
    door = gate(network.listen, serves=[ORDERS.by(orders)], limits=there, **(gate_options or {}))
    link = dial(network.connect, uses=[ORDERS], limits=near, **(link_options or {}))
    async with Supervisor("shop", orders, door) as shop, Supervisor("web", link) as web:
        found = web.find(link)
        yield World(network, shop, web, log, shop.find(orders), ORDERS.over(found), found)
