"""The nursery of an incarnation: what it crashes, what it outlives, and whose turn its tasks have.

Tested: SEMANTICS 6 and 14 (it ends before the exit hook), 15, 23 (a cancellation that nobody asked for is a crash, there too),
25, 28.
"""

from __future__ import annotations

import asyncio
from typing import Any, Self

import anyio
import pytest

from supervise import ActorCrashed, NoActor, Nursery, Supervisor, child, current
from supervise.events import Event, Overran, Stopped
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate
from tests.members import Member

pytestmark = pytest.mark.anyio


class Beside(Member):
    """Runs tasks beside its handlers, and logs their ends and its own."""

    async def __aexit__(self, *_: object) -> None:
        self.log.append("hook")

    async def begin(self, seconds: float = 1e6) -> None:
        current().nursery.start_soon(self._task, seconds)

    async def crash_beside(self) -> None:
        current().nursery.start_soon(self.crash)

    async def _task(self, seconds: float) -> None:
        try:
            await anyio.sleep(seconds)
            self.log.append("task done")
        except BaseException:
            self.log.append("task cancelled")
            raise


async def test_tasks_run_beside_handlers_and_end_with_the_incarnation_before_its_hook() -> None:
    log: list[str] = []
    async with Supervisor("app", child(Beside, log, name="a")) as app:
        await app.find("a").send(Beside.begin, 1.0)
        await app.find("a").send(Beside.begin)
        await anyio.sleep(2)
        assert await app.find("a").call(Member.see) == 1
        log.append("leaving")
    assert log == ["+a", "task done", "leaving", "task cancelled", "hook"]


async def test_a_task_that_raises_crashes_an_idle_actor() -> None:
    events: list[Event] = []
    log: list[str] = []
    async with Supervisor("app", child(Beside, log, name="a"), listener=events.append) as app:
        await app.find("a").send(Beside.begin)
        await app.find("a").send(Beside.crash_beside)
        await at_rest()
        assert log == ["+a", "task cancelled", "hook", "+a"]
        assert await app.find("a").call(Member.life) == 2
    first = next(event for event in events if isinstance(event, Stopped))
    assert "Boom: told to" in str(first.reason)


@pytest.mark.parametrize("managed", [False, True])
async def test_a_task_that_raises_before_the_actor_is_ready_fails_its_start(managed: bool) -> None:
    lives: list[int] = []

    async def fail() -> None:
        raise Boom("beside the start")

    async def begin() -> None:
        lives.append(current().incarnation)
        if current().incarnation == 2:
            current().nursery.start_soon(fail)
            await anyio.sleep(1)

    class Entered(Member):
        async def __aenter__(self) -> Self:
            await begin()
            return self

    class Awaited:
        async def crash(self) -> None:
            raise Boom("told to")

    async def make() -> Awaited:
        await begin()
        return Awaited()

    factory: Any = Entered if managed else make
    async with Supervisor("app", child(factory, name="a")) as app:
        await app.find("a").send(Member.crash)
        await at_rest()
        assert lives == [1, 2, 3]


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)  # no such thing reaches a trio task
async def test_a_foreign_cancellation_in_a_task_is_a_crash_and_not_the_silent_end_of_the_nursery() -> None:
    async def await_cancelled() -> None:
        task = asyncio.ensure_future(asyncio.sleep(99))
        task.cancel()
        await task

    async def begin(_: Beside) -> None:
        current().nursery.start_soon(await_cancelled)

    events: list[Event] = []
    log: list[str] = []
    async with Supervisor("app", child(Beside, log, name="a"), listener=events.append) as app:
        await app.find("a").send(Beside.begin)
        await app.find("a").send(begin)
        await at_rest()
        assert await app.find("a").call(Member.life) == 2
        await app.find("a").call(Beside.begin)
    first = next(event for event in events if isinstance(event, Stopped))
    assert "nobody of the tree asked for it" in str(first.reason)
    assert log == ["+a", "task cancelled", "hook", "+a", "task cancelled", "hook"]


