"""How and why an actor ended, told to who asks: awaited for the logical actor, or as a message for each incarnation.

Tested: `Address.watch` in each state of SEMANTICS 13, before and after the end; Erlang's monitor: a `Down` for each end, at
once for what has ended already, gone with the watching incarnation, flushed when it is closed, not kept out by a full mailbox;
where it differs (the docs of `supervise/mailbox/observers.py`); neither keeps anybody alive.
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from tenacity import wait_fixed

from supervise import (
    Address,
    Down,
    DynamicSupervisor,
    ExitKind,
    ExitReason,
    Intensity,
    InvalidSpec,
    Monitor,
    Restart,
    Supervisor,
    UnknownHandler,
    WeakAddress,
    WouldDeadlock,
    child,
    current,
    open_mailbox,
)
from supervise.mailbox import observers
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate, Outcomes, Scribe
from tests.situations import ACCEPTING, FORGOTTEN, STOPPED, Situation

pytestmark = pytest.mark.anyio

CRASHED = ExitReason(ExitKind.CRASHED, "Boom: boom")
SHUTDOWN = ExitReason(ExitKind.SHUTDOWN)
NORMAL = ExitReason(ExitKind.NORMAL)


# -- the end of the logical actor ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("situation", [*STOPPED, *FORGOTTEN])
async def test_what_has_ended_before_tells_at_once(situation: Situation) -> None:
    async with situation() as (_, scribe):
        with anyio.fail_after(0.001):
            down = await scribe.watch()
        assert down.path == "app/scribe"
        assert down.incarnation == 1
        reason = {
            "terminated": SHUTDOWN,
            "finished_transient": NORMAL,
            "ignored": ExitReason(ExitKind.CRASHED, "IgnoreStart: not now"),
            "out_of_its_own_limit": CRASHED,
            "temporary_ended": CRASHED,
            "deleted": SHUTDOWN,
            "dynamic_ended": SHUTDOWN,
            "failed_to_start": ExitReason(ExitKind.CRASHED, "Boom: at the start"),
        }[situation.__name__]
        assert down.reason == reason
        assert str(down) == f"app/scribe #1 ended: {reason}"


@pytest.mark.parametrize("situation", ACCEPTING)
async def test_a_restart_is_no_end(situation: Situation) -> None:
    async with anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        async with situation() as (_, scribe):
            await outcomes.watch("end", scribe.watch())
            assert outcomes.of == {}
        await at_rest()
        assert outcomes.of["end"].path == scribe.path  # the tree's end is one


async def test_who_waits_is_told_at_the_last_end_with_its_reason() -> None:
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        scribe = await app.start(Scribe, restart="transient")
        outcomes = Outcomes(group)
        await outcomes.watch("strong", scribe.watch())
        await outcomes.watch("weak", scribe.weak.watch())
        await scribe.send(Scribe.crash)
        await at_rest()
        assert outcomes.of == {}
        await scribe.send(lambda _: current().stop(shutdown="enough"))
        await at_rest()
        expected = Down("app/scribe", 2, ExitReason(ExitKind.SHUTDOWN, "enough"))
        assert outcomes.of == {"strong": expected, "weak": expected}
        assert not observers._OBSERVED
        await app.restart_child("scribe")
        await outcomes.watch("again", scribe.watch())
        assert "again" not in outcomes.of
        await app.terminate_child("scribe")
        await at_rest()
        assert outcomes.of["again"] == Down("app/scribe", 3, SHUTDOWN)


async def test_a_stop_while_it_waits_for_its_restart_is_an_end() -> None:
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        scribe = await app.start(Scribe, restart=Restart.permanent(wait=wait_fixed(10)))
        outcomes = Outcomes(group)
        await outcomes.watch("end", scribe.watch())
        await scribe.send(Scribe.crash)
        await at_rest()
        assert outcomes.of == {}
        await app.terminate_child("scribe")
        await at_rest()
        assert outcomes.of["end"] == Down("app/scribe", 1, CRASHED)


async def test_an_end_is_told_only_when_all_of_it_is_over() -> None:
    class Slow(Scribe):
        async def __aenter__(self) -> Slow:
            return self

        async def __aexit__(self, *_: object) -> None:
            await anyio.sleep(3)

    async with DynamicSupervisor("app") as app, anyio.create_task_group() as group:
        slow = await app.start(Slow)
        outcomes = Outcomes(group)
        group.start_soon(app.terminate_child, slow)
        await at_rest()
        await outcomes.watch("end", slow.watch())
        assert outcomes.of == {}
        await anyio.sleep(3)
        await at_rest()
        assert outcomes.of["end"] == Down("app/slow", 1, SHUTDOWN)


async def test_one_that_never_had_a_life_says_so() -> None:
    found: list[Address[Any]] = []

    def fails() -> Scribe:
        found.append(current().supervisor().find("younger"))
        raise Boom("at the start")

    with pytest.raises(Exception, match="didn't start"):
        async with Supervisor("app", child(fails), child(Scribe, name="younger")):
            raise AssertionError("it started")
    down = await found[0].watch()
    assert down == Down("app/younger", 0, ExitReason(ExitKind.SHUTDOWN, "it was never started"))


async def test_waiting_keeps_nobody_alive() -> None:
    mailbox, scribe = open_mailbox(Scribe)
    async with anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("end", scribe.watch())
        await outcomes.watch("run", mailbox.run(Scribe))
        await scribe.send(Scribe.crash)
        await at_rest()
        assert "end" not in outcomes.of  # it may be run again
        await outcomes.watch("run", mailbox.run(Scribe))
        del scribe
        await at_rest()
        assert outcomes.of["end"] == Down("scribe", 1 + 1, NORMAL)


async def test_a_mailbox_that_is_closed_is_an_end() -> None:
    mailbox, scribe = open_mailbox(Scribe)
    async with anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("end", scribe.watch())
        mailbox.close()
        await at_rest()
        assert outcomes.of["end"].incarnation == 0
    other, busy = open_mailbox(Scribe)
    async with anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("run", other.run(Scribe))
        gate = Gate()
        await busy.send(Scribe.hold, gate)
        await gate.reached.wait()
        other.close()
        await outcomes.watch("end", busy.watch())
        assert "end" not in outcomes.of  # its last message is still in hand
        gate.open()
        await at_rest()
        assert outcomes.of["end"] == Down("scribe", 1, NORMAL)


async def test_an_actor_cannot_wait_for_its_own_end() -> None:
    async def wait(_: object) -> None:
        await current().address.watch()

    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, expects=(WouldDeadlock,))
        with pytest.raises(WouldDeadlock, match="app/scribe can't wait for its own end"):
            await scribe.call(wait)


async def test_who_is_cancelled_is_forgotten() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        with anyio.move_on_after(1):
            await scribe.watch()
        assert not observers._OBSERVED


# -- the end of each incarnation -----------------------------------------------------------------------------------------


class Nurse:
    """Writes down, outside of itself, whom it lost."""

    def __init__(self, log: list[Any], patient: Address[Any] | WeakAddress[Any] | None = None) -> None:
        self.log = log
        self.monitor: Monitor | None = None
        if patient is not None:
            self.monitor = current().watch(patient, Nurse.lost)

    def watch(self, patient: Address[Any] | WeakAddress[Any]) -> None:
        self.monitor = current().watch(patient, Nurse.lost)

    def close(self) -> None:
        assert self.monitor is not None
        self.monitor.close()

    async def lost(self, down: Down) -> None:
        self.log.append((current().incarnation, down.path, down.incarnation, down.reason.kind.value))

    async def hold(self, gate: Gate) -> None:
        await gate.walk_through()

    async def crash(self) -> None:
        raise Boom("boom")


async def test_a_monitor_tells_of_each_end_restarts_included() -> None:
    async with Supervisor("app", intensity=Intensity(10, per=5)) as app:
        log: list[Any] = []
        scribe = await app.start(Scribe, restart="transient")
        await app.start(Nurse, log, scribe)
        for _ in range(2):
            await scribe.send(Scribe.crash)
            await at_rest()
        await scribe.send(lambda _: current().stop())
        await at_rest()
        assert log == [
            (1, "app/scribe", 1, "crashed"),
            (1, "app/scribe", 2, "crashed"),
            (1, "app/scribe", 3, "normal"),
        ]
        await app.restart_child("scribe")
        await scribe.send(Scribe.crash)
        await at_rest()
        assert log[3:] == [(1, "app/scribe", 4, "crashed")]
        app.kill("scribe")
        await at_rest()
        assert log[4:] == [(1, "app/scribe", 5, "killed")]


async def test_the_sender_of_a_down_is_who_ended() -> None:
    senders: list[Any] = []

    def lost(_: Nurse, down: Down) -> None:
        senders.append(current().sender)

    def watch(_: Nurse, whom: Address[Scribe]) -> None:
        current().watch(whom, lost)

    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        nurse = await app.start(Nurse, list[Any]())
        await nurse.call(watch, scribe)
        await scribe.send(Scribe.crash)
        await at_rest()
        assert senders == [scribe.weak]


@pytest.mark.parametrize("situation", [*STOPPED, *FORGOTTEN])
async def test_a_monitor_of_what_has_ended_tells_at_once_and_why(situation: Situation) -> None:
    async with situation() as (_, scribe), Supervisor("ward") as ward:
        log: list[Any] = []
        nurse = await ward.start(Nurse, log)
        await nurse.call(Nurse.watch, scribe)
        await at_rest()
        kind = (await scribe.watch()).reason.kind.value
        assert log == [(1, "app/scribe", 1, kind)]


async def test_a_monitor_of_what_waits_for_its_restart_tells_at_once_and_goes_on() -> None:
    async with Supervisor("app") as app:
        log: list[Any] = []
        scribe = await app.start(Scribe, restart=Restart.permanent(wait=wait_fixed(10)))
        await scribe.send(Scribe.crash)
        await at_rest()
        await app.start(Nurse, log, scribe.weak)
        await at_rest()
        assert log == [(1, "app/scribe", 1, "crashed")]
        await scribe.call(Scribe.note, "back")
        await scribe.send(Scribe.crash)
        await at_rest()
        assert log[1:] == [(1, "app/scribe", 2, "crashed")]


async def test_a_monitor_of_what_is_back_is_told_of_no_end_before() -> None:
    async with Supervisor("app", intensity=Intensity(10, per=5)) as app:
        log: list[Any] = []
        scribe = await app.start(Scribe)
        await scribe.send(Scribe.crash)
        await scribe.call(Scribe.note, "it is back")
        await app.start(Nurse, log, scribe)
        await at_rest()
        assert log == []
        await scribe.send(Scribe.crash)
        await at_rest()
        assert log == [(1, "app/scribe", 2, "crashed")]


async def test_a_start_that_fails_is_an_end_too() -> None:
    lives = 0

    def second_fails() -> Scribe:
        nonlocal lives
        lives += 1
        if lives == 2:
            raise Boom("at the start")
        return Scribe()

    async with Supervisor("app") as app:
        log: list[Any] = []
        scribe = await app.start(second_fails, name="scribe")
        await app.start(Nurse, log, scribe)
        await scribe.send(Scribe.crash)
        await at_rest()
        assert log == [(1, "app/scribe", 1, "crashed"), (1, "app/scribe", 2, "crashed")]


async def test_a_monitor_goes_with_the_incarnation_that_watches() -> None:
    async with Supervisor("app") as app:
        log: list[Any] = []
        scribe = await app.start(Scribe)
        nurse = await app.start(Nurse, log)
        await nurse.call(Nurse.watch, scribe)
        await nurse.send(Nurse.crash)
        await at_rest()
        assert not observers._OBSERVED
        await scribe.send(Scribe.crash)
        await at_rest()
        assert log == []


async def test_a_down_that_is_queued_at_the_watchers_crash_is_not_told_to_the_next_life() -> None:
    async with DynamicSupervisor("app") as app:
        log: list[Any] = []
        scribe = await app.start(Scribe)
        nurse = await app.start(Nurse, log, restart="permanent")
        await nurse.call(Nurse.watch, scribe)
        gate = Gate()
        await nurse.send(Nurse.hold, gate)
        await gate.reached.wait()
        await nurse.send(Nurse.crash)
        await scribe.send(Scribe.crash)  # and gone for good
        await at_rest()
        assert len(nurse) == 2
        gate.open()
        await at_rest()
        assert log == []
        assert app.get_childspec("nurse").incarnation == 2
        account = nurse.account()
        assert account.balanced
        assert account.handled == 3


async def test_a_monitor_that_is_closed_is_flushed() -> None:
    async with Supervisor("app") as app:
        log: list[Any] = []
        scribe = await app.start(Scribe)
        nurse = await app.start(Nurse, log)
        await nurse.call(Nurse.watch, scribe)
        gate = Gate()
        await nurse.send(Nurse.hold, gate)
        await gate.reached.wait()
        await nurse.send(Nurse.close)
        await scribe.send(Scribe.crash)
        await at_rest()
        gate.open()
        await at_rest()
        assert log == []
        assert not observers._OBSERVED
        await scribe.send(Scribe.crash)
        await nurse.call(Nurse.close)
        await at_rest()
        assert log == []


async def test_a_full_mailbox_does_not_keep_a_down_out() -> None:
    async with Supervisor("app") as app:
        log: list[Any] = []
        scribe = await app.start(Scribe)
        nurse = await app.start(Nurse, log, capacity=1)
        await nurse.call(Nurse.watch, scribe)
        gate = Gate()
        await nurse.send(Nurse.hold, gate)
        await gate.reached.wait()
        await nurse.send(Nurse.hold, gate)
        await scribe.send(Scribe.crash)
        await scribe.send(Scribe.crash)
        await at_rest()
        assert len(nurse) == 3
        gate.open()
        await at_rest()
        assert log == [(1, "app/scribe", 1, "crashed"), (1, "app/scribe", 2, "crashed")]
        assert nurse.account().balanced
        assert nurse.account().accepted == 5


async def test_a_watcher_that_is_stopped_is_not_told_and_who_is_watched_ends_well() -> None:
    async with Supervisor("app") as app:
        log: list[Any] = []
        scribe = await app.start(Scribe)
        nurse = await app.start(Nurse, log, scribe)
        gate = Gate()
        await nurse.send(Nurse.hold, gate)
        await gate.reached.wait()
        async with anyio.create_task_group() as group:
            group.start_soon(app.terminate_child, "nurse")
            await at_rest()
            await scribe.send(Scribe.crash)
            await scribe.call(Scribe.note, 1)
            gate.open()
        assert log == []
        assert not observers._OBSERVED
        assert nurse.account().accepted == 1  # nothing comes into a mailbox that refuses


async def test_a_monitor_keeps_nobody_alive() -> None:
    mailbox, scribe = open_mailbox(Scribe)
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        log: list[Any] = []
        outcomes = Outcomes(group)
        await outcomes.watch("run", mailbox.run(Scribe))
        nurse = await app.start(Nurse, log)
        await nurse.call(Nurse.watch, scribe)
        del scribe
        await at_rest()
        assert log == [(1, "scribe", 1, "normal")]
        assert "run" in outcomes.of
        assert not observers._OBSERVED


async def test_a_watcher_without_a_supervisor_is_told_too() -> None:
    mailbox, nurse = open_mailbox(Nurse)
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        log: list[Any] = []
        scribe = await app.start(Scribe)
        outcomes = Outcomes(group)
        await outcomes.watch("run", mailbox.run(Nurse, log, scribe))
        await scribe.send(Scribe.crash)
        await at_rest()
        assert log == [(1, "app/scribe", 1, "crashed")]
        mailbox.close()
        await at_rest()
        assert not observers._OBSERVED
    assert nurse.account().handled == 1


async def test_many_that_come_and_go_leave_nothing_with_their_watcher() -> None:
    async with DynamicSupervisor("app") as app:
        log: list[Any] = []
        nurse = await app.start(Nurse, log)
        for _ in range(50):
            scribe = await app.start(Scribe)
            await nurse.call(Nurse.watch, scribe)
            await app.terminate_child(scribe)
        await at_rest()
        assert len(log) == 50
        assert not observers._OBSERVED


async def test_a_wrong_watch_is_refused_at_once() -> None:
    def watch_itself(_: Nurse) -> None:
        current().watch(current().address, Nurse.lost)

    def watch_a_path(_: Nurse) -> None:
        who: Any = "app/scribe"
        current().watch(who, Nurse.lost)

    def wrong_handler(nurse: Nurse, whom: Address[Scribe]) -> None:
        current().watch(whom, Scribe.note)

    def bound_handler(nurse: Nurse, whom: Address[Scribe]) -> None:
        bound: Any = nurse.lost
        current().watch(whom, bound)

    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        nurse = await app.start(Nurse, list[Any](), expects=(InvalidSpec, UnknownHandler, TypeError))
        with pytest.raises(InvalidSpec, match=r"watch by 'app/nurse': address=.* another actor's"):
            await nurse.call(watch_itself)
        with pytest.raises(InvalidSpec, match="watch by 'app/nurse': address='app/scribe'"):
            await nurse.call(watch_a_path)
        with pytest.raises(UnknownHandler, match="Nurse has no handler 'note'"):
            await nurse.call(wrong_handler, scribe)
        with pytest.raises(TypeError, match="bound to an object"):
            await nurse.call(bound_handler, scribe)
        assert not observers._OBSERVED
