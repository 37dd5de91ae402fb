"""A coroutine function as a child, in virtual time.

Tested: return, exception, cancellation and stop, each with its exit reason and what its restart type makes of it; the static
form and `start_task`; the crash is the exception itself; a clean-up on stop, within its time; `current()`; bad input.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from supervise import (
    ActorStopped,
    Address,
    ChildState,
    DynamicSupervisor,
    ExitKind,
    InvalidSpec,
    RunningSupervisor,
    Supervisor,
    Task,
    child,
    current,
    task,
)
from supervise.events import Overran, Stopped
from supervise.testing.virtual_time import at_rest
from tests.adapters.promises import Witness, check, check_normal_end, check_policy, tree
from tests.doubles import Boom

pytestmark = pytest.mark.anyio


class Poll:
    """A coroutine function that can be told how to end."""

    def __init__(self) -> None:
        self.runs = 0
        self._end: Callable[[], object] | None = None
        self._told = anyio.Event()

    async def __call__(self) -> None:
        self.runs += 1
        await self._told.wait()
        self._told = anyio.Event()
        assert self._end is not None
        self._end()

    async def crash(self, *_: object) -> None:
        def end() -> None:
            raise Boom("in the poll")

        self._end = end
        self._told.set()

    async def finish(self, *_: object) -> None:
        self._end = lambda: None
        self._told.set()


async def test_a_crash_restarts_it_on_the_same_address_and_what_waited_is_handled() -> None:
    poll = Poll()
    await check(task(poll), poll.crash, detail="Boom: in the poll")
    assert poll.runs == 3


async def test_it_is_restarted_by_its_policy() -> None:
    poll = Poll()
    await check_policy(task(poll), poll.crash)


async def test_its_return_is_a_normal_end() -> None:
    poll = Poll()
    await check_normal_end(task(poll), poll.finish)


async def test_the_crash_is_the_exception_itself_and_says_where() -> None:
    poll = Poll()
    async with tree(task(poll)) as (_, _, witness):
        await poll.crash()
        end = await witness.ended()
        assert str(end.reason) == "crashed (Boom: in the poll)"
        assert end.frames[-1].function.endswith("end")


async def test_one_that_raises_at_once_has_started_and_crashed() -> None:
    async def poll() -> None:
        raise Boom("at once")

    async with tree(task(poll), restart="temporary") as (_, _, witness):
        assert (await witness.ended()).reason.detail == "Boom: at once"


async def cleans_up(log: list[str]) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(2)
        log.append("cleaned up")


async def test_a_stop_cancels_it_and_lets_it_clean_up() -> None:
    log: list[str] = []
    async with tree(task(cleans_up, log)) as (app, address, witness):
        await app.terminate_child("it")
        assert log == ["cleaned up"]
        assert (await witness.ended()).reason.kind is ExitKind.SHUTDOWN
        with pytest.raises(ActorStopped):
            await address.call(lambda _: None)


async def test_a_stop_by_its_address_cancels_it_too_and_is_a_normal_end() -> None:
    """Nobody else would: it goes on until it is told to end. So a transient one isn't started again."""
    log: list[str] = []
    async with tree(task(cleans_up, log), restart="transient") as (app, address, witness):
        began = anyio.current_time()
        await address.stop()
        assert (log, anyio.current_time() - began) == (["cleaned up"], 2)
        assert (await witness.ended()).reason.kind is ExitKind.NORMAL
        assert [info.state for info in app.which_children()] == [ChildState.STOPPED]


async def test_one_that_returns_when_it_is_cancelled_was_stopped() -> None:
    async def poll() -> None:
        with anyio.CancelScope():
            try:
                await anyio.sleep_forever()
            except BaseException:
                return

    async with tree(task(poll), restart="transient") as (app, _, witness):
        await app.terminate_child("it")
        assert (await witness.ended()).reason.kind is ExitKind.SHUTDOWN


async def test_an_exception_in_the_clean_up_is_a_crash() -> None:
    async def poll() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise Boom("while it cleaned up")

    async with tree(task(poll)) as (app, _, witness):
        await app.terminate_child("it")
        assert (await witness.ended()).reason.detail == "Boom: while it cleaned up"


