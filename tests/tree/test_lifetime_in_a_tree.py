"""Children that live by their addresses.

Tested: SEMANTICS 30, 31 (dropping the result), 32, 33, 72 (ended means ended).
"""

from __future__ import annotations

import gc
import threading
from typing import Any

import anyio
import anyio.to_thread
import pytest

from supervise import (
    Address,
    DynamicSupervisor,
    Intensity,
    InvalidSpec,
    MailboxClosed,
    Restart,
    RunningSupervisor,
    Supervisor,
    child,
)
from supervise.events import AddressDropped, Event, Stopped
from supervise.testing.virtual_time import at_rest
from tests.doubles import Outcomes, Scribe, fill
from tests.real_clock import on_the_real_clock

pytestmark = pytest.mark.anyio


async def test_it_ends_normally_when_nobody_can_write_to_it_and_nothing_waits() -> None:
    log: list[Any] = []
    events: list[Event] = []
    async with DynamicSupervisor("app", listener=events.append) as app:
        strong: list[Address[Scribe]] = [await app.start(Scribe, log, lifetime="addresses")]
        weak = strong[0].weak
        gate = await fill(strong[0], "a", "b")
        strong.clear()
        await at_rest()
        assert app.count_children().active == 1
        with pytest.raises(MailboxClosed):
            await weak.send(Scribe.note, "c")
        gate.open()
        await at_rest()
        assert log == ["a", "b"]
        assert app.count_children().specs == 0
        assert [str(e.reason) for e in events if isinstance(e, Stopped)] == ["normal"]


async def test_a_view_keeps_it_and_a_restart_doesnt_end_it() -> None:
    async with Supervisor("app") as app:
        strong = [await app.start(Scribe, lifetime="addresses", name="scribe")]
        view = strong[0].options(timeout=5)
        strong.clear()
        await view.send(Scribe.crash)
        assert await view.call(Scribe.note, 1) == 1
        assert app.which_children()[0].incarnation == 2
        del view
        await at_rest()
        assert not app.which_children()[0].alive


async def test_one_that_loses_its_last_address_while_it_restarts_drains_first() -> None:
    log: list[Any] = []
    async with Supervisor("app") as app:
        restart = Restart.transient(wait=lambda _: 5.0)
        strong = [await app.start(Scribe, log, lifetime="addresses", restart=restart)]
        await strong[0].send(Scribe.crash)
        await strong[0].send(Scribe.note, "waits")
        await at_rest()
        strong.clear()
        gc.collect()
        await anyio.sleep(6)
        assert log == ["waits"]
        assert not app.which_children()[0].alive


async def test_dropping_the_result_of_start_ends_it_at_once_and_says_so() -> None:
    events: list[Event] = []
    async with DynamicSupervisor("app", listener=events.append) as app:
        await app.start(Scribe, lifetime="addresses", name="scribe")
        await at_rest()
        assert app.count_children().specs == 0
        assert [e for e in events if isinstance(e, AddressDropped)] == [AddressDropped("app/scribe")]


async def test_a_static_one_lives_until_somebody_had_an_address_and_dropped_it() -> None:
    key = child(Scribe, lifetime="addresses")
    async with Supervisor("app", key) as app:
        await at_rest()
        assert app.which_children()[0].alive  # none yet isn't none left
        strong = [app.find(key)]
        assert await strong[0].call(Scribe.note, 1) == 1
        strong.clear()
        await at_rest()
        assert not app.which_children()[0].alive


async def test_a_sender_that_waits_for_room_when_the_last_address_goes_has_its_message_handled() -> None:
    log: list[Any] = []
    async with DynamicSupervisor("app") as app, anyio.create_task_group() as group:
        strong: list[Address[Scribe]] = [await app.start(Scribe, log, lifetime="addresses", capacity=1)]
        gate = await fill(strong[0], "a")
        outcomes = Outcomes(group)
        await outcomes.watch("b", strong[0].send(Scribe.note, "b"))
        strong.clear()
        gate.open()
        await at_rest()
        assert (log, outcomes.of) == (["a", "b"], {"b": None})
        assert app.count_children().specs == 0


@on_the_real_clock
async def test_the_last_drop_in_another_thread_or_by_the_collector_wakes_it(anyio_backend: Any) -> None:
    ended = anyio.Event()

    def listen(event: Event) -> None:
        if isinstance(event, Stopped) and event.path == "app/scribe":
            ended.set()

    class Holder:
        def __init__(self, address: Address[Scribe]) -> None:
            self.itself = self
            self.address = address

    with anyio.fail_after(30):
        async with DynamicSupervisor("app", listener=listen) as app:
            strong = [await app.start(Scribe, lifetime="addresses", name="scribe")]
            await strong[0].send(Scribe.note, 1)
            thread = threading.Thread(target=strong.clear)
            thread.start()
            await ended.wait()
            await anyio.to_thread.run_sync(thread.join)
            ended = anyio.Event()
            Holder(await app.start(Scribe, lifetime="addresses", name="scribe"))
            await anyio.to_thread.run_sync(gc.collect)
            await ended.wait()


