"""One trace over three processes, as a collector receives it: web, orders and stock, over two links; none of it is the links'.

Tested: calls and sends; parents and kinds; an error that crosses; a process that makes no spans in between; three processes
that are some, not all of them on one backend. And the spans of connections, which are their starts': one that comes about,
those that fail, and one that is stopped meanwhile.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, asynccontextmanager
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
from tenacity import wait_fixed

from supervise import Address, Supervisor, child
from supervise.remote.dial import dial
from supervise.remote.gate import gate
from supervise.telemetry import Spans
from supervise.testing.fake_link import FakeNetwork
from supervise.testing.virtual_time import at_rest
from tests.collector import Collector
from tests.house import ROOT
from tests.spans.watch import Watch

from .traced import SHOP, STOCK, Orders, ShopApi, Stock, StockApi, Web

in_one_process = pytest.mark.anyio


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


@in_one_process
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


@in_one_process
async def test_a_send_is_too(watch: Watch) -> None:
    async with three(watch) as web:
        await web.call(Web.tell)
        await at_rest()
    assert trail(watch)[2:4] == [("send ShopApi.note", "PRODUCER"), ("process Orders.note", "CONSUMER")]
    assert len(trail(watch)) == 6


@in_one_process
async def test_an_error_is_red_all_the_way(watch: Watch) -> None:
    async with three(watch) as web:
        with pytest.raises(Exception, match="KeyError"):
            await web.call(Web.serve, ShopApi.fail)
    assert watch.one("call StockApi.take").status == "ERROR"
    assert watch.one("call ShopApi.fail").status == "ERROR"


@in_one_process
async def test_a_process_that_makes_no_spans_ends_the_trace(watch: Watch) -> None:
    async with three(watch, between=False) as web:
        assert await web.call(Web.serve, ShopApi.place) == 7
    assert trail(watch)[-1] == ("call ShopApi.place", "CLIENT")
    assert not watch.one("process Stock.take").parent_id


@in_one_process
async def test_a_connection_is_a_span_of_the_start_that_it_belongs_to(watch: Watch) -> None:
    network = FakeNetwork()
    spans: Any = Spans(watch.provider)
    stock = child(Stock, name="stock")
    async with (
        Supervisor("stock", stock, gate(network.listen, serves=[STOCK.by(stock)]), tracing=spans),
        Supervisor("web", dial(network.connect, uses=[STOCK], name="stock"), tracing=spans) as web,
    ):
        assert await STOCK.over(web.find("stock")).call(StockApi.take, "tea") == 7
    connect = watch.one("connect Peer")
    (start,) = [span for span in watch.named("start Peer") if span.attributes["supervise.actor.path"] == "web/stock"]
    assert (connect.parent_id, connect.trace_id) == (start.span_id, start.trace_id)
    assert connect.attributes["supervise.link.far"] == "'gate' at connect"
    assert connect.attributes["supervise.actor.incarnation"] == 1
    assert connect.status != "ERROR"


@in_one_process
async def test_connecting_in_vain_is_red_where_it_failed_and_its_traces_end(watch: Watch) -> None:
    network = FakeNetwork()
    network.refuse()
    quick = dial(network.connect, uses=[STOCK], name="stock", wait=wait_fixed(0.1))
    async with Supervisor("web", quick, tracing=Spans(watch.provider)):
        await anyio.sleep(1.95)
    tries = [span for span in watch.received() if span.name == "connect Peer"]
    assert 15 <= len(tries) <= 25
    failed = tries[:-1]  # the last one may have been stopped
    assert {span.status for span in failed} == {"ERROR"}
    assert all([event.name for event in span.events] == ["exception"] for span in failed)
    by_trace = Counter(span.trace_id for span in tries)
    assert max(by_trace.values()) <= 6
    restarts = [span for span in watch.received() if span.name.startswith("restart")]
    assert {span.parent_id for span in restarts} <= {span.span_id for span in tries}
    told_twice = [span for span in watch.received() if not span.name.startswith("connect") and span.events]
    assert not told_twice


@in_one_process
async def test_a_link_that_is_stopped_while_it_connects_is_no_failure(watch: Watch) -> None:
    async def never() -> Any:
        await anyio.sleep_forever()

    async with Supervisor("web", dial(never, uses=[STOCK], name="stock"), tracing=Spans(watch.provider)):
        await at_rest()
    connect = watch.one("connect Peer")
    assert connect.status != "ERROR"
    assert connect.attributes["supervise.outcome"] == "cancelled"


def test_three_processes_are_one_trace() -> None:
    def begin(role: str, backend: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "tests.remote.traced", role, collector.endpoint, folder, backend]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        stack.callback(process.wait)
        stack.callback(process.kill)
        return process

    # A path of pytest's own may be longer than the name of a socket can be.
    with TemporaryDirectory() as folder, Collector() as collector, ExitStack() as stack:
        both: list[subprocess.Popen[str]] = []
        for role, backend in (("stock", "trio"), ("orders", "asyncio")):
            both.append(begin(role, backend))
            out = both[-1].stdout
            assert out is not None
            assert out.readline() == "up\n"
        assert begin("web", "trio").communicate(timeout=60)[0] == "7\n"
        assert [process.communicate(timeout=60)[0] for process in both] == ["", ""]
        assert [process.returncode for process in both] == [0, 0]
    names = ("call", "send", "process")
    spans = sorted((span for span in collector.spans if span.name.split()[0] in names), key=lambda span: span.start)
    assert [(span.service, span.name, span.kind) for span in spans] == [
        ("web", "call Web.serve", "CLIENT"),
        ("web", "process Web.serve", "SERVER"),
        ("web", "call ShopApi.place", "CLIENT"),
        ("orders", "process Orders.place", "SERVER"),
        ("orders", "call StockApi.take", "CLIENT"),
        ("stock", "process Stock.take", "SERVER"),
    ]
    assert len({span.trace_id for span in spans}) == 1
    assert [span.parent_id for span in spans] == ["", *(span.span_id for span in spans[:-1])]
