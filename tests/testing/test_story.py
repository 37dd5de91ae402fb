"""Stories in words.

Tested: each clause, where it holds and where it doesn't; commas in a list of delays; whose events count; what happened is
shown; a clause or a path that can't be meant is refused; the clauses of the docstring are those of the error.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
from tenacity import wait_incrementing

from supervise import (
    Address,
    GaveUp,
    IgnoreStart,
    Intensity,
    InvalidSpec,
    Restart,
    RunningSupervisor,
    StartFailed,
    Supervisor,
    child,
    current,
)
from supervise.testing import Recording, assert_story, at_rest, record
from supervise.testing.story import UNDERSTOOD
from tests.doubles import Boom, Scribe

pytestmark = pytest.mark.anyio
GROWING = Restart.permanent(wait=wait_incrementing(1, 1))


@asynccontextmanager
async def app_with_crashes(count: int) -> AsyncGenerator[tuple[RunningSupervisor, Address[Scribe], Recording]]:
    events = Recording()
    async with Supervisor("app", child(Scribe, restart=GROWING), child(Scribe, name="other"), listener=events) as app:
        scribe: Address[Scribe] = app.find("scribe")
        for _ in range(count):
            await scribe.send(Scribe.crash)
            await anyio.sleep(5)
        yield app, scribe, events


HELD = [
    "restarted twice, delays 1 and 2, nothing left running",
    "restarted 2 times",
    "restarted two times",
    "restarted",
    "started three times, crashed twice, crashed twice with Boom, never killed, never gave up",
    "never failed to start",
    "2 dead letters",
    "delays 1, 2",
    "delays 1, 2, never killed",
    "crashed twice, 2 dead letters, delays 1 and 2.0",
    "delays between 0.5 and 2",
    "ended shutdown",
    "nothing left running",
]

FAILED = {
    "restarted once": "but it did twice",
    "restarted 3 times": "but it did twice",
    "never restarted": "but it did twice",
    "was killed": "but it never did",
    "crashed once with Boom": "but it did twice",
    "crashed twice with ValueError": "but it never did",
    "crashed with Boo": "but it never did",
    "no dead letters": "but there were 2",
    "1 dead letter": "but there were 2",
    "delays 1, 2 and 4": "but they were 1, 2",
    "delay 1": "but they were 1, 2",
    "delays 2 and 1": "but they were 1, 2",
    "no delays": "but they were 1, 2",
    "delays between 1.5 and 2": "but they were 1, 2",
    "ended normally": "but it ended shutdown",
    "ended crashed": "but it ended shutdown",
    "still running": "but nothing of it runs",
    "failed to start twice": "but it never did",
    "gave up": "but it never did",
}


async def test_each_clause_that_holds_holds() -> None:
    async with app_with_crashes(2) as (_, scribe, events):
        pass
    for text in HELD:
        assert_story(events, text, of=scribe)


async def test_each_clause_that_doesnt_hold_says_what_was_instead() -> None:
    async with app_with_crashes(2) as (_, _, events):
        pass
    for text, instead in FAILED.items():
        with pytest.raises(AssertionError) as raised:
            assert_story(events, text, of="app/scribe")
        assert f"FAILED: {text}, {instead}" in str(raised.value)


async def test_a_failure_shows_all_clauses_and_all_that_happened() -> None:
    async with app_with_crashes(1) as (_, scribe, events):
        pass
    with pytest.raises(AssertionError) as raised:
        assert_story(events, "crashed once, restarted twice", of=scribe)
    lines = str(raised.value).splitlines()
    assert lines[:4] == [
        "this isn't the story of app/scribe:",
        "  held: crashed once",
        "  FAILED: restarted twice, but it did once",
        "what happened:",
    ]
    assert len(lines) == 4 + len(events)
    assert all(str(event) in str(raised.value) for event in events)


async def test_only_the_events_of_whom_it_is_about_count_and_of_what_is_below() -> None:
    inner = Supervisor("inner", child(Scribe))
    async with Supervisor("app", inner, child(Scribe, name="inner-2")) as app:
        events = record(app)
        await app.find("inner/scribe").send(Scribe.crash)
        await app.find("inner-2").send(Scribe.crash)
        await at_rest()
        assert_story(events, "crashed once", of="app/inner")
        assert_story(events, "crashed once", of="app/inner/scribe")
        assert_story(events, "crashed twice, no delays", of="app")
        assert_story(events, "crashed twice")
        assert_story([*events], "crashed twice")


async def test_what_runs_still_runs() -> None:
    async with app_with_crashes(1) as (app, scribe, events):
        assert_story(events, "still running", of=scribe)
        assert_story(record(app), "still running, never started", of=scribe)  # it ran before
        with pytest.raises(AssertionError, match=r"FAILED: nothing left running, but app/scribe #2 still runs"):
            assert_story(events, "nothing left running", of=scribe)
        with pytest.raises(AssertionError, match=r"FAILED: ended shutdown, but it ended crashed \(Boom: boom\)"):
            assert_story(events, "ended shutdown", of=scribe)
        with pytest.raises(AssertionError, match=r"FAILED: ended normal, but it didn't end"):
            assert_story(events, "ended normal", of="app/other")


async def test_a_group_restart_is_a_story_of_each_member() -> None:
    events = Recording()
    first, second = child(Scribe, name="first", restart=GROWING), child(Scribe, name="second")
    async with Supervisor("app", first, second, strategy="one_for_all", listener=events) as app:
        await app.find(first).send(Scribe.crash)
        await anyio.sleep(5)
    assert_story(events, "restarted once, delay 1, crashed once", of="app/first")
    assert_story(events, "restarted once, delay 1, never crashed", of="app/second")


async def test_ends_of_all_kinds() -> None:
    events = Recording()
    with pytest.raises(GaveUp):
        async with Supervisor("app", child(Scribe), intensity=Intensity(0, per=5), listener=events) as app:
            done = await app.start(Scribe, name="done", restart="transient")
            await done.call(lambda _: current().stop())
            await app.start(Scribe, name="slow", restart="temporary")
            app.kill("slow")
            await at_rest()
            assert_story(events, "ended normally, never crashed", of=done)
            assert_story(events, "was killed once, ended killed", of="app/slow")
            await app.find("scribe").send(Scribe.crash)
            await anyio.sleep_forever()
    assert_story(events, "gave up once, ended gave_up, nothing left running", of="app")


async def test_a_start_that_fails_and_one_that_is_ignored() -> None:
    events = Recording()

    def fails() -> Scribe:
        raise Boom("no")

    def ignores() -> Scribe:
        raise IgnoreStart("not now")

    with pytest.raises(StartFailed):
        async with Supervisor("app", child(ignores), child(fails), listener=events):
            pass
    assert_story(events, "failed to start once, failed to start once with Boom, never started", of="app/fails")
    assert_story(events, "never failed to start, never started", of="app/ignores")


async def test_what_cant_be_meant_is_refused() -> None:
    async with app_with_crashes(0) as (_, scribe, events):
        for text in ("restarted twise", "never restarted twice", "started once with Boom", "", "crashed,", "delays one"):
            with pytest.raises(InvalidSpec, match="what it understands is") as raised:
                assert_story(events, text, of=scribe)
            assert UNDERSTOOD in str(raised.value)
        with pytest.raises(InvalidSpec, match="nothing was heard of it; there are app, app/other, app/scribe"):
            assert_story(events, "never crashed", of="app/scrib")
        with pytest.raises(InvalidSpec, match="there are no events"):
            assert_story([], "never crashed", of="app")


def test_the_docstring_lists_the_clauses_that_are_understood() -> None:
    said = " ".join((inspect.getdoc(assert_story) or "").split())
    assert " ".join(UNDERSTOOD.split()) in said
