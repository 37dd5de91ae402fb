"""Children that live by their addresses.

Tested: SEMANTICS 30, 31 (dropping the result), 32, 33.
"""

from __future__ import annotations

import gc
import threading
from typing import Any

import anyio
import anyio.to_thread
import pytest

from supervise import Address, DynamicSupervisor, InvalidSpec, MailboxClosed, Restart, Supervisor, child
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
