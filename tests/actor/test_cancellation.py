"""Cancellation of actors: by a kill, natively, of what a handler awaits, and of its own scopes.

Tested:
- SEMANTICS 23: a cancel that nobody asked for is a crash, one that the supervisor asked for is a kill; decided by flag
- SEMANTICS 26: a reader that is ended never loses what was just handed over
"""

from __future__ import annotations

import asyncio
from typing import Any, Self

import anyio
import pytest

from supervise import ActorCrashed, ActorStopped, Supervisor, current
from supervise.testing import virtual_time
from tests.doubles import Boom, Outcomes, Scribe

ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)


class Managed(Scribe):
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


@pytest.mark.anyio
@ASYNCIO  # trio has no cancelled task that somebody else could await
@pytest.mark.parametrize("actor", [Scribe, Managed])
async def test_a_handler_that_awaits_a_foreign_cancelled_task_has_crashed(actor: type[Scribe]) -> None:
    foreign = asyncio.create_task(asyncio.sleep(10))
    foreign.cancel()

    async def await_cancelled(_: Scribe) -> None:
        await foreign

    ends: list[str] = []
    async with Supervisor("app", listener=lambda event: ends.append(str(event))) as app:
        scribe = await app.start(actor, name="scribe")
        with pytest.raises(ActorCrashed, match="cancelled, and nobody of the tree asked for it"):
            await scribe.call(await_cancelled)
        assert await scribe.call(Scribe.note, 1) == 1
        assert app.get_childspec("scribe").incarnation == 2
        assert any("#1 ended: crashed" in end for end in ends)


@pytest.mark.anyio
@pytest.mark.parametrize("actor", [Scribe, Managed])
async def test_a_kill_cancels_the_handler_in_hand_and_its_caller_hears_that_it_was_stopped(actor: type[Scribe]) -> None:
    log: list[str] = []

    async def wait(_: Scribe) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            log.append("cancelled")

    async with Supervisor("app") as app, anyio.create_task_group() as group:
        scribe = await app.start(actor, name="scribe")
        outcomes = Outcomes(group)
        await outcomes.watch("in hand", scribe.call(wait))
        await outcomes.watch("queued", scribe.call(Scribe.note, 1))
        app.kill("scribe")
        await virtual_time.at_rest()
        assert log == ["cancelled"]
        error = outcomes.of["in hand"]
        assert isinstance(error, ActorStopped)
        assert "killed" in str(error)
        assert outcomes.of["queued"] == 1


@pytest.mark.anyio
@pytest.mark.parametrize("handled", ["nothing", "a plain function", "a coroutine"])
async def test_a_parked_actor_is_killed_whatever_it_has_handled_before(handled: str) -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        if handled == "a plain function":
            await scribe.call(Scribe.note_at_once, 1)
        elif handled == "a coroutine":
            await scribe.call(Scribe.note, 1)
        await virtual_time.at_rest()
        app.kill("scribe")
        await virtual_time.at_rest()
        assert app.get_childspec("scribe").incarnation == 2
        assert await scribe.call(Scribe.note, 1) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("hit", ["kill", "crash"])
async def test_a_message_handed_over_as_the_parked_actor_ends_isnt_lost(hit: str) -> None:
    log: list[Any] = []

    async def fail() -> None:
        await anyio.sleep(1)
        raise Boom("in the nursery")

    async def begin(_: Scribe) -> None:
        current().nursery.start_soon(fail)

    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, log)
        await scribe.call(begin)
        if hit == "crash":
            await anyio.sleep(1)
            scribe.try_send(Scribe.note, 1)
        else:
            scribe.try_send(Scribe.note, 1)  # it is woken, and hasn't run yet
            app.kill("scribe")
        scribe.try_send(Scribe.note, 2)
        await virtual_time.at_rest()
        assert log == [1, 2]
        assert app.get_childspec("scribe").incarnation == 2
        assert scribe.account()[:2] == (3, 3)


@pytest.mark.anyio
@ASYNCIO
async def test_a_parked_actor_that_is_cancelled_natively_crashes_and_keeps_its_queue() -> None:
    log: list[Any] = []
    tasks: list[asyncio.Task[Any] | None] = []

    async def who(_: Scribe) -> None:
        tasks.append(asyncio.current_task())

    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, log, own_task=True)
        await scribe.call(who)
        await virtual_time.at_rest()
        assert tasks[0] is not None
        tasks[0].cancel()
        scribe.try_send(Scribe.note, 1)
        await virtual_time.at_rest()
        assert log == [1]
        assert app.get_childspec("scribe").incarnation == 2


@pytest.mark.anyio
async def test_a_scope_of_the_handlers_own_is_none_of_the_actors_business() -> None:
    async def impatient(_: Scribe) -> str:
        with anyio.move_on_after(1):
            await anyio.sleep_forever()
        return "moved on"

    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        assert await scribe.call(impatient) == "moved on"
        assert app.get_childspec("scribe").incarnation == 1
