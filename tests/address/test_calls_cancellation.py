"""Cancellation of callers, by scope and natively, at every stage; and who is told what.

Tested:
- SEMANTICS 20: a cancelled caller that is queued is skipped, in hand its handler finishes, by any kind of cancellation
- promise 3: a reply that meets a cancelled or late caller complains to nobody
"""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from supervise import Address, Supervisor, child
from supervise.testing import virtual_time
from tests.doubles import Gate, Scribe, turn_by_turn_until

ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)


@pytest.mark.anyio
@ASYNCIO
@pytest.mark.parametrize("stage", ["queued", "in hand", "answered"])
async def test_a_natively_cancelled_caller_is_forgotten_at_every_stage(stage: str) -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, log)
        gate = Gate()
        if stage == "queued":
            await scribe.send(Scribe.hold, gate)
        caller = asyncio.create_task(scribe.call(Scribe.hold, gate))
        await gate.reached.wait()
        await virtual_time.at_rest()
        if stage == "answered":
            gate.open()
            await turn_by_turn_until(lambda: scribe.account().handled > 0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        gate.open()
        assert await scribe.call(Scribe.note, "next") == 1
        account = scribe.account()
        assert (account.handled, account.abandoned) == ((2, 1) if stage == "queued" else (2, 0))


@pytest.mark.anyio
@ASYNCIO
async def test_a_caller_that_is_cancelled_as_its_error_comes_leaves_no_unretrieved_exception() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        gate = Gate()
        await scribe.send(Scribe.hold, gate)
        await gate.reached.wait()
        in_hand = asyncio.create_task(scribe.call(Scribe.crash))
        queued = asyncio.create_task(scribe.call(Scribe.note, 1))
        fails = asyncio.create_task(scribe.options(on_restart="fail").call(Scribe.note, 1))
        await virtual_time.at_rest()
        gate.open()
        await turn_by_turn_until(lambda: scribe.account().failed == 2)
        for caller in (in_hand, queued, fails):
            caller.cancel()
        await asyncio.gather(in_hand, queued, fails, return_exceptions=True)
        assert in_hand.cancelled()
        assert queued.cancelled()
        assert fails.cancelled()


@pytest.mark.anyio
@ASYNCIO
async def test_callers_that_are_cancelled_as_the_actor_stops_leave_no_unretrieved_exception() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        gate = Gate()
        await scribe.send(Scribe.hold, gate)
        await gate.reached.wait()
        queued = asyncio.create_task(scribe.call(Scribe.note, 1))
        stop = asyncio.create_task(app.terminate_child("scribe"))
        await virtual_time.at_rest()
        gate.open()
        await turn_by_turn_until(lambda: scribe.account().dead_lettered > 0)
        queued.cancel()
        stop.cancel()
        await asyncio.gather(queued, stop, return_exceptions=True)
        assert queued.cancelled()


@pytest.mark.anyio
@ASYNCIO
async def test_two_timeouts_at_one_instant_leave_no_unretrieved_exception() -> None:
    async with Supervisor("app", child(Scribe, capacity=1)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = Gate()
        await scribe.send(Scribe.hold, gate)
        await gate.reached.wait()
        for _ in range(2):  # in the queue, then for room
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await scribe.options(timeout=1).call(Scribe.note, 1)
        gate.open()


@pytest.mark.anyio
@ASYNCIO
async def test_a_call_in_asyncios_own_timeout_is_cancelled_like_any_other() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, log)
        gate = Gate()
        await scribe.send(Scribe.hold, gate)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await scribe.call(Scribe.note, "late")
        gate.open()
        await scribe.call(Scribe.note, "next")
        assert log == ["next"]


@pytest.mark.anyio
async def test_a_caller_in_a_cancelled_scope_has_called_if_it_didnt_have_to_wait_for_room() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, log)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await scribe.call(Scribe.note, "cancelled before it began")
        await scribe.call(Scribe.note, "next")
        assert log == ["next"]
        assert scribe.account().abandoned == 1
