"""What is asked of an actor past its queue: pause, ping, stop, kill.

Tested: SEMANTICS 13 (paused), 17 (stop with a grace), 18, 19.
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from supervise import (
    ActorRestarting,
    ActorStopped,
    Address,
    Intensity,
    InvalidSpec,
    Restart,
    Supervisor,
    WouldDeadlock,
    child,
    current,
    open_mailbox,
)
from supervise.events import Event, Stopped
from supervise.testing.virtual_time import at_rest
from tests.doubles import Gate, Outcomes, Scribe, fill

pytestmark = pytest.mark.anyio


async def test_paused_begins_nothing_and_keeps_the_order_over_a_restart_too() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log)) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        outcomes = Outcomes(group)
        scribe.pause()
        for entry in "ab":
            await scribe.send(Scribe.note, entry)
        await outcomes.watch("c", scribe.call(Scribe.note, "c"))
        assert (log, len(scribe)) == ([], 3)
        app.kill("scribe")
        await at_rest()
        assert (log, len(scribe), app.which_children()[0].incarnation) == ([], 3, 2)
        scribe.resume()
        await at_rest()
        assert log == ["a", "b", "c"]
        assert outcomes.of == {"c": 3}
        scribe.resume()


async def test_what_is_in_hand_goes_on_when_it_is_paused() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, "a")
        scribe.pause()
        gate.open()
        await at_rest()
        assert (scribe.account().handled, log) == (1, [])
        scribe.resume()
        await at_rest()
        assert log == ["a"]


async def test_a_paused_actor_is_stopped_as_any_other() -> None:
    async with Supervisor("app", child(Scribe)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        scribe.pause()
        await scribe.send(Scribe.note, "a")
        await app.terminate_child("scribe")
        assert scribe.account().dead_lettered == 1


async def test_a_ping_tells_the_time_and_isnt_held_up_by_a_full_mailbox_nor_by_a_pause() -> None:
    async with Supervisor("app", child(Scribe, capacity=2)) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        assert await scribe.ping() == 0.0
        gate = await fill(scribe, "a", "b")
        outcomes = Outcomes(group)
        await outcomes.watch("ping", scribe.ping())
        await anyio.sleep(3)
        assert outcomes.of == {}
        scribe.pause()
        gate.open()
        await at_rest()
        assert outcomes.of == {"ping": 3.0}
        assert len(scribe) == 2
        assert await scribe.ping() == 0.0


async def test_a_ping_of_what_is_restarting_is_answered_by_the_next_life_and_one_of_what_is_stopped_is_refused() -> None:
    restart = Restart.permanent(wait=lambda _: 5.0)
    async with Supervisor("app", child(Scribe, restart=restart)) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        outcomes = Outcomes(group)
        await scribe.send(Scribe.crash)
        await at_rest()
        await outcomes.watch("ping", scribe.ping())
        await anyio.sleep(6)
        assert outcomes.of == {"ping": 5.0}
        gate = await fill(scribe)
        await outcomes.watch("late", scribe.ping())
        group.start_soon(app.terminate_child, "scribe")
        await at_rest()
        gate.open()
        await at_rest()
        assert isinstance(outcomes.of["late"], ActorStopped)
        with pytest.raises(ActorStopped):
            await scribe.ping()


async def test_a_stop_with_grace_handles_what_waits_and_takes_in_nothing() -> None:
    log: list[Any] = []
    events: list[Event] = []
    async with (
        Supervisor("app", child(Scribe, log, restart="transient"), listener=events.append) as app,
        anyio.create_task_group() as group,
    ):
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, "a", "b")
        outcomes = Outcomes(group)
        await outcomes.watch("stop", scribe.stop())
        with pytest.raises(ActorStopped):
            await scribe.send(Scribe.note, "c")
        gate.open()
        await at_rest()
        assert log == ["a", "b"]
        assert str(outcomes.of["stop"]) == "normal"
        assert [str(e.reason) for e in events if isinstance(e, Stopped)] == ["normal"]
        assert (scribe.account().dead_lettered, scribe.account().balanced) == (0, True)
        with pytest.raises(ActorStopped):
            await scribe.stop()


async def test_a_stop_lets_the_nursery_finish_and_after_its_grace_it_is_a_kill() -> None:
    done: list[str] = []

    async def work(seconds: float) -> None:
        await anyio.sleep(seconds)
        done.append(f"{seconds:g}")

    def begin(_: object, *seconds: float) -> None:
        for each in seconds:
            current().nursery.start_soon(work, each)

    async with Supervisor("app", child(Scribe, restart="transient", stop_within=5), intensity=Intensity(3, per=60)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        await scribe.call(begin, 2)
        assert str(await scribe.stop()) == "normal"
        assert done == ["2"]
        await app.restart_child("scribe")
        await scribe.call(begin, 1, 100)
        assert str(await scribe.stop(grace=3)) == "killed"
        assert done == ["2", "1"]


async def test_a_permanent_child_that_is_stopped_by_address_comes_back_on_its_mailbox() -> None:
    async with Supervisor("app", child(Scribe)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        await scribe.stop()
        assert await scribe.call(Scribe.note, "again") == 1
        assert app.which_children()[0].incarnation == 2


async def test_while_it_leaves_it_refuses_and_in_the_backoff_that_follows_it_accepts() -> None:
    log: list[Any] = []
    async with (
        Supervisor("app", child(Scribe, log, restart=Restart.permanent(wait=lambda _: 5.0))) as app,
        anyio.create_task_group() as group,
    ):
        scribe: Address[Scribe] = app.find("scribe")
        outcomes, gate = Outcomes(group), await fill(scribe)
        await outcomes.watch("stop", scribe.stop())
        with pytest.raises(ActorStopped, match=r"is ending, as it was asked to, and doesn't get Scribe.note: watch\(\)"):
            await scribe.send(Scribe.note, "while it leaves")
        gate.open()
        await at_rest()
        assert str(outcomes.of["stop"]) == "normal"
        await scribe.send(Scribe.note, "in the backoff")
        await outcomes.watch("call", scribe.call(Scribe.note, "too"))
        assert log == []
        await anyio.sleep(6)
        assert log == ["in the backoff", "too"]


class Clings(Scribe):
    """Is cancelled, and goes on all the same until the gate is open."""

    async def cling(self, gate: Gate) -> None:
        with anyio.CancelScope(shield=True):
            await gate.walk_through()


async def test_a_stop_by_address_changes_nothing_of_what_was_decided_before() -> None:
    async with Supervisor("app", child(Clings, name="clings", stop_within=1)) as app, anyio.create_task_group() as group:
        clings: Address[Clings] = app.find("clings")
        outcomes, gate = Outcomes(group), Gate()
        await clings.send(Clings.cling, gate)
        await gate.reached.wait()
        await outcomes.watch("terminate", app.terminate_child("clings"))
        await anyio.sleep(5)
        with pytest.raises(ActorStopped, match="was cancelled and still runs"):
            await clings.send(Clings.note, 1)
        await outcomes.watch("stop", clings.stop())
        with pytest.raises(ActorStopped, match="was cancelled and still runs"):
            await clings.send(Clings.note, 1)
        gate.open()
        await at_rest()


async def test_stops_that_cannot_be_are_refused() -> None:
    async with Supervisor("app", child(Scribe, restart=Restart.permanent(wait=lambda _: 5.0))) as app:
        scribe: Address[Scribe] = app.find("scribe")
        with pytest.raises(InvalidSpec, match="grace=-1"):
            await scribe.stop(grace=-1)

        async def stop_myself(_: object) -> str:
            with pytest.raises(WouldDeadlock):
                await current().address.stop()
            return "refused"

        assert await scribe.call(stop_myself) == "refused"
        await scribe.send(Scribe.crash)
        await at_rest()
        with pytest.raises(ActorRestarting):
            await scribe.stop()


async def test_a_kill_by_address_is_decided_as_a_crash() -> None:
    async with Supervisor("app", child(Scribe)) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        outcomes = Outcomes(group)
        await outcomes.watch("held", scribe.call(Scribe.hold, Gate()))
        scribe.kill()
        await at_rest()
        assert isinstance(outcomes.of["held"], ActorStopped)
        assert app.which_children()[0].incarnation == 2


async def test_a_kill_ends_a_life_by_hand_too() -> None:
    mailbox, address = open_mailbox(Scribe)
    async with anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("run", mailbox.run(Scribe))
        address.kill()
        await at_rest()
        assert str(outcomes.of["run"].reason) == "killed"
