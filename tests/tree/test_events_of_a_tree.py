"""The events of a subtree as one stream.

Tested: `events()` of the root and of a nested supervisor: which events, in order, over the supervisor's own restart, to the
end; what a slow reader loses.
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from supervise import DynamicSupervisor, Intensity, InvalidSpec, RunningSupervisor, SubscriberTooSlow, Supervisor, child
from supervise.events import Decided, Event, Started, Stopped
from supervise.testing.virtual_time import at_rest
from tests.doubles import Scribe

pytestmark = pytest.mark.anyio


def shown(event: Event) -> str:
    return f"{type(event).__name__} {event.path}"


async def read(handle: RunningSupervisor, into: list[str]) -> None:
    async with handle.events() as events:
        async for event in events:
            into.append(shown(event))
    into.append("end")


TREE = Supervisor("app", Supervisor("left", child(Scribe)), Supervisor("leftovers", child(Scribe)), child(Scribe, name="left2"))


async def test_a_stream_has_the_events_of_its_subtree_and_no_others() -> None:
    every: list[str] = []
    left: list[str] = []
    async with anyio.create_task_group() as group:
        async with TREE as app:
            group.start_soon(read, app, every)
            group.start_soon(read, app.supervisor("left"), left)
            await at_rest()
            await app.find("left/scribe").send(Scribe.crash)
            await app.find("leftovers/scribe").send(Scribe.crash)
            await app.find("left2").send(Scribe.crash)
            await at_rest()
            own = [f"{event} app/left/scribe" for event in ("DeadLetter", "Lost", "Stopped", "Decided")]
            assert left == [*own, "Started app/left/scribe"]
            assert set(every) > set(left)
            assert len(every) == 15
    assert left[5:] == ["Stopped app/left/scribe", "Stopped app/left", "end"]
    assert every[-2:] == ["Stopped app", "end"]


async def test_a_stream_outlives_its_supervisors_restart() -> None:
    inner = Supervisor("inner", child(Scribe), intensity=Intensity(0, per=5))
    events: list[str] = []
    async with Supervisor("app", inner) as app, anyio.create_task_group() as group:
        group.start_soon(read, app.supervisor(inner), events)
        await at_rest()
        await app.find("inner/scribe").send(Scribe.crash)
        await at_rest()
        assert events == [
            "DeadLetter app/inner/scribe",
            "Lost app/inner/scribe",
            "Stopped app/inner/scribe",
            "Decided app/inner/scribe",
            "Stopped app/inner",
            "Decided app/inner",
            "Started app/inner/scribe",
            "Started app/inner",
        ]
        await app.terminate_child("inner")
        await at_rest()
        assert events[-1] == "Stopped app/inner"  # listed still
        await app.delete_child("inner")
        await at_rest()
        assert events[-1] == "end"
        group.cancel_scope.cancel()


async def test_a_stream_of_what_is_gone_already_ends_at_once() -> None:
    async with DynamicSupervisor("app") as app:
        inner = await app.start_child(Supervisor("inner", child(Scribe)))
        await app.terminate_child(inner)
        async with inner.events() as events:
            assert [event async for event in events] == []
    async with app.events() as events:
        assert [event async for event in events] == []


async def test_the_values_are_events() -> None:
    async with Supervisor("app") as app:
        async with app.events() as events:
            scribe = await app.start(Scribe)
            await scribe.send(Scribe.crash)
            await scribe.call(Scribe.note, 1)
            seen = [await events.receive() for _ in range(6)]
        assert isinstance(seen[0], Started)
        assert isinstance(seen[3], Stopped)
        assert isinstance(seen[4], Decided)
        bus: Any = app._branch.tree.bus
        assert bus._listeners == ()
        assert app._branch.streams == ()


async def test_a_slow_reader_loses_the_oldest_or_its_stream() -> None:
    async with Supervisor("app") as app:
        async with app.events(capacity=2) as events, app.events(capacity=2, overflow="close") as strict:
            for _ in range(4):
                await app.start(Scribe)
            assert events.dropped == 2
            assert [(await events.receive()).path for _ in range(2)] == ["app/scribe-3", "app/scribe-4"]
            assert [(await strict.receive()).path for _ in range(2)] == ["app/scribe", "app/scribe-2"]
            with pytest.raises(SubscriberTooSlow, match="'events of app' was closed"):
                await strict.receive()
        with pytest.raises(InvalidSpec, match="subscription to 'events of app': capacity=0"):
            app.events(capacity=0)
