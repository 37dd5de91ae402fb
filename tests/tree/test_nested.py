"""Supervisors below supervisors: whose decision it is, what their children keep, and in which order all of it stops.

Tested: SEMANTICS 2, 4 (a failure inside is one failed try), 6, 7, 11, 13 (between a supervisor's end and its parent's
decision), DESIGN "How it ends".
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from tenacity import wait_fixed

from supervise import (
    ActorStopped,
    Address,
    DynamicSupervisor,
    GaveUp,
    Intensity,
    MailboxClosed,
    Restart,
    RunningSupervisor,
    StartFailed,
    Supervisor,
    child,
    current,
)
from supervise.events import Event
from supervise.events import StartFailed as StartFailedEvent
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom
from tests.members import Member, actions, states

pytestmark = pytest.mark.anyio

NO_PATIENCE = Intensity(0)


async def end_below(app: RunningSupervisor) -> None:
    """The supervisor below gives up."""
    await app.find("below/crashes").send(Member.crash)
    await at_rest()


async def test_a_tree_starts_and_stops_depth_first_in_reverse() -> None:
    log: list[str] = []
    below = Supervisor("below", child(Member, log, name="b"), child(Member, log, name="c"))
    async with Supervisor("app", child(Member, log, name="a"), below, child(Member, log, name="d")):
        assert log == ["+a", "+b", "+c", "+d"]
        log.clear()
    assert log == ["-d", "-c", "-b", "-a"]


async def test_a_supervisor_has_all_the_time_it_needs_to_stop_unless_it_is_given_less() -> None:
    for within, took in ((None, 12.0), (7.0, 7.0)):
        members = [child(Member, None, 0.0, 4.0, name=name) for name in "abc"]
        async with Supervisor("app", Supervisor("below", *members, stop_within=within), intensity=Intensity(0)) as app:
            began = anyio.current_time()
            await app.terminate_child("below")
            assert anyio.current_time() - began == pytest.approx(took)


async def test_a_brutal_kill_of_a_supervisor_cancels_all_below_it_at_once() -> None:
    log: list[str] = []
    deep = Supervisor("deep", child(Member, log, 0.0, 4.0, name="b"))
    below = Supervisor("below", child(Member, log, 0.0, 4.0, name="a"), deep, stop_within="brutal_kill")
    async with Supervisor("app", below) as app:
        began = anyio.current_time()
        await app.terminate_child("below")
        assert anyio.current_time() == began
    assert log == ["+a", "+b"]


async def test_the_budget_reaches_down_into_all_supervisors() -> None:
    log: list[str] = []
    deep = Supervisor("deep", child(Member, log, 0.0, 3.0, name="a"), child(Member, log, 0.0, 3.0, name="b"))
    began = anyio.current_time()
    async with Supervisor("app", Supervisor("below", deep), shutdown_budget=4.0):
        pass
    assert anyio.current_time() - began == pytest.approx(4)
    assert log == ["+a", "+b", "-b"]


async def test_a_give_up_below_is_one_restart_above_and_a_fresh_window_below() -> None:
    events: list[Event] = []
    below = Supervisor("below", child(Member, name="crashes"), intensity=Intensity(1))
    async with Supervisor("app", below, listener=events.append) as app:
        for _ in range(4):
            await end_below(app)
        assert actions(events) == [
            ("app/below/crashes", "restart"),
            ("app/below/crashes", "give_up"),
            ("app/below", "restart"),
            ("app/below/crashes", "restart"),
            ("app/below/crashes", "give_up"),
            ("app/below", "restart"),
        ]
        assert app.restarts == 2
        assert app.supervisor("below").restarts == 0


async def test_a_restart_below_whose_start_fails_inside_is_one_failed_try_above() -> None:
    broken: set[str] = set()
    events: list[Event] = []
    below = Supervisor(
        "below",
        child(Member, name="crashes"),
        child(Member, None, 0.0, 0.0, broken, name="fragile"),
        intensity=NO_PATIENCE,
    )
    with pytest.raises(GaveUp):
        async with Supervisor("app", below, intensity=Intensity(2), listener=events.append) as app:
            broken.add("fragile")
            await end_below(app)
            await anyio.sleep_forever()
    assert actions(events) == [
        ("app/below/crashes", "give_up"),
        ("app/below", "restart"),
        ("app/below", "restart"),
        ("app/below", "give_up"),
    ]
    assert [e.path for e in events if isinstance(e, StartFailedEvent)] == ["app/below/fragile", "app/below"] * 2


async def test_static_children_keep_mailbox_address_and_queue_and_get_new_instances_and_numbers() -> None:
    below = Supervisor("below", child(Member, name="x"), child(Member, name="crashes"), intensity=NO_PATIENCE)
    async with Supervisor("app", below) as app:
        x: Address[Member] = app.find("below/x")
        assert await x.call(Member.see) == 1
        assert await x.call(Member.see) == 2
        await end_below(app)
        assert app.find("below/x") == x
        assert await x.call(Member.see) == 1
        assert await x.call(Member.life) == 2


async def test_children_of_a_supervisor_that_waits_for_its_restart_take_messages() -> None:
    below = Supervisor(
        "below",
        child(Member, name="x"),
        child(Member, name="crashes"),
        intensity=NO_PATIENCE,
        restart=Restart.permanent(wait=wait_fixed(10)),
    )
    async with Supervisor("app", below) as app:
        x = app.find("below/x")
        began = anyio.current_time()
        await end_below(app)
        assert not app.supervisor("below").running
        assert await x.call(Member.see) == 1
        assert anyio.current_time() - began == pytest.approx(10)


async def test_children_of_a_supervisor_that_is_terminated_refuse_and_come_back_with_it() -> None:
    below = Supervisor("below", child(Member, name="x"), Supervisor("deep", child(Member, name="y")))
    async with Supervisor("app", below) as app:
        addresses = [app.find("below/x"), app.find("below/deep/y")]
        await app.terminate_child("below")
        for address in addresses:
            with pytest.raises(ActorStopped):
                await address.call(Member.see)
        assert await app.restart_child("below")
        for address in addresses:
            assert await address.call(Member.see) == 1


async def test_children_of_a_supervisor_that_is_deleted_are_closed() -> None:
    async with Supervisor("app", Supervisor("below", child(Member, name="x"))) as app:
        x = app.find("below/x")
        await app.terminate_child("below")
        await app.delete_child("below")
        with pytest.raises(MailboxClosed):
            await x.call(Member.see)


@pytest.mark.parametrize(("restart", "refusal"), [("transient", ActorStopped), ("temporary", MailboxClosed)])
async def test_children_of_a_supervisor_that_ends_and_isn_t_restarted_are_stopped_or_closed_with_what_waits(
    restart: Any, refusal: type[Exception]
) -> None:
    below = Supervisor("below", child(Member, None, 0.0, 1.0, name="x"), restart=restart)
    async with Supervisor("app", below) as app, anyio.create_task_group() as group:
        x = app.find("below/x")

        async def call_while_it_stops() -> None:
            with pytest.raises(refusal):
                await x.call(Member.see)

        handle = app.supervisor("below")
        group.start_soon(handle.stop)
        await at_rest()
        group.start_soon(call_while_it_stops)
        await at_rest()
        assert app.account().queued == 1, "it is its parent that decides"
        await anyio.sleep(2)
        assert app.account().queued == 0
        with pytest.raises(refusal):
            await x.call(Member.see)


async def test_a_temporary_child_and_a_deleted_one_come_back_with_their_supervisor_on_new_mailboxes() -> None:
    below = Supervisor(
        "below",
        child(Member, name="temporary", restart="temporary"),
        child(Member, name="deleted"),
        child(Member, name="crashes"),
        intensity=NO_PATIENCE,
    )
    async with Supervisor("app", below) as app:
        old = [app.find("below/temporary"), app.find("below/deleted")]
        handle = app.supervisor("below")
        await handle.terminate_child("deleted")
        await handle.delete_child("deleted")
        await end_below(app)
        assert states(handle) == {"temporary": "running", "deleted": "running", "crashes": "running"}
        for address in old:
            with pytest.raises(MailboxClosed):
                await address.call(Member.see)
            assert await app.find(address.path.removeprefix("app/")).call(Member.see) == 1


async def test_a_dynamic_supervisor_that_is_restarted_begins_without_children() -> None:
    async with Supervisor("app", DynamicSupervisor("below", intensity=NO_PATIENCE)) as app:
        handle = app.supervisor("below")
        addresses = [await handle.start(Member, name="crashes", restart="permanent"), await handle.start(Member)]
        await end_below(app)
        assert handle.running
        assert handle.children() == []
        for address in addresses:
            with pytest.raises(MailboxClosed):
                await address.call(Member.see)


async def test_a_dynamic_supervisor_stops_all_its_children_at_once() -> None:
    log: list[str] = []
    async with Supervisor("app", DynamicSupervisor("below")) as app:
        handle = app.supervisor("below")
        for name in "abc":
            await handle.start(Member, log, 0.0, 3.0, name=name)
        began = anyio.current_time()
        await app.terminate_child("below")
        assert anyio.current_time() - began == pytest.approx(3)
    assert sorted(log[3:]) == ["-a", "-b", "-c"]


async def test_a_transient_child_of_a_dynamic_supervisor_is_forgotten_at_its_normal_end() -> None:
    class Room:
        def enter(self) -> None: ...

    async with DynamicSupervisor("rooms") as rooms:
        for _ in range(2):  # its name is free again
            room = await rooms.start(Room, name="tea", restart="transient")
            await room.stop()
            assert rooms.which_children() == []
            with pytest.raises(MailboxClosed):
                await room.call(Room.enter)


async def test_an_auto_shutdown_below_is_an_orderly_end_that_a_transient_supervisor_isn_t_restarted_after() -> None:
    for restart, becomes in (("transient", "stopped"), ("permanent", "running")):
        below = Supervisor(
            "below",
            child(Member, name="x", restart="transient", significant=True),
            child(Member, name="y"),
            auto_shutdown="any_significant",
            restart=restart,  # type: ignore[arg-type]  # both are names of restart types
        )
        async with Supervisor("app", below) as app:
            await app.find("below/x").send(Member.finish)
            await at_rest()
            assert states(app) == {"below": becomes}


async def test_a_significant_supervisor_s_auto_shutdown_goes_on_up() -> None:
    below = Supervisor(
        "below",
        child(Member, name="x", restart="transient", significant=True),
        auto_shutdown="any_significant",
        restart="transient",
        significant=True,
    )
    async with Supervisor("app", below, auto_shutdown="any_significant") as app:
        await app.find("below/x").send(Member.finish)
        await anyio.sleep_forever()
    assert app.ended is not None
    assert app.ended.cause.value == "auto_shutdown"


async def test_a_nested_supervisor_that_is_stopped_by_its_handle_is_restarted_by_its_parent() -> None:
    async with Supervisor("app", Supervisor("below", child(Member, name="x"))) as app:
        x = app.find("below/x")
        await app.supervisor("below").stop()
        assert await x.call(Member.life) == 2
        assert app.restarts == 1


async def test_an_actor_stops_the_supervisor_above_its_own_from_a_task() -> None:
    async def begin(_: Member) -> None:
        current().nursery.start_soon(app.supervisor("below").stop)

    async with Supervisor("app", Supervisor("below", child(Member, name="x"), restart="transient")) as app:
        await app.find("below/x").send(begin)
        await at_rest()
        assert states(app) == {"below": "stopped"}


async def test_a_nested_start_that_fails_names_the_whole_way_down_and_stops_what_runs() -> None:
    log: list[str] = []
    events: list[Event] = []
    deep = Supervisor("deep", child(Member, log, name="b"), child(Member, log, 0.0, 0.0, {"c"}, name="c"))
    with pytest.raises(StartFailed, match=r"'deep' didn't start: child 'c' didn't start: Boom") as caught:
        async with Supervisor("app", child(Member, log, name="a"), deep, listener=events.append):
            pytest.fail("it didn't start")
    assert isinstance(caught.value.__cause__, Boom)
    assert log == ["+a", "+b", "c fails", "-b", "-a"]
    assert [e.path for e in events if isinstance(e, StartFailedEvent)] == ["app/deep/c", "app/deep", "app"]


async def test_a_give_up_that_goes_on_up_tells_the_whole_chain() -> None:
    deep = Supervisor("deep", child(Member, name="crashes"), intensity=Intensity(1))
    with pytest.raises(GaveUp) as caught:
        async with Supervisor("app", Supervisor("below", deep, intensity=NO_PATIENCE), intensity=NO_PATIENCE) as app:
            for _ in range(2):
                await app.find("below/deep/crashes").send(Member.crash)
                await at_rest()
            await anyio.sleep_forever()
    assert [(crash.path, crash.decision.action.value) for crash in caught.value.crashes] == [
        ("app/below/deep/crashes", "restart"),
        ("app/below/deep/crashes", "give_up"),
        ("app/below/deep", "give_up"),
        ("app/below", "give_up"),
    ]


async def test_an_actor_finds_from_its_own_supervisor_on() -> None:
    def look(_: Member) -> list[str]:
        return [current().find("y").path, current().supervisor().path, current().supervisor("deep").path]

    below = Supervisor("below", child(Member, name="x"), child(Member, name="y"), Supervisor("deep"))
    async with Supervisor("app", below) as app:
        assert await app.find("below/x").call(look) == ["app/below/y", "app/below", "app/below/deep"]