async def test_a_crash_of_a_temporary_one_closes_it() -> None:
    async with DynamicSupervisor("app") as app:
        address = await app.start(Scribe, lifetime="addresses")
        await address.send(Scribe.crash)
        await at_rest()
        with pytest.raises(MailboxClosed):
            await address.send(Scribe.note, 1)


def test_a_permanent_one_is_refused() -> None:
    with pytest.raises(InvalidSpec, match=r"lifetime='addresses'.*transient or temporary"):
        child(Scribe, lifetime="addresses", restart="permanent")


# -- ended means ended ---------------------------------------------------------------------------------------------------


def lives_of(app: RunningSupervisor, *names: str) -> list[tuple[str, str, int]]:
    infos = [app.get_childspec(name) for name in names]
    return [(info.id, info.state.value, info.incarnation) for info in infos]


async def test_no_group_restart_builds_one_again_that_ended_with_its_last_address() -> None:
    built: list[str] = []

    def build() -> Scribe:
        built.append("built")
        return Scribe()

    async with Supervisor("app", child(Scribe, name="a"), strategy="one_for_all") as app:
        await app.start(build, lifetime="addresses", name="b")
        await at_rest()
        await app.find("a").call(Scribe.note, 1)
        await app.find("a").send(Scribe.crash)
        await at_rest()
        assert lives_of(app, "a", "b") == [("a", "running", 2), ("b", "stopped", 1)]
        assert built == ["built"]
        assert await app.restart_child("b") is False
        assert built == ["built"]


@pytest.mark.parametrize("restart", ["transient", "temporary"])
async def test_no_supervisor_restart_builds_one_again_that_ended_with_its_last_address(restart: Any) -> None:
    built: list[str] = []

    def build() -> Scribe:
        built.append("built")
        return Scribe()

    key = child(build, lifetime="addresses", name="b", restart=restart)
    below = Supervisor("below", child(Scribe, name="a"), key, intensity=Intensity(0))
    async with Supervisor("app", below, intensity=Intensity(9)) as app:
        strong = [app.find(key)]
        weak = strong[0].weak
        await strong[0].call(Scribe.note, 1)
        await app.find("below/a").send(Scribe.crash)
        await at_rest()
        if restart == "temporary":  # it comes back with its supervisor, as it hasn't ended with its addresses
            strong = [app.find(key)]
        assert await strong[0].call(Scribe.note, 1) == 1
        assert len(built) == 2
        strong.clear()
        await at_rest()
        for _ in range(2):
            await app.find("below/a").send(Scribe.crash)
            await at_rest()
        assert len(built) == 2
        with pytest.raises(MailboxClosed):
            await weak.send(Scribe.note, 1)


async def test_no_backoff_builds_one_again_whose_last_address_went_meanwhile() -> None:
    built: list[str] = []

    def build() -> Scribe:
        built.append("built")
        return Scribe()

    async with Supervisor("app") as app, anyio.create_task_group() as group:
        restart = Restart.transient(wait=lambda _: 5.0)
        strong = [await app.start(build, lifetime="addresses", name="b", restart=restart)]
        weak, outcomes = strong[0].weak, Outcomes(group)
        await strong[0].send(Scribe.crash)
        await at_rest()
        await outcomes.watch("end", weak.watch())
        assert app.get_childspec("b").due is not None
        strong.clear()
        await at_rest()
        assert outcomes.of["end"].reason.abnormal  # it is told at once, and not when the backoff is over
        await anyio.sleep(6.0)
        assert (built, lives_of(app, "b")) == (["built"], [("b", "stopped", 1)])


async def test_a_crash_on_the_last_message_of_one_that_nobody_can_reach_isnt_restarted_and_costs_nothing() -> None:
    events: list[Event] = []
    async with Supervisor("app", intensity=Intensity(0), listener=events.append) as app:
        strong: list[Address[Scribe]] = [await app.start(Scribe, lifetime="addresses", name="b")]
        gate = await fill(strong[0])
        await strong[0].send(Scribe.crash)
        strong.clear()
        gate.open()
        await at_rest()
        assert lives_of(app, "b") == [("b", "stopped", 1)]
        assert "nobody can reach it any more" in " ".join(str(event) for event in events)


async def test_one_that_is_stopped_with_its_group_and_loses_its_last_address_then_stays_down() -> None:
    async with Supervisor("app", child(Scribe, name="a", restart=WAITS), strategy="one_for_all") as app:
        strong: list[Address[Scribe]] = [await app.start(Scribe, lifetime="addresses", name="b")]
        await app.find("a").send(Scribe.crash)
        await at_rest()
        strong.clear()
        await anyio.sleep(6.0)
        assert lives_of(app, "a", "b") == [("a", "running", 2), ("b", "stopped", 1)]


WAITS = Restart.permanent(wait=lambda _: 5.0)
