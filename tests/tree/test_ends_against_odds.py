"""Ends that come at a bad moment, or from an odd side: each of them once hung, lied or left something running.

Tested: SEMANTICS 6 and 14 (one deadline for an end, whoever asked for it), 23 (a kill is a kill, in whatever group it arrives),
25 (what outlives its deadline is reported), DESIGN's list of how a tree ends, for bodies that raise groups.
"""

from __future__ import annotations

import asyncio
import contextlib
import math

import anyio
import anyio.lowlevel
import pytest

from supervise import (
    ActorCrashed,
    ActorStopped,
    GaveUp,
    Intensity,
    Nursery,
    StartFailed,
    Supervisor,
    child,
    current,
    open_mailbox,
)
from supervise._backends import current_backend
from supervise.events import Decided, Event, Overran, Stopped
from supervise.testing import virtual_time
from supervise_strategies import ExitKind
from supervise_strategies.exception import leaves
from tests.doubles import Boom, Gate, Scribe
from tests.members import Member

pytestmark = pytest.mark.anyio


class Lingerer(Scribe):
    """Takes its time to leave."""

    def __init__(self, gate: Gate, *, shielded: bool = False) -> None:
        super().__init__()
        self._gate = gate
        self._shielded = shielded

    async def __aenter__(self) -> Lingerer:
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=self._shielded):
            await self._gate.walk_through()

    async def quit(self) -> None:
        current().stop()


def kinds(events: list[Event], path: str) -> list[ExitKind]:
    return [event.reason.kind for event in events if isinstance(event, Stopped) and event.path == path]


async def nested_sleep() -> None:
    """Two tasks in the backend's own kind of group, so that a cancellation leaves it as the backend has it."""
    if current_backend().name == "trio":
        import trio

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.sleep_forever()
    else:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            await anyio.sleep_forever()


async def test_an_exit_hook_that_hangs_after_the_actor_s_own_stop_is_cancelled_after_stop_within() -> None:
    events: list[Event] = []
    one = child(Lingerer, Gate(), name="one", stop_within=1.0)
    async with Supervisor("app", one, listener=events.append) as app:
        await app.find(one).send(Lingerer.quit)
        await anyio.sleep(1.5)
        assert kinds(events, "app/one") == [ExitKind.KILLED]
        assert await app.find(one).call(Scribe.note, 1) == 1


async def test_an_exit_hook_that_outlives_its_cancellation_after_a_crash_is_reported_and_its_mailbox_refuses() -> None:
    gate = Gate()
    events: list[Event] = []

    def make() -> Lingerer:
        return Lingerer(gate, shielded=True)

    one = child(make, name="one", stop_within=1.0)
    async with Supervisor("app", one, listener=events.append) as app:
        await app.find(one).send(Scribe.crash)
        await anyio.sleep(10)
        assert [event.path for event in events if isinstance(event, Overran)] == ["app/one"]
        with pytest.raises(ActorStopped, match="still runs"):
            await app.find(one).send(Scribe.note, 1)
        gate.open()
        await anyio.sleep(0.1)
        assert await app.find(one).call(Scribe.note, 1) == 1


async def test_a_kill_is_a_kill_when_the_handler_waits_in_a_task_group() -> None:
    class Grouper:
        async def wait(self) -> None:
            await nested_sleep()

    events: list[Event] = []
    one = child(Grouper, name="one")
    async with Supervisor("app", one, listener=events.append) as app, anyio.create_task_group() as group:

        async def calls() -> None:
            with pytest.raises(ActorStopped, match="killed"):
                await app.find(one).call(Grouper.wait)

        group.start_soon(calls)
        await anyio.sleep(1)
        app.kill("one")
    assert kinds(events, "app/one")[0] is ExitKind.KILLED


async def test_a_factory_that_stops_the_tree_and_then_hangs_is_cancelled() -> None:
    async def hang() -> Scribe:
        await anyio.sleep_forever()
        return Scribe()

    def make() -> object:
        current().stop_tree("not today")
        return hang()

    with anyio.fail_after(1), pytest.raises(StartFailed, match="not today"):
        async with Supervisor("app", child(make, name="one")):
            pytest.fail("it was stopped before it was ready")


async def test_gave_up_leaves_alone_when_the_cancelled_body_raises_a_group() -> None:
    async def fails_to_clean_up() -> None:
        try:
            await nested_sleep()
        finally:
            raise Boom("clean-up")

    async def body() -> None:
        if current_backend().name == "trio":
            import trio

            async with trio.open_nursery() as nursery:
                nursery.start_soon(fails_to_clean_up)
                await nested_sleep()
        else:
            async with anyio.create_task_group() as group:
                group.start_soon(fails_to_clean_up)
                await nested_sleep()

    one = child(Scribe, name="one")
    with pytest.raises(GaveUp) as caught:
        async with Supervisor("app", one, intensity=Intensity(0, per=1)) as app:
            await app.find(one).send(Scribe.crash)
            await body()
    assert caught.value.__context__ is not None
    assert [type(leaf) for leaf in leaves(caught.value.__context__)] == [Boom]


