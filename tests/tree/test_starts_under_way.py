"""What happens around a start that hangs, that is over at once, or that isn't wanted any more.

Tested:
- calls that wait for their turn: the caller is cancelled; the name is free by then; names are made up meanwhile
- a tree that is over before its body could begin: its end is its own, not a failed start
- a nested supervisor that is being started when its tree is stopped: children that run stop in order, unharmed
- an async factory, an async handler and an orderly end
- a cancellation from outside reaches the body, and whoever runs an open mailbox
- an instance that is a supervisor is terminated by its handle
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from supervise import (
    ChildNotFound,
    ChildStartFailed,
    DynamicSupervisor,
    GaveUp,
    Intensity,
    Supervisor,
    child,
    current,
    open_mailbox,
)
from supervise.events import Event, Stopped
from supervise.testing.virtual_time import at_rest

pytestmark = pytest.mark.anyio


class Plain:
    async def stop(self) -> None:
        current().stop()

    def crash(self) -> None:
        raise ValueError("told to")


class Gate:
    """A factory that hangs until it is opened."""

    def __init__(self) -> None:
        self.opened = anyio.Event()

    async def __call__(self) -> Plain:
        await self.opened.wait()
        return Plain()


class Second:
    """An actor whose first start fails."""

    def __init__(self, failures: list[str]) -> None:
        if failures:
            raise ValueError(failures.pop())


class Doomed(Plain):
    """Its first message is there before it is ready."""

    def __init__(self, handler: Any) -> None:
        current().address.try_send(handler)


async def test_a_start_that_waits_goes_on_when_its_caller_is_cancelled() -> None:
    gate, scope = Gate(), anyio.CancelScope()
    async with DynamicSupervisor("app") as app, anyio.create_task_group() as callers:

        async def impatient() -> None:
            with scope:
                await app.start(Plain, name="second")

        callers.start_soon(lambda: app.start(gate, name="first"))
        await at_rest()
        callers.start_soon(impatient)
        await at_rest()
        scope.cancel()
        await at_rest()
        assert [each.id for each in app.children()] == ["first"]
        gate.opened.set()
        await at_rest()
        assert [each.id for each in app.children()] == ["first", "second"]


async def test_a_name_that_is_free_when_the_turn_comes_can_be_started_again() -> None:
    gate, outcomes, failures = Gate(), list[object](), ["once"]
    async with Supervisor("app") as app, anyio.create_task_group() as callers:

        async def start() -> None:
            try:
                outcomes.append(await app.start(Second, failures, name="x"))
            except ChildStartFailed as error:
                outcomes.append(error)

        callers.start_soon(lambda: app.start(gate, name="first"))
        await at_rest()
        for _ in range(2):
            callers.start_soon(start)
            await at_rest()
        gate.opened.set()
        await at_rest()
        failed = [outcome for outcome in outcomes if isinstance(outcome, ChildStartFailed)]  # both are told in one step
        assert len(failed) == 1
        assert [outcome for outcome in outcomes if outcome not in failed] == [app.find("x")]


async def test_a_child_deleted_in_the_turn_before_is_replaced() -> None:
    gate = Gate()
    async with Supervisor("app", child(Plain, name="x")) as app, anyio.create_task_group() as callers:
        await app.terminate_child("x")
        former = app.find("x")
        callers.start_soon(lambda: app.start(gate, name="first"))
        await at_rest()
        callers.start_soon(app.delete_child, "x")
        await at_rest()
        callers.start_soon(lambda: app.start(Plain, name="x"))
        await at_rest()
        gate.opened.set()
        await at_rest()
        assert app.find("x") != former


async def test_names_made_up_while_starts_wait_are_unlike() -> None:
    gate, names = Gate(), list[str]()
    async with DynamicSupervisor("app") as app, anyio.create_task_group() as callers:

        async def start() -> None:
            names.append((await app.start(Plain)).name)

        callers.start_soon(lambda: app.start(gate, name="first"))
        await at_rest()
        for _ in range(3):
            callers.start_soon(start)
        await at_rest()
        gate.opened.set()
        await at_rest()
        assert sorted(names) == ["plain", "plain-2", "plain-3"]


async def test_a_tree_that_gives_up_as_soon_as_it_is_ready_has_started() -> None:
    supervisor = Supervisor("app", child(Doomed, Plain.crash), intensity=Intensity(0))
    with pytest.raises(GaveUp):
        async with supervisor:
            await anyio.sleep_forever()


async def test_a_tree_that_shuts_itself_down_as_soon_as_it_is_ready_leaves_silently() -> None:
    significant = child(Doomed, Plain.stop, restart="transient", significant=True)
    async with Supervisor("app", significant, auto_shutdown="any_significant") as app:
        await anyio.sleep_forever()
    assert app.ended is not None
    assert app.ended.cause.value == "auto_shutdown"


async def test_children_of_a_supervisor_whose_start_is_cancelled_stop_in_order_and_unharmed() -> None:
    events: list[Event] = []
    nested = Supervisor("nested", child(Plain, name="a"), child(Plain, name="b"), child(Gate(), name="hangs"))
    with anyio.move_on_after(1) as scope:
        async with Supervisor("app", nested, listener=events.append):
            pytest.fail("it isn't ready")
    assert scope.cancelled_caught
    stopped = [(event.path, str(event.reason)) for event in events if isinstance(event, Stopped)]
    assert stopped == [("app/nested/b", "shutdown"), ("app/nested/a", "shutdown")]


async def test_an_actor_of_an_async_factory_ends_in_an_orderly_way_in_an_async_handler() -> None:
    events: list[Event] = []

    async def make() -> Plain:
        return Plain()

    async with Supervisor("app", child(make, name="a", restart="transient"), listener=events.append) as app:
        await app.find("a").send(Plain.stop)
        await at_rest()
        assert [str(event.reason) for event in events if isinstance(event, Stopped)] == ["normal"]


async def test_a_cancellation_from_outside_reaches_the_body() -> None:
    began = anyio.current_time()
    with anyio.move_on_after(3) as scope:
        async with Supervisor("app", child(Plain)):
            await anyio.sleep(100)
    assert scope.cancelled_caught
    assert anyio.current_time() - began == pytest.approx(3)


async def test_a_cancellation_from_outside_reaches_whoever_runs_an_open_mailbox() -> None:
    began = anyio.current_time()
    mailbox, address = open_mailbox(Plain)
    with anyio.move_on_after(3) as scope:
        await mailbox.run(Plain)
    assert scope.cancelled_caught
    assert anyio.current_time() - began == pytest.approx(3)
    address.close()


async def test_an_instance_that_is_a_supervisor_is_terminated_by_its_handle() -> None:
    async with DynamicSupervisor("app") as app:
        nested = await app.start_child(Supervisor("nested", child(Plain, name="a")))
        await app.terminate_child(nested)
        assert not app.children()
        assert not nested.running
        await app.terminate_child(nested)  # it is gone, which is no error
        with pytest.raises(ChildNotFound):
            await app.terminate_child(app)
