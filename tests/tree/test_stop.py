"""The ordered stop: what happens in which order within one deadline, and what outlives it.

Tested: SEMANTICS 6 (sequence, deadlines, brutal_kill, budget, drain), 8 (a stop cancels a hanging start; calls are served in
order), 14, 23, 24, 25, RUNTIME 11 and 12.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from supervise import (
    ActorCrashed,
    ActorStopped,
    ChildAlreadyStarted,
    Intensity,
    RunningSupervisor,
    Supervisor,
    SupervisorNotRunning,
    WouldDeadlock,
    child,
    current,
)
from supervise.events import Event, Overran, Stopped

pytestmark = pytest.mark.anyio


def incarnation(_: object) -> int:
    return current().incarnation


class Actor:
    """Logs what becomes of its handler, its nursery task and its exit hook."""

    def __init__(self, log: list[str], hook_takes: float = 0.0) -> None:
        self.log = log
        self.hook_takes = hook_takes

    async def __aenter__(self) -> Actor:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: object) -> None:
        self.log.append(f"hook with {kind.__name__ if kind else None}")
        try:
            await anyio.sleep(self.hook_takes)
            self.log.append("hook done")
        except BaseException:
            self.log.append("hook cancelled")
            raise

    async def work(self, seconds: float, *, in_nursery: bool = False) -> str:
        if in_nursery:
            current().nursery.start_soon(self.beside)
        try:
            await anyio.sleep(seconds)
            self.log.append(f"worked, stopping={current().stopping}")
        except BaseException:
            self.log.append("work cancelled")
            raise
        return "done"

    async def beside(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self.log.append("beside cancelled")

    async def crash(self) -> None:
        raise ValueError("crash")


@asynccontextmanager
async def calling(app: RunningSupervisor, name: str, seconds: float) -> AsyncGenerator[list[object], None]:
    """A call in hand, whose outcome is collected."""
    outcome: list[object] = []

    async def caller() -> None:
        try:
            outcome.append(await app.find(name).call(Actor.work, seconds, in_nursery=True))
        except Exception as error:
            outcome.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(caller)
        await anyio.sleep(0.1)
        yield outcome


async def test_a_stop_ends_the_nursery_lets_the_handler_finish_and_then_runs_the_hook() -> None:
    log: list[str] = []
    async with Supervisor("app", child(Actor, log, name="a")) as app:
        async with calling(app, "a", 2.0) as outcome:
            await app.terminate_child("a")
        assert outcome == ["done"]
    assert log == ["beside cancelled", "worked, stopping=True", "hook with None", "hook done"]


async def test_handler_and_hook_share_one_deadline() -> None:
    log: list[str] = []
    async with Supervisor("app", child(Actor, log, 4.0, name="a")) as app, calling(app, "a", 3.1):
        began = anyio.current_time()
        await app.terminate_child("a")
        assert anyio.current_time() - began == pytest.approx(5.0)
    assert log[-3:] == ["worked, stopping=True", "hook with None", "hook cancelled"]


async def test_a_handler_that_takes_too_long_is_cancelled_and_its_call_says_stopped() -> None:
    log: list[str] = []
    async with Supervisor("app", child(Actor, log, name="a", stop_within=2.0), intensity=Intensity(1)) as app:
        async with calling(app, "a", 99.0) as outcome:
            await app.terminate_child("a")
        assert isinstance(outcome[0], ActorStopped)
        assert not isinstance(outcome[0], ActorCrashed)
    assert "work cancelled" in log


async def test_a_brutal_kill_cancels_at_once_and_the_hook_still_runs_in_the_cancelled_scope() -> None:
    log: list[str] = []
    async with Supervisor("app", child(Actor, log, 1.0, name="a", stop_within="brutal_kill")) as app:
        async with calling(app, "a", 99.0):
            began = anyio.current_time()
            await app.terminate_child("a")
            assert anyio.current_time() == began
    assert "work cancelled" in log
    assert log[-1] == "hook cancelled"


async def test_the_budget_is_one_deadline_over_the_whole_tree() -> None:
    log: list[str] = []
    children = [child(Actor, log, 3.0, name=name) for name in "abc"]
    began = anyio.current_time()
    async with Supervisor("app", *children, shutdown_budget=4.0):
        pass
    assert anyio.current_time() - began == pytest.approx(4.0)
    assert [line for line in log if "hook with" not in line] == ["hook done", "hook cancelled", "hook cancelled"]


async def test_the_queue_is_drained_only_if_the_child_asks_for_it() -> None:
    for drain in (False, True):
        log: list[str] = []
        async with Supervisor("app", child(Actor, log, name="a", drain=drain)) as app:
            for _ in range(3):
                await app.find("a").send(Actor.work, 1.0)
            await anyio.sleep(0.5)
            await app.terminate_child("a")
            assert app.account().handled == (3 if drain else 1)
            assert app.account().dead_lettered == (0 if drain else 2)


async def test_a_crash_ends_the_nursery_runs_the_hook_with_the_error_and_only_then_tells_the_caller() -> None:
    log: list[str] = []
    async with Supervisor("app", child(Actor, log, 1.0, name="a")) as app:

        async def crash_beside(actor: Actor) -> None:
            current().nursery.start_soon(actor.beside)
            await anyio.lowlevel.checkpoint()
            raise ValueError("crash")

        with pytest.raises(ActorCrashed):
            await app.find("a").call(crash_beside)
        log.append("caller knows")
    assert log[:4] == ["beside cancelled", "hook with ValueError", "hook done", "caller knows"]


async def test_a_stop_cancels_a_hanging_start() -> None:
    log: list[str] = []

    async def hanging() -> Actor:
        await anyio.sleep_forever()
        raise AssertionError

    async with Supervisor("app", child(Actor, log, name="a")) as app, anyio.create_task_group() as group:

        async def start() -> None:
            with pytest.raises(SupervisorNotRunning):
                await app.start(hanging, name="h")

        group.start_soon(start)
        await anyio.sleep(1)
        assert app.busy
        assert app.count_children().specs == 2, "reading is answered at once"
        began = anyio.current_time()
        await app.stop()
        assert anyio.current_time() == began


async def test_calls_that_change_the_tree_are_served_in_order() -> None:
    log: list[str] = []
    order: list[str] = []

    async def slow() -> Actor:
        await anyio.sleep(5)
        return Actor(log)

    async with Supervisor("app") as app, anyio.create_task_group() as group:

        async def start() -> None:
            await app.start(slow, name="x")
            order.append("started")

        async def start_again() -> None:
            with pytest.raises(ChildAlreadyStarted):
                await app.start(slow, name="x")
            order.append("refused")

        async def terminate() -> None:
            await app.terminate_child("x")
            order.append("terminated")

        for call in (start, start_again, terminate):
            group.start_soon(call)
            await anyio.sleep(0.1)
    assert sorted(order[:2]) == ["refused", "started"], "both are answered when the start is done"
    assert order[2] == "terminated"


async def test_a_foreign_cancellation_that_nobody_asked_for_is_a_crash(anyio_backend: tuple[str, object]) -> None:
    if anyio_backend[0] == "trio":
        pytest.skip("trio tasks can't be awaited, so no foreign cancellation reaches a handler there")

    async def await_cancelled(_: Actor) -> None:
        task = asyncio.ensure_future(asyncio.sleep(99))
        task.cancel()
        await task

    async with Supervisor("app", child(Actor, list[str](), name="a")) as app:
        with pytest.raises(ActorCrashed, match="nobody of the tree asked for it"):
            await app.find("a").call(await_cancelled)
        assert await app.find("a").call(incarnation) == 2


async def test_a_kill_is_only_a_kill_whatever_was_under_way() -> None:
    events: list[Event] = []

    async def crash_slowly(_: Actor) -> None:
        try:
            raise KeyError("the real cause")
        finally:
            await anyio.sleep(99)

    async with Supervisor("app", child(Actor, list[str](), name="a"), listener=events.append) as app:
        await app.find("a").send(crash_slowly)
        await anyio.sleep(1)
        app.kill("a")
        await anyio.sleep(1)
    ends = [e.reason for e in events if isinstance(e, Stopped)]
    assert ends[0].kind.value == "killed"
    assert ends[0].detail == ""


async def test_what_cannot_be_cancelled_is_reported_refuses_and_comes_back_when_it_has_ended() -> None:
    events: list[Event] = []
    log: list[str] = []

    async def deaf(_: Actor) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(30)

    tree = Supervisor(
        "app",
        child(Actor, log, name="a", stop_within=1.0),
        child(Actor, log, name="b"),
        strategy="one_for_all",
        listener=events.append,
    )
    async with tree as app:
        a, b = app.find("a"), app.find("b")
        await a.send(deaf)
        await anyio.sleep(0.1)
        with pytest.raises(ActorCrashed):
            await b.call(Actor.crash)
        await anyio.sleep(5)
        assert [str(e) for e in events if isinstance(e, Overran)] == [
            "app/a #1 is unstoppable: it was cancelled and still runs"
        ]
        assert await b.call(incarnation) == 2, "its sibling's restart doesn't wait for it"
        with pytest.raises(ActorStopped, match="still runs"):
            await a.call(Actor.work, 0.0)
        await anyio.sleep(30)
        assert await a.call(incarnation) == 2


async def test_an_actor_cannot_wait_for_its_own_end_nor_for_its_supervisor_while_it_is_being_started() -> None:
    async def stop_myself(_: Actor) -> None:
        await current().supervisor().terminate_child("a")

    async def stop_above(_: Actor) -> None:
        await current().supervisor().stop()

    async def needy() -> Actor:
        await current().supervisor().start(Actor, list[str]())
        raise AssertionError

    async with Supervisor("app", child(Actor, list[str](), name="a")) as app:
        for handler in (stop_myself, stop_above):
            with pytest.raises(ActorCrashed) as caught:
                await app.find("a").call(handler)
            assert isinstance(caught.value.__cause__, WouldDeadlock)
        with pytest.raises(Exception, match="didn't start: WouldDeadlock"):
            await app.start(needy)