async def test_one_that_shields_itself_is_reported_and_the_end_waits_for_it() -> None:
    until = anyio.Event()

    async def poll() -> None:
        with anyio.CancelScope(shield=True):
            await until.wait()

    async with tree(task(poll), stop_within=1.0) as (app, _, witness), anyio.create_task_group() as group:
        group.start_soon(app.stop)
        await witness.until(lambda: witness.of(Overran))
        assert not witness.of(Stopped)
        until.set()


async def test_a_kill_is_a_kill() -> None:
    async with tree(task(anyio.sleep_forever)) as (app, _, witness):
        app.kill("it")
        assert (await witness.ended()).reason.kind is ExitKind.KILLED
        await witness.started(2)


async def test_a_cancellation_that_nobody_asked_for_is_a_crash(anyio_backend_name: str) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("trio has no native cancel()")

    async def poll() -> None:
        foreign = asyncio.get_running_loop().create_future()
        foreign.cancel()
        await foreign

    async with tree(task(poll), restart="temporary") as (_, _, witness):
        end = await witness.ended()
        assert end.reason.kind is ExitKind.CRASHED
        assert "nobody of the tree asked" in end.reason.detail


async def test_start_task_adds_one_under_its_own_name_or_another() -> None:
    seen: list[str] = []

    async def poll(url: str) -> None:
        seen.append(f"{current().path} {url}")
        await anyio.sleep_forever()

    async with Supervisor("app") as app:
        first: Address[Task] = await app.start_task(poll, "a")
        second = await app.start_task(poll, "b", name="second")
        third = await app.start_task(functools.partial(poll, url="c"))
        await anyio.sleep(1)
        assert [first.path, second.path, third.path] == ["app/poll", "app/second", "app/poll-2"]
        assert seen == ["app/poll a", "app/second b", "app/poll-2 c"]


async def test_start_task_under_a_dynamic_supervisor_is_temporary() -> None:
    witness = Witness()
    async with DynamicSupervisor("app", listener=witness) as app:
        await app.start_task(anyio.sleep, 1, name="it")
        assert len(app.children()) == 1
        await witness.ended()
        assert app.children() == []


async def test_the_same_description_makes_any_number_of_children() -> None:
    made = task(anyio.sleep_forever)
    async with Supervisor("app", child(made), child(made)) as app:
        assert [line.id for line in app.children()] == ["sleep_forever", "sleep_forever-2"]


async def an_async_method(_: Any) -> None: ...


class Callable_:
    async def __call__(self) -> None: ...


@pytest.mark.parametrize("good", [an_async_method, functools.partial(an_async_method, 1), Callable_(), Callable_().__call__])
def test_what_makes_a_coroutine_is_taken(good: Any) -> None:
    assert task(good).__name__


def _blocking() -> None: ...


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (_blocking, "supervise.adapters.thread"),
        (lambda: None, "supervise.adapters.thread"),
        (7, "task(poll, url)"),
        (None, "task(poll, url)"),
    ],
)
async def test_what_does_not_is_refused_with_the_cure(bad: Any, words: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        task(bad)
    assert words in str(refused.value)
    app: RunningSupervisor
    async with Supervisor("app") as app:
        with pytest.raises(InvalidSpec):
            await app.start_task(bad)
        assert app.children() == []


def test_a_coroutine_is_refused_without_a_complaint_that_nobody_awaited_it() -> None:
    bad: Any = an_async_method(1)
    with pytest.raises(InvalidSpec, match="runs once"):
        task(bad)


async def test_its_checkpoint_counts_at_once() -> None:
    found: list[object] = []

    async def once() -> None:
        last = current().last_checkpoint
        found.append(None if last is None else last.value)
        current().checkpoint("seen")
        if last is None:
            raise Boom("after it")
        await anyio.sleep_forever()

    async with Supervisor("app", child(task(once), name="it")):
        await at_rest()
    assert found == [None, "seen"]