async def test_a_listener_that_raises_what_is_no_exception_harms_nobody() -> None:
    class Odd(BaseException):
        pass

    def listener(event: Event) -> None:
        raise Odd

    one = child(Scribe, name="one")
    async with Supervisor("app", one, listener=listener) as app:
        with pytest.raises(ActorCrashed):
            await app.find(one).call(Scribe.crash)
        assert await app.find(one).call(Scribe.note, 1) == 1


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), asyncio.CancelledError()], ids=repr)
async def test_what_a_listener_raises_is_logged_and_ends_nothing_system_exit_included(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def listener(event: Event) -> None:
        if isinstance(event, Stopped) and event.reason.abnormal:
            raise error

    one = child(Scribe, name="one")
    async with Supervisor("app", one, listener=listener) as app:
        await app.find(one).send(Scribe.crash)
        assert await app.find(one).call(Scribe.note, 1) == 1
    assert "listener raised at event" in caplog.text


async def test_a_keyboard_interrupt_passes_up_from_a_listener_too() -> None:
    def listener(event: Event) -> None:
        if isinstance(event, Stopped) and event.reason.abnormal:
            raise KeyboardInterrupt

    one = child(Scribe, name="one")
    with anyio.fail_after(10), pytest.raises(KeyboardInterrupt):
        async with Supervisor("app", one, listener=listener) as app:
            await app.find(one).send(Scribe.crash)
            await app.wait()


async def test_a_second_native_cancel_cancels_all_at_once_and_leaves_nothing_of_the_tree_running() -> None:
    if current_backend().name == "trio":
        return  # it has none
    gone: list[float] = []

    class Slow(Lingerer):
        async def __aexit__(self, *_: object) -> None:
            try:
                await anyio.sleep(3)
            finally:
                gone.append(anyio.current_time() - began)

    async def host() -> None:
        async with Supervisor("app", child(Slow, Gate(), name="one")):
            await anyio.sleep_forever()

    began = anyio.current_time()
    task = asyncio.create_task(host())
    for _ in range(2):
        await anyio.sleep(1)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone == [pytest.approx(2)]


def test_a_restart_whose_task_is_cancelled_natively_before_it_begins_keeps_nobody_waiting() -> None:
    """All tasks at once, as a signal handler may do it. On trio no task can be cancelled before it begins."""
    log: list[str] = []

    def cancel_all(event: Event) -> None:
        if isinstance(event, Decided):
            for task in asyncio.all_tasks():
                task.cancel()

    async def main() -> None:
        async with Supervisor("app", child(Member, log, name="a"), listener=cancel_all) as app:
            await app.find("a").send(Member.crash)
            await anyio.sleep_forever()

    loop = virtual_time.JumpingLoop()
    loop.call_later(1000, loop.stop)  # where it hangs
    with contextlib.closing(loop), pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(main())
    assert log == ["+a", "-a"]


async def test_a_supervisor_that_is_still_stopping_can_t_be_entered() -> None:
    gate = Gate()
    app = Supervisor("app", child(Lingerer, gate, name="one", stop_within=math.inf))

    async def use() -> None:
        async with app:
            pass

    async with anyio.create_task_group() as group:
        group.start_soon(use)
        await anyio.sleep(1)
        with pytest.raises(RuntimeError, match="runs already"):
            await use()
        gate.open()
    await use()


async def test_two_runs_of_a_mailbox_that_begin_together_don_t_overlap() -> None:
    mailbox, _address = open_mailbox(Scribe)
    refused: list[str] = []

    async def run() -> None:
        try:
            await mailbox.run(Scribe)
        except RuntimeError as error:
            refused.append(str(error))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        group.start_soon(run)
        await anyio.sleep(1)
        mailbox.close()
    assert len(refused) == 1


async def test_a_start_that_always_fails_at_once_lets_others_run() -> None:
    """In place it would be retried in one and the same step of one task, for ever."""
    starts = 0

    class Unborn:
        def __init__(self) -> None:
            nonlocal starts
            starts += 1
            if starts > 1:
                raise OSError

        async def crash(self) -> None:
            raise ValueError

    with anyio.move_on_after(1) as scope:
        async with Supervisor("app", child(Unborn, name="u"), intensity=Intensity(10_000, per=1e9)) as app:
            await app.find("u").send(Unborn.crash)
            while starts < 2:
                await anyio.lowlevel.checkpoint()
            scope.cancel()
            await anyio.sleep_forever()
    assert starts < 1000


async def test_a_drain_goes_on_though_a_handler_stops_its_actor() -> None:
    handled: list[int] = []

    class Quitter:
        async def work(self, number: int) -> None:
            await anyio.sleep(1)
            handled.append(number)
            current().stop()

    async with Supervisor("app", child(Quitter, name="q", drain=True)) as app:
        for number in range(3):
            await app.find("q").send(Quitter.work, number)
        await anyio.sleep(0.5)
        await app.terminate_child("q")
    assert handled == [0, 1, 2]


async def test_a_nursery_that_has_ended_says_so() -> None:
    kept: list[Nursery] = []

    class Keeper:
        async def keep(self) -> None:
            kept.append(current().nursery)
            current().stop()

    async with Supervisor("app", child(Keeper, name="k", restart="transient")) as app:
        await app.find("k").call(Keeper.keep)
        await anyio.sleep(1)
        with pytest.raises(RuntimeError, match="has ended"):
            kept[0].start_soon(anyio.sleep_forever)
