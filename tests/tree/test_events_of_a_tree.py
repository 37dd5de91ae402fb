"""The events of a subtree as one stream, and all actors of it asked at once.

Tested: `events()` of the root and of a nested supervisor: which events, in order, over the supervisor's own restart, to the
end; what a slow reader loses. `ping()`: who answers and who doesn't, and why, in all states of a child.
"""

from __future__ import annotations

import math
from typing import Any

import anyio
import pytest

from supervise import DynamicSupervisor, Intensity, InvalidSpec, Pong, RunningSupervisor, SubscriberTooSlow, Supervisor, child
from supervise.events import Decided, Event, Started, Stopped
from supervise.testing.virtual_time import at_rest
from tests.doubles import Gate, Scribe
from tests.situations import ACCEPTING, FORGOTTEN, STOPPED, Situation

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
            own = ["DeadLetter app/left/scribe", "Stopped app/left/scribe", "Decided app/left/scribe"]
            assert left == [*own, "Started app/left/scribe"]
            assert set(every) > set(left)
            assert len(every) == 12
    assert left[4:] == ["Stopped app/left/scribe", "Stopped app/left", "end"]
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
            seen = [await events.receive() for _ in range(5)]
        assert isinstance(seen[0], Started)
        assert isinstance(seen[2], Stopped)
        assert isinstance(seen[3], Decided)
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


# -- ping ----------------------------------------------------------------------------------------------------------------


async def test_all_actors_below_answer_in_the_order_of_the_tree() -> None:
    async with TREE as app:
        pongs = await app.ping()
        assert list(pongs) == ["app/left/scribe", "app/leftovers/scribe", "app/left2"]
        assert all(pongs.values())
        assert all(pong == Pong(0.0) for pong in pongs.values())  # no time passes
        assert list(await app.supervisor("left").ping()) == ["app/left/scribe"]
        assert str(Pong(0.0123)) == "12.3 ms"


async def test_one_that_is_busy_answers_late_or_not_at_all() -> None:
    async with Supervisor("app", child(Scribe), child(Scribe, name="slow"), child(Scribe, name="held")) as app:
        gate = Gate()
        await app.find("held").send(Scribe.hold, gate)

        async def doze(_: Scribe) -> None:
            await anyio.sleep(2)

        await app.find("slow").send(doze)
        begun = anyio.current_time()
        pongs = await app.ping(timeout=3)
        assert anyio.current_time() - begun == pytest.approx(3)
        assert pongs["app/scribe"] == Pong(0.0)
        assert pongs["app/slow"].seconds == pytest.approx(2)
        assert pongs["app/held"] == Pong(None, "no answer within 3 s")
        assert not pongs["app/held"]
        assert str(pongs["app/held"]) == "no answer within 3 s"
        gate.open()
        assert all((await app.ping(timeout=None)).values())


@pytest.mark.parametrize("situation", [*ACCEPTING, *STOPPED])
async def test_one_that_does_not_run_is_not_waited_for(situation: Situation) -> None:
    async with situation() as (app, scribe):
        begun = anyio.current_time()
        pong = (await app.ping())[scribe.path]
        assert anyio.current_time() == begun
        assert not pong
        assert ("is restarting" if situation in ACCEPTING else "is stopped") in pong.why


@pytest.mark.parametrize("situation", FORGOTTEN)
async def test_one_that_is_gone_is_not_asked(situation: Situation) -> None:
    async with situation() as (app, _):
        assert await app.ping() == {}


async def test_a_ping_that_cannot_be_is_refused() -> None:
    async with Supervisor("app", child(Scribe)) as app:
        wrong: Any = app
        for timeout in (-1, "soon", math.nan, True):
            with pytest.raises(InvalidSpec, match="ping of 'app': timeout="):
                await wrong.ping(timeout=timeout)
