"""Actors that ask supervisors: who would wait for itself is told so at once, and nobody else is.

Tested: RUNTIME 11 (a wait for one's own stop or start), SEMANTICS 8 (changes are served one at a time).
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from supervise import ActorCrashed, RunningSupervisor, Supervisor, WouldDeadlock, child, current
from supervise.testing.virtual_time import at_rest
from tests.members import Member, states

pytestmark = pytest.mark.anyio


async def causes(address: Any, handler: Any) -> BaseException | None:
    with pytest.raises(ActorCrashed) as caught:
        await address.call(handler)
    return caught.value.__cause__


async def test_what_waits_for_the_own_end_is_refused_from_wherever_in_the_tree_it_would() -> None:
    async def terminates_its_supervisor(_: Member) -> None:
        await app.terminate_child("below")

    async def stops_its_root(_: Member) -> None:
        await app.stop()

    async with Supervisor("app", Supervisor("below", child(Member, name="x"))) as app:
        x = app.find("below/x")
        for handler in (terminates_its_supervisor, stops_its_root):
            assert isinstance(await causes(x, handler), WouldDeadlock)


async def test_an_exit_hook_can_t_wait_for_the_supervisor_that_waits_for_it() -> None:
    raised: list[BaseException] = []

    class Asks(Member):
        async def __aexit__(self, *_: object) -> None:
            try:
                await current().supervisor().start(Member, name="heir")
            except WouldDeadlock as error:
                raised.append(error)

    async with Supervisor("app", child(Asks, name="a")) as app:
        began = anyio.current_time()
        await app.terminate_child("a")
        assert anyio.current_time() == began
    assert raised


async def test_a_handler_in_hand_can_t_wait_for_the_supervisor_that_stops_its_actor() -> None:
    raised: list[BaseException] = []

    async def asks_late(_: Member) -> None:
        await anyio.sleep(1)
        try:
            await current().supervisor().start(Member, name="heir")
        except WouldDeadlock as error:
            raised.append(error)

    async with Supervisor("app", child(Member, name="a")) as app:
        await app.find("a").send(asks_late)
        await at_rest()
        await app.terminate_child("a")
    assert raised


async def test_a_handler_a_hook_after_a_crash_and_a_task_may_have_siblings_started() -> None:
    class Asks(Member):
        async def __aexit__(self, *raised: Any) -> None:
            if raised[0] is not None:
                await current().supervisor().start(Member, name="by the hook")

    async def in_handler(_: Member) -> None:
        await current().supervisor().start(Member, name="by the handler")
        current().nursery.start_soon(in_task)

    async def in_task() -> None:
        await current().supervisor().start(Member, name="by the task")

    async with Supervisor("app", child(Asks, name="a")) as app:
        await app.find("a").call(in_handler)
        await at_rest()
        await app.find("a").send(Member.crash)
        await at_rest()
        assert list(states(app)) == ["a", "by the handler", "by the task", "by the hook"]


async def test_a_factory_may_use_a_supervisor_further_up_that_doesn_t_wait_for_it() -> None:
    """While its own supervisor restarts it, the one above is idle; while the tree starts, it isn't."""

    async def make() -> Member:
        if current().incarnation > 1:
            await app.start(Member, name="helper")
        return Member()

    async with Supervisor("app", Supervisor("below", child(make, name="x"))) as app:
        await app.find("below/x").send(Member.crash)
        await at_rest()
        assert states(app) == {"below": "running", "helper": "running"}


async def test_a_factory_can_t_wait_for_any_supervisor_that_waits_for_it() -> None:
    raised: list[BaseException] = []

    async def make(app: list[RunningSupervisor]) -> Member:
        for supervisor in app:
            try:
                await supervisor.start(Member, name="helper")
            except WouldDeadlock as error:
                raised.append(error)
        return Member()

    handles: list[RunningSupervisor] = []
    async with Supervisor("app") as app:
        handles.append(app)
        await app.start_child(Supervisor("below", child(make, handles, name="x")))
    assert len(raised) == 1
