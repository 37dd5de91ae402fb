"""A child that speaks for something else is up while it connects, begins no message, and isn't well.

Tested: what waits meanwhile, over failed lives too, in order; the time before it has connected is no healthy life, so its
backoff goes on; stops in between, with a drain too; by hand; a call with a deadline. Health is in `tests/health`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import pytest
from tenacity import wait_exponential

from supervise import ActorStopped, Address, CallTimeout, Intensity, Restart, Supervisor, child, current, open_mailbox
from supervise.events import Decided, Event
from supervise.testing import record
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom

pytestmark = pytest.mark.anyio
SLOWLY = Restart.permanent(wait=wait_exponential(multiplier=1, max=60))


class Link:
    """It takes ten seconds to connect, or to find that it can't; then it lives until somebody says otherwise."""

    def __init__(self, log: list[Any], absent: int = 0, lives: float = 1000) -> None:
        self.log = log
        self.absent = absent
        self.lives = lives
        life = current()._incarnation
        life.connects()
        current().nursery.start_soon(self.connect)

    async def connect(self) -> None:
        life = current()._incarnation
        await anyio.sleep(10)
        if life.number <= self.absent:
            raise Boom("nobody there")
        self.log.append("up")
        life.connected("there")
        await anyio.sleep(self.lives)
        raise Boom("gone")

    def carry(self, what: Any) -> Any:
        self.log.append(what)
        return what


def delays(events: list[Event]) -> list[float]:
    return [event.decision.delay for event in events if isinstance(event, Decided)]


async def test_what_waits_stays_over_failed_lives_and_comes_in_order() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Link, log, 2, name="link", restart=SLOWLY)) as app:
        link: Address[Link] = app.find("link")
        for n in range(5):
            await link.send(Link.carry, n)
        assert await link.call(Link.carry, "last") == "last"
        assert log == ["up", 0, 1, 2, 3, 4, "last"]
        assert link.account().failed == link.account().dead_lettered == 0


async def test_the_time_before_it_has_connected_is_no_healthy_life() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Link, log, 4, 1000, name="link", restart=SLOWLY)) as app:
        events = record(app)
        await anyio.sleep(200)
        assert log == ["up"]
        assert delays([*events]) == [1, 2, 4, 8]
        await anyio.sleep(1000)  # this one was well for long enough
        assert delays([*events])[4:] == [1]


async def test_a_short_life_after_a_long_connect_is_none_either() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Link, log, 0, 2, name="link", restart=SLOWLY)) as app:
        events = record(app)
        await anyio.sleep(50)
        assert delays([*events])[:3] == [1, 2, 4]


@pytest.mark.parametrize("drain", [False, True])
async def test_a_stop_in_between_begins_nothing(drain: bool) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Link, log, name="link", drain=drain)) as app, anyio.create_task_group() as group:
        link: Address[Link] = app.find("link")

        async def call() -> None:
            with pytest.raises(ActorStopped):
                await link.call(Link.carry, "late")

        group.start_soon(call)
        await at_rest()
        await app.terminate_child(link)
        assert log == []
        assert link.account().balanced


async def test_a_deadline_passes_while_it_connects() -> None:
    async with Supervisor("app", child(Link, list[Any](), name="link"), intensity=Intensity(9)) as app:
        with pytest.raises(CallTimeout):
            await app.find("link").options(timeout=5).call(Link.carry, "late")


async def test_by_hand() -> None:
    log: list[Any] = []
    mailbox, link = open_mailbox(Link)
    async with anyio.create_task_group() as group:
        group.start_soon(partial(mailbox.run, lambda: Link(log)))
        await link.send(Link.carry, "first")
        await anyio.sleep(5)
        assert log == []
        await anyio.sleep(6)
        assert log == ["up", "first"]
        await link.stop()
