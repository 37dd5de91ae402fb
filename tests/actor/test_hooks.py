"""Factories and hooks that fail, and what may never be swallowed on the way out.

Tested: SEMANTICS 4 and 15 (a crash in a factory or hook), 10 (KeyboardInterrupt and SystemExit always pass up), 14, 23 and 24
(whose cancellation it was; what it masks), DESIGN "Starting" and "How it ends".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from supervise import (
    ActorCrashed,
    ActorStopped,
    Address,
    ChildStartFailed,
    IgnoreStart,
    StartFailed,
    Supervisor,
    child,
    current,
)
from supervise.events import Event, Stopped
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom
from tests.members import Member, states

pytestmark = pytest.mark.anyio


class Hooked(Member):
    """Does in its hooks what it is told, and notes with what it was left."""

    def __init__(self, *, enter: BaseException | None = None, leave: BaseException | None = None) -> None:
        super().__init__()
        self._enter = enter
        self._leave = leave
        self.left_with: list[Any] = []

    async def __aenter__(self) -> Hooked:
        if self._enter is not None:
            raise self._enter
        return self

    async def __aexit__(self, *raised: Any) -> None:
        kind, error, traceback = raised
        self.left_with.append((kind, error, traceback is not None))
        if self._leave is not None:
            raise self._leave

    async def raise_it(self, error: BaseException) -> None:
        raise error


def ends(events: list[Event], path: str) -> list[str]:
    return [str(event.reason) for event in events if isinstance(event, Stopped) and event.path == path]


async def test_an_enter_hook_that_raises_fails_the_start_and_its_exit_hook_is_not_run() -> None:
    actor = Hooked(enter=Boom("on entering"))
    async with Supervisor("app") as app:
        with pytest.raises(ChildStartFailed, match="on entering") as caught:
            await app.start(lambda: actor, name="a")
        assert caught.value.__cause__ is actor._enter
        assert not actor.left_with


async def test_an_enter_hook_may_ignore_its_start() -> None:
    async with Supervisor("app", child(lambda: Hooked(enter=IgnoreStart("no work")), name="a")) as app:
        assert states(app) == {"a": "stopped"}


async def test_an_exit_hook_is_given_the_crash_as_with_gives_it() -> None:
    actor, error = Hooked(), Boom("told to")
    async with Supervisor("app", child(lambda: actor, name="a", restart="temporary")) as app:
        await app.find("a").send(Hooked.raise_it, error)
        await at_rest()
    assert actor.left_with == [(Boom, error, True)]


async def test_an_exit_hook_of_an_orderly_end_is_given_nothing() -> None:
    actor = Hooked()
    async with Supervisor("app", child(lambda: actor, name="a")):
        pass
    assert actor.left_with == [(None, None, False)]


async def test_a_context_manager_function_sees_the_crash_where_it_yielded_and_cannot_swallow_it() -> None:
    seen: list[BaseException] = []

    @asynccontextmanager
    async def managed() -> AsyncGenerator[Member]:
        try:
            yield Member()
        except Boom as error:
            seen.append(error)

    async with Supervisor("app", child(managed, name="a")) as app:
        with pytest.raises(ActorCrashed):
            await app.find("a").call(Member.crash)
        assert len(seen) == 1
        assert await app.find("a").call(Member.life) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
async def test_what_ends_a_program_passes_up_from_an_exit_hook_after_a_crash(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        async with Supervisor("app", child(lambda: Hooked(leave=error), name="a")) as app:
            await app.find("a").send(Member.crash)
            await anyio.sleep_forever()
    assert caught.value is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
async def test_what_ends_a_program_passes_up_from_the_exit_hook_of_an_orderly_stop(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        async with Supervisor("app", child(lambda: Hooked(leave=error), name="a")):
            pass
    assert caught.value is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
async def test_what_ends_a_program_passes_up_from_an_enter_hook_while_the_tree_starts(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        async with Supervisor("app", child(Member, name="b"), child(lambda: Hooked(enter=error), name="a")):
            pytest.fail("it didn't start")
    assert caught.value is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
async def test_what_ends_a_program_is_no_expected_answer(error: BaseException) -> None:
    one = child(Hooked, name="a", expects=(BaseException,))
    with pytest.raises(type(error)) as caught:
        async with Supervisor("app", one) as app:
            await app.find("a").send(Hooked.raise_it, error)
            await anyio.sleep_forever()
    assert caught.value is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
async def test_what_ends_a_program_passes_up_from_a_nursery_task_out_of_its_group(error: BaseException) -> None:
    async def task() -> None:
        raise error

    async def begin(_: Hooked) -> None:
        current().nursery.start_soon(task)

    with pytest.raises(type(error)) as caught:
        async with Supervisor("app", Supervisor("below", child(Hooked, name="a"))) as app:
            await app.find("below/a").send(begin)
            await anyio.sleep_forever()
    assert caught.value is error


async def test_a_handler_that_is_cancelled_by_its_own_scope_isn_t_a_crash() -> None:
    async def gives_up_waiting(_: Member) -> str:
        with anyio.move_on_after(1):
            await anyio.sleep_forever()
        return "gave up"

    async def times_out(_: Member) -> None:
        with anyio.fail_after(1):
            await anyio.sleep_forever()

    async with Supervisor("app", child(Member, name="a", expects=(TimeoutError,))) as app:
        assert await app.find("a").call(gives_up_waiting) == "gave up"
        with pytest.raises(TimeoutError):
            await app.find("a").call(times_out)
        assert await app.find("a").call(Member.life) == 1


async def foreign() -> None:
    task = asyncio.ensure_future(asyncio.sleep(99))
    task.cancel()
    await task


class AwaitsForeignOnEntering(Member):
    async def __aenter__(self) -> AwaitsForeignOnEntering:
        await foreign()
        return self


async def make_awaiting_foreign() -> Member:
    await foreign()
    return Member()


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)  # no such thing reaches a trio task
@pytest.mark.parametrize("factory", [AwaitsForeignOnEntering, make_awaiting_foreign])
async def test_a_foreign_cancellation_in_a_factory_or_enter_hook_is_a_failed_start(factory: Callable[[], Any]) -> None:
    with pytest.raises(StartFailed, match="CancelledError: cancelled, and nobody of the tree asked for it"):
        async with Supervisor("app", child(factory, name="a")):
            pytest.fail("it didn't start")


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_foreign_cancellation_in_an_exit_hook_of_an_own_stop_is_a_crash() -> None:
    class AwaitsForeign(Member):
        async def __aexit__(self, *_: object) -> None:
            await foreign()

    events: list[Event] = []
    one = child(AwaitsForeign, name="a", restart="temporary")
    async with Supervisor("app", one, listener=events.append) as app:
        await app.find("a").send(Member.finish)
        await at_rest()
    assert ends(events, "app/a") == ["crashed (CancelledError: cancelled, and nobody of the tree asked for it)"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize("managed", [False, True])
async def test_an_actor_whose_task_is_cancelled_natively_crashed_and_comes_back(managed: bool) -> None:
    class Bare:
        async def task(self) -> Any:
            return asyncio.current_task()

        async def wait(self) -> None:
            await anyio.sleep_forever()

    class Managed(Bare):
        async def __aenter__(self) -> Bare:
            return self

        async def __aexit__(self, *_: object) -> None:
            pass

    async with Supervisor("app", child(Managed if managed else Bare, name="a")) as app:
        a: Address[Bare] = app.find("a")
        parked = await a.call(Bare.task)
        parked.cancel()
        await at_rest()
        in_hand = await a.call(Bare.task)
        assert in_hand is not parked
        async with anyio.create_task_group() as group:

            async def call() -> None:
                with pytest.raises(ActorCrashed, match="nobody of the tree asked for it"):
                    await a.call(Bare.wait)

            group.start_soon(call)
            await at_rest()
            in_hand.cancel()
        assert await a.call(Bare.task) is not in_hand


async def crashes_slowly(_: Member) -> None:
    try:
        raise Boom("the real cause")
    finally:
        await anyio.sleep(99)


async def test_a_kill_names_no_cause_as_an_exception_that_was_handled_leaves_the_same_trace() -> None:
    events: list[Event] = []
    one = child(Member, name="a", stop_within=1.0)
    async with Supervisor("app", one, listener=events.append) as app:
        await app.find("a").send(crashes_slowly)
        await at_rest()
        await app.terminate_child("a")
    assert ends(events, "app/a") == ["killed"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_foreign_cancellation_is_the_crash_and_says_what_was_handled_meanwhile() -> None:
    async def crashes_and_awaits_foreign(_: Member) -> None:
        try:
            raise Boom("the real cause")
        finally:
            await foreign()

    async with Supervisor("app", child(Member, name="a")) as app:
        with pytest.raises(ActorCrashed, match="asked for it, while handling Boom: the real cause") as caught:
            await app.find("a").call(crashes_and_awaits_foreign)
        cause = caught.value.__cause__
        assert isinstance(cause, asyncio.CancelledError)
        assert isinstance(cause.__context__, Boom)


async def test_a_crash_masked_by_the_crash_of_a_nursery_task_is_told_by_the_task_s() -> None:
    async def task() -> None:
        raise OSError("in the nursery")

    async def both(member: Member) -> None:
        current().nursery.start_soon(task)
        await crashes_slowly(member)

    async with Supervisor("app", child(Member, name="a")) as app:
        with pytest.raises(ActorCrashed, match="in the nursery"):
            await app.find("a").call(both)


async def test_a_kill_in_an_exit_hook_that_swallows_it_is_still_a_kill() -> None:
    class Swallows(Member):
        async def __aexit__(self, *_: object) -> None:
            try:
                await anyio.sleep_forever()
            except BaseException:  # a bad hook, which harms nobody but itself
                if current().stopping:
                    return
                raise

    events: list[Event] = []
    one = child(Swallows, name="a", stop_within=1.0)
    async with Supervisor("app", one, listener=events.append) as app:
        began = anyio.current_time()
        await app.terminate_child("a")
        assert anyio.current_time() - began == pytest.approx(1)
    assert ends(events, "app/a") == ["killed"]


async def test_who_called_when_the_exit_hook_hangs_is_told_after_the_hook_that_it_was_stopped() -> None:
    class Slow(Member):
        async def __aexit__(self, *_: object) -> None:
            await anyio.sleep(2)

        async def wait(self) -> None:
            await anyio.sleep_forever()

    async with Supervisor("app", child(Slow, name="a", stop_within="brutal_kill")) as app, anyio.create_task_group() as group:

        async def call() -> None:
            with pytest.raises(ActorStopped):
                await app.find("a").call(Slow.wait)

        group.start_soon(call)
        await at_rest()
        await app.terminate_child("a")


@pytest.mark.parametrize("busy", [False, True])
async def test_an_exit_hook_that_raises_when_its_actor_is_killed_is_the_crash_of_it(busy: bool) -> None:
    events: list[Event] = []
    async with Supervisor("app", child(lambda: Hooked(leave=Boom("on the way out")), name="a"), listener=events.append) as app:
        if busy:
            await app.find("a").send(lambda _: anyio.sleep_forever())
        await at_rest()
        app.kill("a")
        await at_rest()
        assert ends(events, "app/a") == ["crashed (Boom: on the way out)"]
        assert states(app) == {"a": "running"}
