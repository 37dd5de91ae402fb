"""`await address.instance()`: the object of the life that goes on, for what was made to be shared.

Tested: SEMANTICS 75 (waits through a restart; WouldDeadlock from its own actor; refused for what lives in a thread of its own).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from tenacity import wait_fixed

from supervise import (
    ActorStopped,
    Address,
    CallCycle,
    DynamicSupervisor,
    MailboxClosed,
    Restart,
    Supervisor,
    WouldDeadlock,
    child,
    current,
)
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate, Outcomes

pytestmark = pytest.mark.anyio


class Pool:
    async def crash(self) -> None:
        raise Boom("pool")

    async def hold(self, gate: Gate) -> None:
        await gate.walk_through()

    async def ask_itself(self) -> object:
        return await current().address.instance()

    async def ask_from_a_task(self, told: list[BaseException]) -> None:
        async def ask() -> None:
            try:
                await current().address.instance()
            except WouldDeadlock as error:
                told.append(error)

        current().nursery.start_soon(ask)

    async def crash_from_a_task(self) -> None:
        async def crash() -> None:
            raise Boom("beside")

        current().nursery.start_soon(crash)


async def test_it_is_the_object_itself_also_while_a_handler_is_at_work() -> None:
    made: list[Pool] = []

    def make() -> Pool:
        made.append(Pool())
        return made[-1]

    async with Supervisor("app", child(make, name="pool")) as app:
        pool: Address[Pool] = app.find("pool")
        gate = Gate()
        await pool.send(Pool.hold, gate)
        await gate.reached.wait()
        assert await pool.instance() is made[0]
        assert await pool.weak.instance() is made[0]
        gate.open()


async def test_it_waits_through_a_restart_and_is_the_next_lifes() -> None:
    async with Supervisor("app", child(Pool, restart=Restart.permanent(wait=wait_fixed(10)))) as app:
        pool: Address[Pool] = app.find("pool")
        first = await pool.instance()
        await pool.send(Pool.crash)
        await at_rest()
        begun = anyio.current_time()
        second = await pool.instance()
        assert anyio.current_time() - begun == pytest.approx(10)
        assert second is not first


async def test_a_life_that_has_crashed_gives_its_object_to_nobody() -> None:
    """Its nursery's task has raised, and the handler in hand swallows its cancellation for a while."""

    class Slow(Pool):
        async def hold_on(self, gate: Gate) -> None:
            current().nursery.start_soon(self.crash)
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await gate.walk_through()

    async with Supervisor("app", child(Slow, name="pool")) as app:
        pool: Address[Slow] = app.find("pool")
        first = await pool.instance()
        gate = Gate()
        await pool.send(Slow.hold_on, gate)
        await gate.reached.wait()
        of: dict[Any, Any] = {}
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            outcomes.of = of
            await outcomes.watch("instance", pool.instance())
            await at_rest()
            gate.open()
        assert isinstance(of["instance"], Slow)
        assert of["instance"] is not first


async def test_a_pause_holds_nobody_up() -> None:
    async with Supervisor("app", child(Pool)) as app:
        pool: Address[Pool] = app.find("pool")
        pool.pause()
        assert isinstance(await pool.instance(), Pool)
        pool.kill()
        await at_rest()
        assert isinstance(await pool.instance(), Pool)


async def test_in_its_own_tasks_it_would_deadlock() -> None:
    async with Supervisor("app", child(Pool, expects=(WouldDeadlock,))) as app:
        pool: Address[Pool] = app.find("pool")
        with pytest.raises(WouldDeadlock, match=r"app/pool.*`self`"):
            await pool.call(Pool.ask_itself)
        told: list[BaseException] = []
        await pool.call(Pool.ask_from_a_task, told)
        await at_rest()
        assert len(told) == 1


async def test_what_is_stopped_or_gone_says_so() -> None:
    async with Supervisor("app", child(Pool), DynamicSupervisor("more")) as app:
        pool: Address[Pool] = app.find("pool")
        await app.terminate_child("pool")
        with pytest.raises(ActorStopped, match=r"instance\(\)"):
            await pool.instance()
        other = await app.supervisor("more").start(Pool)
        await app.supervisor("more").terminate_child(other)
        with pytest.raises(MailboxClosed, match=r"instance\(\)"):
            await other.instance()


async def test_who_waits_is_told_of_a_stop() -> None:
    async with Supervisor("app", child(Pool, restart=Restart.permanent(wait=wait_fixed(10)))) as app:
        pool: Address[Pool] = app.find("pool")
        await pool.send(Pool.crash)
        await at_rest()
        of: dict[Any, Any] = {}
        async with anyio.create_task_group() as group:
            outcomes = Outcomes(group)
            outcomes.of = of
            await outcomes.watch("instance", pool.instance())
            await at_rest()
            await app.terminate_child("pool")
        assert isinstance(of["instance"], ActorStopped)


async def test_a_start_that_waits_for_a_younger_siblings_object_would_deadlock() -> None:
    late = child(Pool, name="late")

    async def early() -> Pool:
        await current().find(late).instance()
        return Pool()

    with pytest.raises(Exception, match="early") as failed:
        async with Supervisor("app", child(early, name="early"), late):
            pass
    assert isinstance(failed.value.__cause__, WouldDeadlock)


class Partner:
    """Waits for the object of another one, whose start calls it."""

    def __init__(self, met: list[BaseException]) -> None:
        self.met = met

    async def ask_for_the_object(self) -> None:
        try:
            await current().find("late").instance()
        except CallCycle as error:
            self.met.append(error)

    def answer(self) -> None:
        pass

    async def crash(self) -> None:
        raise Boom("partner")


@pytest.mark.parametrize("first", ["the call", "the instance()"])
async def test_who_waits_for_the_object_of_a_life_whose_start_waits_for_him_is_in_a_cycle(first: str) -> None:
    met: list[BaseException] = []
    lives = 0

    @asynccontextmanager
    async def late() -> AsyncGenerator[Pool]:
        nonlocal lives
        lives += 1
        if lives > 1:
            await anyio.sleep(1)
            try:
                await current().find("early").call(Partner.answer)
            except CallCycle as error:
                met.append(error)
        yield Pool()

    async with Supervisor("app", child(Partner, met, name="early"), child(late, name="late")) as app:
        gate = Gate()
        early: Address[Partner] = app.find("early")
        if first == "the call":
            await early.send(hold, gate)
        app.kill("late")
        await at_rest()
        await early.send(Partner.ask_for_the_object)
        await anyio.sleep(2)
        gate.open()
        await anyio.sleep(2)
        assert [type(error) for error in met] == [CallCycle]
        assert str(met[0]).startswith("app/early" if first == "the call" else "app/late")
        assert isinstance(await app.find("late").instance(), Pool)


async def hold(_: Partner, gate: Gate) -> None:
    await gate.walk_through()
