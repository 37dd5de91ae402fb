"""How much is done between two turns of an event loop.

Tested: whoever is called while nothing is left brings a new budget, as a turn lies between; once for all who were called
together, and not before those who stand in a line; what is left of one that is used up isn't spent meanwhile. So a call that
had to wait for the loop costs two turns of it.
"""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from supervise import Supervisor
from supervise.actor.budget import BATCH, Budget


@pytest.mark.parametrize("left", [0, 1])
def test_who_is_called_while_nothing_is_left_brings_new_ones(left: int) -> None:
    budget = Budget()
    budget.left = left
    called, together = budget.call_for_more(), budget.call_for_more()
    assert budget.left == 0, "what is left would be used in the turn that has the new ones, too"
    budget.renew(called)
    assert budget.left == BATCH
    budget.left = 5
    budget.renew(together)
    assert budget.left == 5


@pytest.mark.anyio
async def test_who_is_called_does_not_go_before_those_who_stand_in_a_line() -> None:
    class Loop:
        def __init__(self) -> None:
            self.turns = anyio.Event()
            self.asked = anyio.Event()

        async def checkpoint(self) -> None:
            self.asked.set()
            await self.turns.wait()

    budget, loop = Budget(), Loop()
    backend: Any = loop
    budget.left = 0
    called = budget.call_for_more()
    async with anyio.create_task_group() as group:
        group.start_soon(budget.turn, backend)
        await loop.asked.wait()
        budget.renew(called)
        assert budget.left == 0
        loop.turns.set()
    assert budget.left == BATCH
    budget.left = 5
    budget.renew(called)
    assert budget.left == 5


@pytest.mark.anyio
async def test_a_call_that_waits_for_the_loop_costs_two_turns_of_it() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    class Adder:
        def add(self) -> None: ...

    async with Supervisor("app") as app, anyio.create_task_group() as group:
        adder = await app.start(Adder)
        group.start_soon(count)
        for _ in range(127 * 20):
            await adder.call(Adder.add)
        group.cancel_scope.cancel()
    assert 20 <= turns <= 2 * 20 + 5


@pytest.mark.anyio
async def test_a_call_of_an_async_def_is_answered_at_once_on_asyncio_and_takes_two_turns_on_trio(
    anyio_backend_name: str,
) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    class Adder:
        async def add(self) -> None: ...

    async with Supervisor("app") as app, anyio.create_task_group() as group:
        adder = await app.start(Adder)
        group.start_soon(count)
        for _ in range(1000):
            await adder.call(Adder.add)
        group.cancel_scope.cancel()
    assert 0 < turns < 50 if anyio_backend_name == "asyncio" else 1900 < turns < 2100
