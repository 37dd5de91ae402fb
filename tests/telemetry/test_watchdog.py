"""A thread that tells a blocked event loop from a stuck actor, on the real clock.

Tested: who blocks the loop is named with its stack, be it an actor, its factory, or none; it is told once, then again for the
next block; an actor that is stuck is named with what it awaits, once for each message; listeners of the tree hear of it; the
thread is gone at the end; what can't be watched is refused.

Handlers block until the watchdog has told of them, so nothing depends on how long anything takes.
"""

from __future__ import annotations

import logging
import math
import threading
from contextlib import AsyncExitStack
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from supervise import InvalidSpec, RunningSupervisor, Supervisor, current
from supervise.events import Blocked, Event, Stuck
from supervise.telemetry.watchdog import Watchdog
from tests.conftest import settle
from tests.doubles import Gate, Scribe
from tests.real_clock import on_the_real_clock

pytestmark = [pytest.mark.anyio, on_the_real_clock]

GUARD = 30.0  # seconds; nothing here takes one
SHORT = 0.1  # a loop that isn't blocked always answers within it, also on a machine that is busy


class Findings:
    """What a watchdog told, and in which thread."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self.threads: set[str] = set()
        self._told = threading.Condition()

    def tell(self, finding: Event) -> None:
        with self._told:
            self.all.append(finding)
            self.threads.add(threading.current_thread().name)
            self._told.notify_all()

    def block_until_told(self) -> None:
        """Keep the thread until the next finding."""
        self.block_until(len(self.all) + 1)

    def block_until(self, number: int) -> None:
        with self._told:
            assert self._told.wait_for(lambda: len(self.all) >= number, GUARD)

    async def are(self, number: int) -> None:
        """Wait until there are so many, and let the loop run meanwhile."""
        await anyio.to_thread.run_sync(self.block_until, number)
        assert len(self.all) == number


class Heard:
    """What a listener of the tree heard of it, in the loop."""

    def __init__(self) -> None:
        self.all: list[Event] = []
        self.one = anyio.Event()

    def listen(self, event: Event) -> None:
        if isinstance(event, Blocked | Stuck):
            self.all.append(event)
            self.one.set()


class Ticks(threading.Event):
    """Says each time that the watchdog's thread begins a period."""

    def __init__(self, watchdog: Watchdog) -> None:
        super().__init__()
        self._ticks = threading.Semaphore(0)
        watchdog._stop = self

    def wait(self, timeout: float | None = None) -> bool:
        self._ticks.release()
        return super().wait(timeout)

    def block(self, periods: int) -> None:
        """Keep the thread until so many have begun since now, and one more may have ended."""
        while self._ticks.acquire(blocking=False):
            pass
        for _ in range(periods):
            assert self._ticks.acquire(timeout=GUARD)

    async def passed(self, periods: int) -> None:
        await anyio.to_thread.run_sync(self.block, periods)


class Db(Scribe):
    async def query(self, findings: Findings) -> None:
        self.deeper(findings)

    def deeper(self, findings: Findings) -> None:
        findings.block_until_told()

    async def wait_for(self, gate: Gate) -> None:
        await gate.walk_through()


def watchdogs() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("watchdog of")]


def watch(app: RunningSupervisor, findings: Findings, stuck_after: float = GUARD) -> Watchdog:
    return Watchdog(app, blocked_after=SHORT, stuck_after=stuck_after, listener=findings.tell)


async def test_an_actor_that_blocks_the_loop_is_named_with_its_stack() -> None:
    findings, heard = Findings(), Heard()
    async with Supervisor("app", listener=heard.listen) as app:
        db = await app.start(Db)
        await app.start(Scribe)
        async with watch(app, findings):
            assert watchdogs() == ["watchdog of app"]
            await db.call(Db.query, findings)
            [blocked] = findings.all
            assert isinstance(blocked, Blocked)
            assert (blocked.path, blocked.incarnation, blocked.message) == ("app/db", 1, "Db.query")
            assert blocked.seconds == SHORT
            assert [frame.function for frame in blocked.stack[:3]] == ["Db.query", "Db.deeper", "Findings.block_until_told"]
            assert blocked.stack[0].file == __file__
            text = str(blocked)
            assert text.startswith("app/db #1: Db.query blocks the event loop for 0.1 s and more, at\n  File ")
            assert "in Db.deeper" in text
            assert findings.threads == {"watchdog of app"}
            await heard.one.wait()  # in the loop, when it runs again
            assert heard.all == [blocked]
        assert watchdogs() == []


async def test_each_block_is_told_once() -> None:
    findings = Findings()
    async with Supervisor("app") as app:
        db = await app.start(Db)
        watchdog = watch(app, findings)
        ticks = Ticks(watchdog)

        def longer(_: Db) -> None:
            findings.block_until_told()
            ticks.block(6)

        async with watchdog:
            for n in (1, 2):
                await db.call(longer)
                assert len(findings.all) == n
                await ticks.passed(3)  # in which it sees the loop alive


async def test_a_factory_that_blocks_has_no_message_in_hand() -> None:
    findings = Findings()

    def slow() -> Scribe:
        findings.block_until_told()
        return Scribe()

    async with Supervisor("app") as app, watch(app, findings):
        await app.start(slow, name="slow")
        [blocked] = findings.all
        assert (blocked.path, blocked.incarnation, blocked.message) == ("app/slow", 1, None)
        assert str(blocked).startswith("app/slow #1: its factory or a hook blocks the event loop")
        assert [frame.function for frame in blocked.stack if "slow" in frame.function]


