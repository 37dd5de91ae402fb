"""Recorded events.

Tested: a recording hears what follows, and as a listener what came before; it is waited on by class, fields, a predicate and a
number; what has happened already is found at once; a wait in vain shows what happened; what runs is known, also what ran
before; it ends.
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from tenacity import wait_fixed

from supervise import InvalidSpec, Restart, Supervisor, child
from supervise.events import DeadLetter, Decided, Lost, Started, Stopped
from supervise.testing import Recording, at_rest, record
from tests.doubles import Scribe

pytestmark = pytest.mark.anyio


async def test_it_hears_what_follows_with_the_loops_time() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe, restart=Restart.permanent(wait=wait_fixed(10)))
        events = record(app)
        began = anyio.current_time()
        await scribe.send(Scribe.crash)
        await events.wait_for(Started)
        assert [type(event) for event in events] == [DeadLetter, Lost, Stopped, Decided, Started]
        assert [round(heard.at - began) for heard in events.heard] == [0, 0, 0, 0, 10]
        assert "s  app/scribe #2 started" in str(events)


async def test_as_a_listener_it_hears_a_tree_from_its_first_start() -> None:
    events = Recording()
    assert str(events) == "(nothing happened)"
    assert events  # although it has no length yet
    async with Supervisor("app", child(Scribe), listener=events):
        assert [str(event) for event in events] == ["app/scribe #1 started", "app #1 started"]
        assert events.running == {("app", 1), ("app/scribe", 1)}
    assert events.running == frozenset()
    assert len(events) == 4


async def test_a_wait_ends_with_the_event_that_is_asked_for() -> None:
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        scribe, other = await app.start(Scribe, name="a"), await app.start(Scribe, name="b")
        events = record(app)
        found: list[Any] = []

        def is_b(event: Stopped) -> bool:
            return event.path == "app/b"

        async def wait(**how: Any) -> None:
            found.append(await events.wait_for(Stopped, **how))

        group.start_soon(lambda: wait(path="app/a", times=2))
        group.start_soon(lambda: wait(where=is_b))
        await at_rest()
        await scribe.send(Scribe.crash)
        await at_rest()
        assert found == []
        await other.send(Scribe.crash)
        await at_rest()
        assert [(e.path, e.incarnation) for e in found] == [("app/b", 1)]
        await scribe.send(Scribe.crash)
        await at_rest()
        assert [(e.path, e.incarnation) for e in found] == [("app/b", 1), ("app/a", 2)]


async def test_what_has_happened_already_is_found_at_once() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        events = record(app)
        await scribe.send(Scribe.crash)
        await at_rest()
        began = anyio.current_time()
        assert (await events.wait_for(Stopped, path="app/scribe")).incarnation == 1
        assert events.of(Stopped, path="app/other") == []
        assert anyio.current_time() == began


async def test_a_wait_in_vain_shows_what_happened() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        events = record(app)
        await scribe.send(Scribe.crash)
        with pytest.raises(AssertionError) as raised:
            await events.wait_for(Stopped, path="app/scribe", times=2, within=5)
        assert "waited 5 s for Stopped, path='app/scribe': 1 of 2 came" in str(raised.value)
        assert "app/scribe #1 ended: crashed (Boom: boom)" in str(raised.value)


async def test_a_wait_for_what_can_never_be_is_refused_at_once() -> None:
    async with Supervisor("app") as app:
        events = record(app)
        with pytest.raises(InvalidSpec, match=r"nme='x'.*its fields are path, incarnation, reason"):
            await events.wait_for(Stopped, nme="x")
        with pytest.raises(InvalidSpec, match="times=0"):
            await events.wait_for(Stopped, times=0)


async def test_what_ran_before_the_recording_is_known_to_run() -> None:
    inner = Supervisor("inner", child(Scribe))
    async with Supervisor("app", inner, child(Scribe)) as app:
        await app.terminate_child("scribe")
        events = record(app.supervisor(inner))
        assert events.before == {("app", 1), ("app/inner", 1), ("app/inner/scribe", 1)}
        await app.find("inner/scribe").send(Scribe.crash)
        await events.wait_for(Started)
        assert events.running == {("app", 1), ("app/inner", 1), ("app/inner/scribe", 2)}
        events.clear()
        assert len(events) == 0
        assert events.running == {("app", 1), ("app/inner", 1), ("app/inner/scribe", 2)}


async def test_it_ends() -> None:
    async with Supervisor("app") as app:
        with record(app) as events:
            pass
        await app.start(Scribe)
        events.close()
        assert len(events) == 0
