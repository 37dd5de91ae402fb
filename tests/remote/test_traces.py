"""One trace over three processes, as a collector receives it: web, orders and stock, over two links; none of it is the links'.

Tested: calls and sends; parents and kinds; an error that crosses; a process that makes no spans in between.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import pytest

from supervise import Address, Supervisor, child, current
from supervise.remote.dial import dial
from supervise.remote.gate import gate
from supervise.telemetry import Spans
from supervise.testing.fake_link import FakeNetwork
from supervise.testing.virtual_time import at_rest
from supervise.wire.interface import Interface
from tests.collector import Collector
from tests.spans.watch import Watch

pytestmark = pytest.mark.anyio


class ShopApi(Protocol):
    """What can be asked of a shop."""

    async def place(self, item: str) -> int: ...
    async def note(self, item: str) -> None: ...
    async def fail(self, item: str) -> int: ...


class StockApi(Protocol):
    """What can be asked of its stock."""

    async def take(self, item: str) -> int: ...


SHOP: Interface[ShopApi] = Interface("shop", ShopApi)
STOCK: Interface[StockApi] = Interface("stock", StockApi)


class Stock:
    """Runs in the third process."""

    async def take(self, item: str) -> int:
        if item == "nothing":
            raise KeyError(item)
        return 7


class Orders:
    """Runs in the second, and asks the third."""

    async def place(self, item: str) -> int:
        return await STOCK.over(current().find("link")).call(StockApi.take, item)

    async def note(self, item: str) -> None:
        await self.place(item)

    async def fail(self, item: str) -> int:
        return await self.place("nothing")


class Web:
    """Runs in the first, and asks the second."""

    async def serve(self, handler: Any) -> Any:
        return await SHOP.over(current().find("link")).call(handler, "tea")

    async def tell(self) -> None:
        await SHOP.over(current().find("link")).send(ShopApi.note, "tea")


@pytest.fixture
def watch() -> Iterator[Watch]:
    with Collector() as collector:
        watch = Watch(collector)
        yield watch
        watch.close()


@asynccontextmanager
async def three(watch: Watch, *, between: Any = None) -> AsyncGenerator[Address[Web]]:
    first, second = FakeNetwork(), FakeNetwork()
    stock, orders = child(Stock, name="stock", expects=(KeyError,)), child(Orders, name="orders", expects=(Exception,))
    spans: Any = Spans(watch.provider)
    inner = dial(second.connect, uses=[STOCK])
    async with (
        Supervisor("stock", stock, gate(second.listen, serves=[STOCK.by(stock)]), tracing=spans),
        Supervisor(
            "shop", inner, orders, gate(first.listen, serves=[SHOP.by(orders)]), tracing=spans if between is None else between
        ),
        Supervisor("web", dial(first.connect, uses=[SHOP]), tracing=spans) as web,
    ):
        yield await web.start(Web, expects=(Exception,))


def trail(watch: Watch) -> list[tuple[str, str]]:
    """The spans of messages that are in the trace of the web's, each with its kind, from the top down."""
    spans = watch.received()
    (top,) = [span for span in spans if span.name.startswith("call Web.") or span.name.startswith("send Web.")]
    found, ids = list[tuple[str, str]](), {top.span_id}
    while ids:
        level = [span for span in spans if span.span_id in ids]
        found += [(span.name, span.kind) for span in level]
        ids = {span.span_id for span in spans if span.parent_id in ids and span.trace_id == top.trace_id}
    return found


async def test_a_call_is_one_trace_over_three_processes(watch: Watch) -> None:
    async with three(watch) as web:
        assert await web.call(Web.serve, ShopApi.place) == 7
    assert trail(watch) == [
        ("call Web.serve", "CLIENT"),
        ("process Web.serve", "SERVER"),
        ("call ShopApi.place", "CLIENT"),
        ("process Orders.place", "SERVER"),
        ("call StockApi.take", "CLIENT"),
        ("process Stock.take", "SERVER"),
    ]
    messages = [span.name for span in watch.received() if span.name.split()[0] in ("call", "send", "process")]
    assert not [name for name in messages if "Peer" in name or "carry" in name or "Link" in name]


async def test_a_send_is_too(watch: Watch) -> None:
    async with three(watch) as web:
        await web.call(Web.tell)
        await at_rest()
    assert trail(watch)[2:4] == [("send ShopApi.note", "PRODUCER"), ("process Orders.note", "CONSUMER")]
    assert len(trail(watch)) == 6


async def test_an_error_is_red_all_the_way(watch: Watch) -> None:
    async with three(watch) as web:
        with pytest.raises(Exception, match="KeyError"):
            await web.call(Web.serve, ShopApi.fail)
    assert watch.one("call StockApi.take").status == "ERROR"
    assert watch.one("call ShopApi.fail").status == "ERROR"


async def test_a_process_that_makes_no_spans_ends_the_trace(watch: Watch) -> None:
    async with three(watch, between=False) as web:
        assert await web.call(Web.serve, ShopApi.place) == 7
    assert trail(watch)[-1] == ("call ShopApi.place", "CLIENT")
    assert not watch.one("process Stock.take").parent_id
