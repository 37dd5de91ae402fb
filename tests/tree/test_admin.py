"""Calls to a supervisor that runs: what they answer, in which order, and when they refuse to wait.

Tested: SEMANTICS 8 (typed results and errors in all states of a child; changes one at a time, reads at once), 41 (names).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from tenacity import wait_fixed

from supervise import (
    AdminError,
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildStartFailed,
    ChildUnstoppable,
    DynamicSupervisor,
    IgnoreStart,
    NotForDynamic,
    Restart,
    RunningSupervisor,
    Supervisor,
    SupervisorNotRunning,
    child,
)
from supervise.testing.virtual_time import at_rest
from supervise_strategies import ChildCount
from tests.doubles import Boom, Gate, Outcomes
from tests.members import Member, states

pytestmark = pytest.mark.anyio

SLOWLY = Restart.permanent(wait=wait_fixed(1000))


async def running(app: RunningSupervisor) -> None:
    pass


async def stopped(app: RunningSupervisor) -> None:
    await app.terminate_child("x")


async def restarting(app: RunningSupervisor) -> None:
    await app.find("x").send(Member.crash)
    await at_rest()


async def unknown(app: RunningSupervisor) -> None:
    await app.terminate_child("x")
    await app.delete_child("x")


async def start(app: RunningSupervisor) -> object:
    return (await app.start(Member, name="x")).path


async def terminate(app: RunningSupervisor) -> object:
    await app.terminate_child("x")
    return None


async def restart(app: RunningSupervisor) -> object:
    return await app.restart_child("x")


async def delete(app: RunningSupervisor) -> object:
    await app.delete_child("x")
    return None


@pytest.mark.parametrize(
    ("before", "call", "answer"),
    [
        (running, start, ChildAlreadyStarted),
        (running, terminate, None),
        (running, restart, ChildRunning),
        (running, delete, ChildRunning),
        (stopped, start, ChildAlreadyPresent),
        (stopped, terminate, None),
        (stopped, restart, True),
        (stopped, delete, None),
        (restarting, start, ChildAlreadyPresent),
        (restarting, terminate, None),
        (restarting, restart, ChildRestarting),
        (restarting, delete, ChildRestarting),
        (unknown, start, "app/x"),
        (unknown, terminate, ChildNotFound),
        (unknown, restart, ChildNotFound),
        (unknown, delete, ChildNotFound),
    ],
)
async def test_each_call_answers_by_the_state_of_the_child(
    before: Callable[[RunningSupervisor], Awaitable[None]], call: Callable[[RunningSupervisor], Awaitable[object]], answer: Any
) -> None:
    async with Supervisor("app", child(Member, name="x", restart=SLOWLY), child(Member, name="y")) as app:
        await before(app)
        was = states(app)
        if isinstance(answer, type):
            with pytest.raises(AdminError) as refused:
                await call(app)
            assert type(refused.value) is answer
            assert states(app) == was, "nothing was changed"
        else:
            assert await call(app) == answer
        assert states(app)["y"] == "running"


async def test_a_start_that_fails_keeps_nothing_and_raises_the_cause() -> None:
    async with Supervisor("app") as app:
        with pytest.raises(ChildStartFailed, match="'x' didn't start: Boom: x can't start") as caught:
            await app.start(Member, None, 0.0, 0.0, {"x"}, name="x")
        assert isinstance(caught.value.__cause__, Boom)
        assert not app.children()
        with pytest.raises(ChildNotFound):
            app.find("x")


async def test_a_restart_by_hand_that_fails_leaves_the_child_stopped_and_counts_nowhere() -> None:
    broken: set[str] = set()
    async with Supervisor("app", child(Member, None, 0.0, 0.0, broken, name="x")) as app:
        await app.terminate_child("x")
        broken.add("x")
        with pytest.raises(ChildStartFailed):
            await app.restart_child("x")
        assert states(app) == {"x": "stopped"}
        assert app.restarts == 0
        broken.clear()
        assert await app.restart_child("x")


async def test_a_restart_by_hand_that_is_ignored_answers_false() -> None:
    wanted = [True, False]

    def moody() -> Member:
        if not wanted.pop(0):
            raise IgnoreStart("not now")
        return Member()

    async with Supervisor("app", child(moody, name="x")) as app:
        await app.terminate_child("x")
        assert await app.restart_child("x") is False
        assert states(app) == {"x": "stopped"}


async def test_counts_and_infos_are_those_of_otp() -> None:
    tree = Supervisor(
        "app",
        child(Member, name="a"),
        child(Member, name="b", restart="transient"),
        Supervisor("below", child(Member, name="c")),
    )
    async with tree as app:
        await app.terminate_child("a")
        assert app.count_children() == ChildCount(specs=3, active=2, supervisors=1, workers=2)
        assert [(info.id, info.state.value, info.alive) for info in app.which_children()] == [
            ("a", "stopped", False),
            ("b", "running", True),
            ("below", "running", True),
        ]
        assert str(app.get_childspec("b").spec.restart) == "transient"
        with pytest.raises(ChildNotFound):
            app.get_childspec("c")


async def test_reads_are_answered_while_changes_wait_for_a_start() -> None:
    gate = Gate()

    async def slow() -> Member:
        await gate.walk_through()
        return Member()

    async with Supervisor("app", child(Member, name="a")) as app, anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("start", app.start(slow))
        await outcomes.watch("terminate", app.terminate_child("a"))
        await outcomes.watch("restart", app.restart_child("a"))
        assert not outcomes.of
        assert app.busy
        assert states(app) == {"a": "running", "slow": "starting"}
        assert app.count_children().active == 1
        assert app.find("a").path == "app/a"
        gate.open()
        await at_rest()
        assert list(outcomes.of) == ["start", "terminate", "restart"]
        assert outcomes.of["restart"] is True
        assert await app.find("a").call(Member.life) == 2


async def test_a_caller_that_is_cancelled_leaves_its_change_to_go_on() -> None:
    async with Supervisor("app", child(Member, None, 0.0, 3.0, name="a")) as app:
        with anyio.move_on_after(1) as scope:
            await app.terminate_child("a")
        assert scope.cancelled_caught
        assert states(app) == {"a": "stopping"}
        await anyio.sleep(3)
        assert states(app) == {"a": "stopped"}


async def test_calls_to_a_nested_supervisor_that_is_down_are_refused_and_its_handle_works_again() -> None:
    nested = Supervisor("below", child(Member, name="x"), restart=SLOWLY)
    async with Supervisor("app", nested) as app:
        below = app.supervisor("below")
        await below.stop()
        for call in (start, terminate, restart, delete):
            with pytest.raises(SupervisorNotRunning, match="waits for its restart"):
                await call(below)
        assert not below.running
        assert below.children() == []
        assert below.count_children() == ChildCount(0, 0, 0, 0)
        await anyio.sleep(1001)
        assert await below.start(Member, name="y")


async def test_a_stop_that_is_asked_for_twice_is_one_stop() -> None:
    lines: list[str] = []
    async with Supervisor("app", child(Member, lines, 0.0, 2.0, name="a")) as app, anyio.create_task_group() as group:
        began = anyio.current_time()
        group.start_soon(app.stop)
        group.start_soon(app.stop)
        await app.wait()
        assert anyio.current_time() - began == pytest.approx(2)
        await app.stop()
    assert lines == ["+a", "-a"]


async def test_a_child_of_a_dynamic_supervisor_is_terminated_by_address_and_not_by_name() -> None:
    async with DynamicSupervisor("app") as app, Supervisor("other", child(Member, name="s")) as other:
        address = await app.start(Member, name="x")
        for call in (terminate, restart, delete):
            with pytest.raises(NotForDynamic):
                await call(app)
        with pytest.raises(ChildNotFound):
            await app.terminate_child(other.find("s"))
        await app.terminate_child(address.weak)
        await app.terminate_child(address)  # gone already, which is no error
        assert not app.children()


async def test_a_stranger_of_the_same_name_isn_t_terminated_by_a_former_child_s_address() -> None:
    async with DynamicSupervisor("app") as app:
        former = await app.start(Member, name="x")
        await app.terminate_child(former)
        successor = await app.start(Member, name="x")
        await app.terminate_child(former)
        assert await successor.call(Member.see) == 1


async def test_a_child_that_can_t_be_stopped_is_reported_to_who_asked() -> None:
    gate = Gate()

    async def deaf(_: Member) -> None:
        with anyio.CancelScope(shield=True):
            await gate.walk_through()

    async with Supervisor("app", child(Member, name="a")) as app:
        await app.find("a").send(deaf)
        await at_rest()
        began = anyio.current_time()
        with pytest.raises(ChildUnstoppable):
            await app.terminate_child("a")
        assert anyio.current_time() - began == pytest.approx(6)
        with pytest.raises(ChildUnstoppable):
            await app.terminate_child("a")
        gate.open()
        await at_rest()
        assert states(app) == {"a": "stopped"}
