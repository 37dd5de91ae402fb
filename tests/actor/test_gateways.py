"""Gateways: actors that speak for others with something that can only take so much.

Tested:
- SEMANTICS 38: an anyio CapacityLimiter shared by gateways bounds what they have in flight; crash, kill and stop release it
- what asks for its turn at the limiter when its actor ends doesn't keep a place in the row
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from supervise import Address, Supervisor, current
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate

pytestmark = pytest.mark.anyio


class Service:
    def __init__(self) -> None:
        self.in_flight = 0
        self.most = 0
        self.done: list[Any] = []

    async def work(self, request: Any, gate: Gate | None = None) -> None:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            if gate is not None:
                await gate.walk_through()
            await anyio.sleep(1)
            if request == "bad":
                raise Boom(request)
            self.done.append(request)
        finally:
            self.in_flight -= 1


class Gateway:
    def __init__(self, service: Service, limiter: anyio.CapacityLimiter) -> None:
        self.service = service
        self.limiter = limiter

    async def ask(self, request: Any, gate: Gate | None = None) -> None:
        async with self.limiter:
            await self.service.work(request, gate)

    def ask_aside(self, request: Any) -> None:
        current().nursery.start_soon(self.ask, request)


async def started(app: Any, service: Service, limiter: anyio.CapacityLimiter, number: int) -> list[Address[Gateway]]:
    return [await app.start(Gateway, service, limiter, name=f"gateway-{i}") for i in range(number)]


async def test_gateways_together_have_no_more_in_flight_than_their_limiter_lets_them() -> None:
    service, limiter = Service(), anyio.CapacityLimiter(2)
    async with Supervisor("app") as app:
        gateways = await started(app, service, limiter, 5)
        for request in range(20):
            await gateways[request % 5].send(Gateway.ask, request)
        await anyio.sleep(9.5)
        assert len(service.done) == 18
        await anyio.sleep(1)
    assert sorted(service.done) == list(range(20))
    assert service.most == 2


async def test_what_tasks_of_a_nursery_have_in_flight_is_bounded_with_the_rest() -> None:
    service, limiter = Service(), anyio.CapacityLimiter(3)
    async with Supervisor("app") as app:
        gateways = await started(app, service, limiter, 2)
        for request in range(12):
            await gateways[request % 2].send(Gateway.ask_aside, request)
        await anyio.sleep(5)
    assert len(service.done) == 12
    assert service.most == 3


@pytest.mark.parametrize("aside", [False, True], ids=["a handler", "a task of the nursery"])
async def test_a_crash_releases_what_was_taken(aside: bool) -> None:
    service, limiter = Service(), anyio.CapacityLimiter(1)
    async with Supervisor("app") as app:
        gateways = await started(app, service, limiter, 2)
        await gateways[0].send(Gateway.ask_aside if aside else Gateway.ask, "bad")
        await at_rest()
        assert limiter.borrowed_tokens == 1
        await gateways[1].send(Gateway.ask, "good")
        await anyio.sleep(2.5)
        assert limiter.borrowed_tokens == 0
        assert service.done == ["good"]
        assert await gateways[0].call(lambda _: current().incarnation) == 2


async def test_a_kill_and_a_stop_release_what_was_taken() -> None:
    service, limiter = Service(), anyio.CapacityLimiter(2)
    async with Supervisor("app") as app:
        gateways = await started(app, service, limiter, 3)
        for gateway in gateways[:2]:
            gate = Gate()
            await gateway.send(Gateway.ask, "never", gate)
            await gate.reached.wait()
        await gateways[2].send(Gateway.ask, "waits")
        await at_rest()
        assert limiter.statistics().tasks_waiting == 1
        app.kill("gateway-0")
        await anyio.sleep(1.5)
        assert service.done == ["waits"]
        await app.terminate_child("gateway-1")
        await at_rest()
        assert limiter.borrowed_tokens == 0


async def test_who_waits_at_the_limiter_and_ends_gives_up_its_place_in_the_row() -> None:
    service, limiter = Service(), anyio.CapacityLimiter(1)
    async with Supervisor("app") as app:
        gateways = await started(app, service, limiter, 3)
        gate = Gate()
        await gateways[0].send(Gateway.ask, "first", gate)
        await gate.reached.wait()
        for number in (1, 2):
            await gateways[number].send(Gateway.ask, number)
            await at_rest()
        app.kill("gateway-1")
        await at_rest()
        assert limiter.statistics().tasks_waiting == 1
        gate.open()
        await anyio.sleep(2.5)
        assert service.done == ["first", 2]
        assert gateways[1].account().dead_lettered == 1
