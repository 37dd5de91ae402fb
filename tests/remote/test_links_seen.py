"""How a link is seen: in the live view, in metrics, and in the spans of what goes over it.

Tested: a row and the detail of a link, while it connects and once it is there, with calls and sends under way, and with those
who wait for credit; the same in metrics, which name no link; what is lost is counted, and who comes in; there are no such
metrics in a tree without links; the page of the terminal; the share of a credit.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from supervise import RunningSupervisor, Supervisor, child
from supervise.errors import OutcomeUnknown
from supervise.live.columns import traffic as in_words
from supervise.live.detail import Explanations, detail
from supervise.live.row import Row, row_of
from supervise.live.tally import Tallies
from supervise.remote.dial import dial
from supervise.remote.gate import gate
from supervise.remote.limits import Limits
from supervise.telemetry import Metrics
from supervise.testing.fake_link import FakeNetwork
from supervise.testing.virtual_time import at_rest
from supervise.tree.traffic import Credit, Traffic, traffic_of
from tests.telemetry.test_metrics import Meter

from .world import ORDERS, Orders, OrdersApi

pytestmark = pytest.mark.anyio

FEW = Limits(calls=2, frame=32768, call_bytes=33024, send_bytes=33024)


@asynccontextmanager
async def seen(
    network: FakeNetwork, *, metrics: Metrics | None = None, may_connect: anyio.Event | None = None
) -> AsyncGenerator[tuple[RunningSupervisor, RunningSupervisor, Any]]:
    """A shop, a web application, and the address of the shop's orders from there."""

    async def connect() -> Any:
        if may_connect is not None:
            await may_connect.wait()
        return await network.connect()

    orders = child(Orders, name="orders")
    link = dial(connect, uses=[ORDERS], limits=FEW, name="shop")
    async with (
        Supervisor("shop", orders, gate(network.listen, serves=[ORDERS.by(orders)]), metrics=metrics) as shop,
        Supervisor("web", link, metrics=metrics) as web,
    ):
        yield shop, web, ORDERS.over(web.find(link))


def row(app: RunningSupervisor, path: str) -> Row:
    place = app._branch.tree.registry.place(app._branch, path)
    above = place.above
    assert above is not None
    return row_of(place, above, True, app._branch.tree.backend.now())


def told(app: RunningSupervisor, path: str) -> dict[str, Any]:
    tallies = Tallies()
    found = detail(app, path, tallies, Explanations())
    tallies.end()
    return found


async def under_way(far: Any, group: Any, unknown: list[Exception] | None = None) -> None:
    """Three calls, of which two have credit, and sends behind them, of which the last one has none."""

    async def asks() -> None:
        try:
            await far.call(OrdersApi.wait, 60)
        except OutcomeUnknown as error:
            assert unknown is not None
            unknown.append(error)

    for _ in range(3):
        group.start_soon(asks)
    await at_rest()


async def test_a_row_tells_of_a_link_what_is_under_way() -> None:
    network, may_connect = FakeNetwork(), anyio.Event()
    async with seen(network, may_connect=may_connect) as (shop, web, far):
        await at_rest()
        assert (row(web, "shop").state, row(web, "shop").far) == ("connecting", "")
        assert row(shop, "orders").credit is None
        may_connect.set()
        await far.call(OrdersApi.count)
        assert row(web, "shop").far == "'gate' at connect"
        assert row(web, "shop").credit == 0
        async with anyio.create_task_group() as group:
            await under_way(far, group)
            near, there = row(web, "shop"), row(shop, "gate/links/link")
            assert (near.open_calls, near.taken_calls, near.unconfirmed, near.senders, near.credit) == (2, 0, 0, 1, 1)
            assert (there.open_calls, there.taken_calls, there.credit) == (0, 2, 0)
            assert in_words(near) == "'gate' at connect: 2 out"
            assert in_words(there) == "'shop' at here: 2 in"
            network.stall()
            far.try_send(OrdersApi.note, 1)
            await at_rest()
            assert row(web, "shop").unconfirmed == 1
            assert "2 out, 1 unconfirmed" in in_words(row(web, "shop"))
            group.cancel_scope.cancel()


async def test_its_detail_tells_what_of_its_credit_is_used() -> None:
    network = FakeNetwork()
    async with seen(network) as (shop, web, far):
        await far.call(OrdersApi.count)
        assert told(web, "shop")["credit"] == []
        assert "credit" not in told(shop, "orders")
        async with anyio.create_task_group() as group:
            await under_way(far, group)
            network.stall()
            far.try_send(OrdersApi.note, 1)
            await at_rest()
            calls, sends = told(web, "shop")["credit"]
            assert (calls["of"], calls["out"], calls["most"], calls["waiting"]) == ("calls of depth 1", 2, 2, 1)
            assert (sends["of"], sends["out"], sends["most"]) == ("sends to shop", 1, None)
            assert 256 < sends["out_bytes"] < sends["most_bytes"] == FEW.send_bytes
            assert told(web, "shop")["held_back"] == 0
            group.cancel_scope.cancel()


async def test_metrics_tell_of_all_links_together_and_name_none() -> None:
    meter, network = Meter(), FakeNetwork()
    unknown: list[Exception] = []
    async with seen(network, metrics=meter.metrics) as (_, _, far):
        await far.call(OrdersApi.count)
        assert meter.read("supervise.link.status") == {("connected",): 2, ("connecting",): 0}
        assert meter.read("supervise.link.connections") == {(): 2}
        assert meter.read("supervise.link.callers") == {("admitted",): 1, ("refused",): 0}
        async with anyio.create_task_group() as group:
            await under_way(far, group, unknown)
            assert meter.read("supervise.link.calls") == {("out",): 2, ("in",): 2}
            assert meter.read("supervise.link.waiting_senders") == {(): 1}
            assert meter.read("supervise.link.credit.utilization") == {(): 1}
            network.stall()
            far.try_send(OrdersApi.note, 1)
            await at_rest()
            assert meter.read("supervise.link.unconfirmed") == {(): 1}
            network.refuse()
            network.cut()
            await at_rest()
            assert len(unknown) == 2
            assert meter.read("supervise.link.losses") == {("call",): 2, ("send",): 1}
            assert meter.read("supervise.link.status") == {("connected",): 0, ("connecting",): 1}
            group.cancel_scope.cancel()
    attributes = {key for metric, point in meter.points() if ".link." in metric.name for key in point.attributes}
    assert attributes == {"supervise.link.state", "supervise.link.direction", "supervise.link.message", "supervise.outcome"}


async def test_a_tree_without_links_has_no_metrics_of_them() -> None:
    meter = Meter()
    async with Supervisor("app", child(Orders, name="orders"), metrics=meter.metrics):
        assert not [metric.name for metric, _ in meter.points() if ".link." in metric.name]


async def test_what_is_no_link_has_no_traffic() -> None:
    async with Supervisor("app", child(Orders, name="orders")) as app:
        assert traffic_of(app.find("orders")._mailbox.mailbox) is None


def test_the_share_of_a_credit_that_is_used() -> None:
    by_number = Credit("calls of depth 1", 3, 4, 100, 1000, 0)
    by_size = Credit("sends to shop", 3, math.inf, 900, 1000, 2)
    assert (by_number.used, by_size.used) == (0.75, 0.9)
    traffic = Traffic("shop", 3, 0, 3, 0, (by_number, by_size))
    assert (traffic.used, traffic.waiting) == (0.9, 2)
    assert Traffic("", 0, 0, 0, 0, ()).used == 0