async def test_current_in_a_task_is_the_actor_without_a_message_in_hand() -> None:
    seen: list[object] = []

    async def look() -> None:
        here = current()
        seen.extend([here.path, here.incarnation, here.sender, here.remaining])
        await anyio.sleep(1)
        seen.append(here.sender)

    async def begin(_: Member) -> None:
        current().nursery.start_soon(look)
        await anyio.sleep(5)

    async with Supervisor("app", child(Member, name="a")) as app:
        await app.find("a").options(timeout=100).call(begin)
    assert seen == ["app/a", 1, None, None, None]


async def test_a_task_may_call_its_own_actor_and_end_it() -> None:
    async def task() -> None:
        assert await current().address.call(Member.see) == 1
        current().stop()

    async def begin(_: Member) -> None:
        current().nursery.start_soon(task)

    async with Supervisor("app", child(Member, name="a")) as app:
        await app.find("a").send(begin)
        await at_rest()
        assert await app.find("a").call(Member.life) == 2


async def test_what_a_hook_starts_is_cancelled_and_awaited_too() -> None:
    log: list[str] = []

    class Late(Beside):
        async def __aexit__(self, *_: object) -> None:
            await self.begin()
            await anyio.sleep(1)
            log.append("hook")

    async with Supervisor("app", child(Late, log, name="a")):
        pass
    assert sorted(log) == ["+a", "hook", "task cancelled"]


async def test_an_ended_incarnation_s_nursery_starts_nothing_any_more() -> None:
    kept: list[Nursery] = []

    async def keep(_: Beside) -> None:
        kept.append(current().nursery)

    async with Supervisor("app", child(Beside, list[str](), name="a")) as app:
        await app.find("a").call(keep)
        await app.find("a").send(Member.crash)
        await at_rest()
        with pytest.raises(RuntimeError, match="has ended"):
            kept[0].start_soon(anyio.sleep_forever)


async def test_a_crash_waits_for_a_task_that_cleans_up_before_the_next_life_begins() -> None:
    log: list[str] = []

    async def clean_up() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(2)
                log.append("cleaned up")

    async def begin_and_crash(_: Member) -> None:
        current().nursery.start_soon(clean_up)
        await anyio.sleep(1)
        raise Boom("told to")

    async with Supervisor("app", child(Member, log, name="a")) as app:
        with pytest.raises(ActorCrashed):
            await app.find("a").call(begin_and_crash)
        await at_rest()
    assert log[:4] == ["+a", "cleaned up", "-a", "+a"]


async def test_no_message_reaches_the_crashed_instance_while_other_tasks_of_it_clean_up() -> None:
    async def clean_up() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(2)

    async def begin(member: Beside) -> None:
        current().nursery.start_soon(clean_up)
        current().nursery.start_soon(member.crash)

    async with Supervisor("app", child(Beside, list[str](), name="a")) as app:
        await app.find("a").send(begin)
        await at_rest()
        began = anyio.current_time()
        assert await app.find("a").call(Member.life) == 2
        assert anyio.current_time() - began == pytest.approx(2)


async def test_a_task_that_outlives_the_end_of_its_crashed_actor_is_reported() -> None:
    gate, events = Gate(), list[Event]()

    async def deaf() -> None:
        with anyio.CancelScope(shield=True):
            await gate.walk_through()

    async def begin_and_crash(_: Member) -> None:
        current().nursery.start_soon(deaf)
        await gate.reached.wait()
        raise Boom("told to")

    async with Supervisor("app", child(Member, name="a", stop_within=1.0), listener=events.append) as app:
        await app.find("a").send(begin_and_crash)
        await anyio.sleep(10)
        assert [event.path for event in events if isinstance(event, Overran)] == ["app/a"]
        gate.open()
        await at_rest()
        assert await app.find("a").call(Member.life) == 2


def test_there_is_no_nursery_outside_of_an_actor() -> None:
    with pytest.raises(NoActor):
        _ = current().nursery
