"""Tasks of an actor beside its handlers.

Tested:
- SEMANTICS 18: current().nursery; RUNTIME 7: its tasks have a current() without a message in hand
- SEMANTICS 6: a stop cancels them at once, and lets the message in hand finish
"""

from __future__ import annotations

import math
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from supervise import Address, Intensity, Nursery, Supervisor, child, current
from supervise.testing import virtual_time
from supervise.testing.virtual_time import at_rest
from tests.doubles import Gate, Outcomes, Scribe


@pytest.mark.anyio
async def test_nursery_tasks_have_no_message_in_hand_whenever_they_began() -> None:
    seen: list[tuple[str, Any, Any]] = []

    async def look(label: str) -> None:
        seen.append((label, current().sender, current().remaining))
        await anyio.sleep(1)
        seen.append((label, current().sender, current().remaining))

    async def begin_two(_: Scribe) -> None:
        assert current().sender is not None
        assert current().remaining == 5
        current().nursery.start_soon(look, "buffered")
        await anyio.sleep(1)
        current().nursery.start_soon(look, "at once")
        await anyio.sleep(2)

    async def relay(_: Scribe, to: Address[Scribe]) -> None:
        await to.options(timeout=5).call(begin_two)

    async with Supervisor("app") as app:
        first, second = await app.start(Scribe), await app.start(Scribe)
        await first.call(relay, second)
    assert seen == [("buffered", None, None)] * 2 + [("at once", None, None)] * 2


@pytest.mark.anyio
async def test_the_nursery_runs_beside_the_handlers_and_ends_with_the_incarnation() -> None:
    log: list[str] = []

    async def tick(label: str, seconds: float) -> None:
        try:
            while True:
                await anyio.sleep(seconds)
                log.append(label)
        finally:
            log.append(f"end {label}")

    async def begin(_: Scribe) -> None:
        current().nursery.start_soon(tick, "tick", 1, name="ticker")

    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        await scribe.call(begin)
        await anyio.sleep(2.5)
        assert log == ["tick", "tick"]
        app.kill("scribe")
        await virtual_time.at_rest()
        assert log == ["tick", "tick", "end tick"]
        await anyio.sleep(5)
        assert log[3:] == []


@pytest.mark.anyio
async def test_a_stop_cancels_the_nursery_at_once_and_lets_the_message_in_hand_finish() -> None:
    log: list[str] = []
    gate = Gate()

    async def tick() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            log.append("nursery cancelled")

    async def begin(_: Scribe) -> None:
        current().nursery.start_soon(tick)
        await gate.walk_through()
        log.append("handler done")

    async with Supervisor("app") as app, anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        scribe = await app.start(Scribe)
        await outcomes.watch("in hand", scribe.call(begin))
        await outcomes.watch("stop", app.terminate_child("scribe"))
        assert log == ["nursery cancelled"]
        gate.open()
    assert log == ["nursery cancelled", "handler done"]


@pytest.mark.anyio
async def test_what_is_begun_as_the_incarnation_ends_is_refused_or_over_with_it() -> None:
    class Keeper:
        def give(self) -> Nursery:
            return current().nursery

        def leave(self) -> None:
            current().stop()

    async def late() -> None:
        await anyio.sleep_forever()

    refused = 0
    async with Supervisor("app", child(Keeper), intensity=Intensity(1000)) as app:
        keeper: Address[Keeper] = app.find("keeper")
        for turns in range(25):
            nursery = await keeper.call(Keeper.give)
            await at_rest()
            await keeper.send(Keeper.leave)
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            try:
                nursery.start_soon(late)
            except RuntimeError:
                refused += 1
            await at_rest()
            assert nursery.running == 0, turns
        assert 0 < refused < 25


@pytest.mark.anyio
async def test_a_task_that_is_started_right_after_a_kill_is_cancelled_as_it_begins_and_is_no_error() -> None:
    told: list[str] = []

    async def late() -> None:
        told.append("begun")
        try:
            await anyio.sleep(math.inf)
        finally:
            told.append("ended")

    class Victim:
        def __init__(self) -> None:
            self.first = anyio.Event()

        async def works(self) -> None:
            current().nursery.start_soon(self._wait)
            await self.first.wait()

        async def _wait(self) -> None:
            self.first.set()

        def killed(self, me: Address[Victim]) -> None:
            me.kill()
            try:
                current().nursery.start_soon(late)
            except RuntimeError as error:
                told.append(str(error))

    async with Supervisor("app") as app:
        victim = await app.start(Victim, restart="temporary")
        await victim.call(Victim.works)
        await at_rest()
        await victim.send(Victim.killed, victim)
        await at_rest()
    assert told in ([], ["begun", "ended"])