async def test_a_block_by_something_else_is_told_with_the_whole_stack() -> None:
    findings = Findings()
    async with Supervisor("app") as app:
        await app.start(Scribe)
        async with watch(app, findings):
            await anyio.lowlevel.checkpoint()
            findings.block_until_told()
            [blocked] = findings.all
            assert (blocked.path, blocked.incarnation, blocked.message) == ("app", 0, None)
            functions = [frame.function for frame in blocked.stack]
            assert "Findings.block_until_told" in functions
            assert str(blocked).startswith("app: something that isn't the task of an actor of it blocks the event loop")


async def test_a_handle_of_a_nested_supervisor_names_only_its_own() -> None:
    findings = Findings()
    async with Supervisor("app", Supervisor("left"), Supervisor("right")) as app:
        left, right = app.supervisor("left"), app.supervisor("right")
        db = await left.start(Db)
        async with watch(right, findings):
            await db.call(Db.query, findings)
        async with watch(left, findings):
            await db.call(Db.query, findings)
        assert [(blocked.path, blocked.incarnation) for blocked in findings.all] == [("app/right", 0), ("app/left/db", 1)]


async def test_a_stuck_actor_is_named_with_what_it_awaits_while_the_loop_lives() -> None:
    findings, heard = Findings(), Heard()
    async with Supervisor("app", listener=heard.listen) as app:
        db = await app.start(Db)
        gate, second = Gate(), Gate()
        watchdog = watch(app, findings, stuck_after=SHORT)
        ticks = Ticks(watchdog)
        async with watchdog:
            await db.send(Db.wait_for, gate)
            await db.send(Db.wait_for, second)
            await findings.are(1)
            stuck = findings.all[0]
            assert isinstance(stuck, Stuck)
            assert (stuck.path, stuck.incarnation) == ("app/db", 1)
            assert stuck.message == "Db.wait_for(Gate)"
            assert [frame.function for frame in stuck.stack[:2]] == ["Db.wait_for", "Gate.walk_through"]
            assert "is in hand for 0.1 s and more, at\n  File " in str(stuck)
            await heard.one.wait()
            assert heard.all == [stuck]
            await ticks.passed(8)
            assert len(findings.all) == 1  # told once
            gate.open()
            await findings.are(2)
            assert isinstance(findings.all[1], Stuck)
            assert findings.threads == {"watchdog of app"}
            second.open()
            await db.call(Scribe.note, 1)


async def test_who_is_busy_with_many_messages_or_idle_is_not_stuck() -> None:
    async def yield_once(_: Scribe) -> None:
        await anyio.lowlevel.checkpoint()

    findings = Findings()
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        watchdog = Watchdog(app, blocked_after=GUARD, stuck_after=SHORT, listener=findings.tell)
        for _ in range(20):  # a look each time, as if a quarter of it had passed
            watchdog._look()
            await scribe.call(yield_once)
            await scribe.send(yield_once)
            await settle(1)
        assert not watchdog._found


async def test_the_thread_is_gone_when_the_body_raises_or_the_tree_has_ended() -> None:
    findings = Findings()
    with pytest.raises(KeyError):
        async with Supervisor("app") as app, watch(app, findings):
            raise KeyError
    assert watchdogs() == []
    async with anyio.create_task_group() as group:
        async with Supervisor("app") as app, watch(app, findings):
            group.cancel_scope.cancel()
            await anyio.sleep_forever()
    assert watchdogs() == []
    async with AsyncExitStack() as after_the_tree:
        async with Supervisor("app") as app:
            scribe = await app.start(Scribe)
            await after_the_tree.enter_async_context(watch(app, findings))
            await scribe.send(lambda _: current().stop_tree())
            await app.wait()
        assert watchdogs() == ["watchdog of app"]
    assert watchdogs() == []


@pytest.mark.parametrize("error", [KeyError("tell"), SystemExit(3), GeneratorExit()])
async def test_a_listener_that_raises_is_logged_and_the_watchdog_goes_on(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    findings = Findings()

    def tell(finding: Event) -> None:
        findings.tell(finding)
        raise error

    async with Supervisor("app") as app:
        db = await app.start(Db)
        watchdog = Watchdog(app, blocked_after=SHORT, listener=tell)
        ticks = Ticks(watchdog)
        async with watchdog:
            await db.call(Db.query, findings)
            await ticks.passed(3)
            await db.call(Db.query, findings)
            assert len(findings.all) == 2
            assert "the watchdog's listener" in caplog.text
        records = [record for record in caplog.records if "blocks the event loop" in record.getMessage()]
        assert [record.levelno for record in records if record.name == "supervise"][:1] == [logging.ERROR]


async def test_what_cannot_be_watched_is_refused() -> None:
    wrong: Any = Watchdog
    async with Supervisor("app") as app:
        with pytest.raises(InvalidSpec, match="watchdog: app='app' is not valid"):
            wrong("app")
        for seconds in (0, -1, math.inf, math.nan, True, "1"):
            with pytest.raises(InvalidSpec, match="watchdog of 'app': blocked_after="):
                wrong(app, blocked_after=seconds)
            with pytest.raises(InvalidSpec, match="watchdog of 'app': stuck_after="):
                wrong(app, stuck_after=seconds)
        with pytest.raises(InvalidSpec, match="listener=3 is not valid: a function of one event"):
            wrong(app, listener=3)
        watchdog = Watchdog(app)
        async with watchdog:
            pass
        with pytest.raises(RuntimeError, match="make another one"):
            async with watchdog:
                pass
