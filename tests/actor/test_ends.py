"""Lives and ends: the nurseries of a life that is over, brutal kills, and stops from within.

Tested:
- SEMANTICS 68: the nursery of an ended life refuses at once; an exit hook has a fresh one, whose tasks are awaited
- SEMANTICS 69: a brutal kill bounds what was asked for, never an end that was normal by itself, which has 5 s
- SEMANTICS 70: a stop from any task of the actor's own
- SEMANTICS 71: what was handled is never named as a cause
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Self

import anyio
import pytest
from tenacity import retry_if_exception_type

from supervise import (
    ActorCrashed,
    Address,
    Current,
    ExitKind,
    HandlerLate,
    Intensity,
    Restart,
    Supervisor,
    WouldDeadlock,
    child,
    concurrent,
    current,
)
from supervise.events import Event, Stopped
from supervise.testing.virtual_time import at_rest
from tests.doubles import Gate, Outcomes, Scribe

pytestmark = pytest.mark.anyio
ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
OFTEN = Intensity(100)


class Ends:
    """How lives ended, as a listener hears of it."""

    def __init__(self) -> None:
        self.reasons: list[Any] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Stopped):
            self.reasons.append(event.reason)

    @property
    def kinds(self) -> list[str]:
        return [reason.kind.value for reason in self.reasons]


def keep(self: Scribe) -> None:
    self.log.append(current())


def use_nursery(self: Scribe) -> None:
    self.log.append(current().nursery)


# -- 68 -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("end", ["kill", "crash", "terminate"])
async def test_the_nursery_of_an_ended_life_refuses_at_once_also_if_it_was_never_used(end: str, used: bool) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        await scribe.call(keep)
        kept: Current = log.pop()
        if used:
            await scribe.call(use_nursery)
        if end == "kill":
            scribe.kill()
        elif end == "crash":
            await scribe.send(Scribe.crash)
        else:
            await app.terminate_child("scribe")
        await at_rest()
        with pytest.raises(RuntimeError, match="has ended"):
            _ = kept.nursery
        for nursery in log:
            with pytest.raises(RuntimeError, match="has ended"):
                nursery.start_soon(anyio.sleep, 1)
        if end != "terminate":
            with pytest.raises(RuntimeError, match="has ended"):  # the next life's is another one
                _ = kept.nursery
            await scribe.call(use_nursery)


class Leaver(Scribe):
    """Begins a task in its exit hook."""

    def __init__(self, log: list[Any], seconds: float) -> None:
        super().__init__(log)
        self.seconds = seconds
        log.append("born")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        current().nursery.start_soon(self._clean_up)
        self.log.append("hook")

    async def _clean_up(self) -> None:
        try:
            await anyio.sleep(self.seconds)
            self.log.append("cleaned up")
        except BaseException:
            self.log.append("cancelled")
            raise


ENDS: dict[str, Callable[[Any, Address[Any]], Coroutine[Any, Any, Any]]] = {
    "crash": lambda app, address: address.send(Scribe.crash),
    "own stop": lambda app, address: address.send(lambda _: current().stop()),
    "stop": lambda app, address: address.stop(),
    "terminate": lambda app, address: app.terminate_child("leaver"),
}


@pytest.mark.parametrize("first", [False, True], ids=["", "after another nursery"])
@pytest.mark.parametrize("end", list(ENDS))
async def test_tasks_begun_in_an_exit_hook_are_awaited_before_the_next_life_begins(end: str, first: bool) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Leaver, log, 2), intensity=OFTEN) as app:
        leaver: Address[Leaver] = app.find("leaver")
        if first:
            await leaver.call(lambda _: current().nursery.start_soon(anyio.sleep, 0.5))
        await ENDS[end](app, leaver)
        await anyio.sleep(3)
        assert log == ["born", "hook", "cleaned up", *(["born"] if end != "terminate" else [])]


@pytest.mark.parametrize("end", list(ENDS))
async def test_tasks_begun_in_an_exit_hook_are_cancelled_when_the_stop_time_is_over(end: str) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Leaver, log, 100, stop_within=1)) as app:
        leaver: Address[Leaver] = app.find("leaver")
        begun = anyio.current_time()
        await ENDS[end](app, leaver)
        await anyio.sleep(begun + 1.5 - anyio.current_time())
        assert log[:3] == ["born", "hook", "cancelled"]
        assert app.which_children()[0].alive is (end != "terminate")


async def test_tasks_begun_in_the_exit_hook_of_a_kill_are_cancelled_as_they_begin() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Leaver, log, 100)) as app:
        app.find("leaver").kill()
        await at_rest()
        assert log == ["born", "hook", "cancelled", "born"]
        log.append("over")
        app.find("leaver").kill()


# -- 69 -------------------------------------------------------------------------------------------------------------------


class Slow(Scribe):
    """Takes its time to leave."""

    def __init__(self, log: list[Any], seconds: float) -> None:
        super().__init__(log)
        self.seconds = seconds

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await anyio.sleep(self.seconds)
        self.log.append("left")


@pytest.mark.parametrize("end", ["own stop", "stop", "address"])
@pytest.mark.parametrize(("seconds", "kind"), [(4.5, "normal"), (100, "killed")])
async def test_a_brutal_kill_never_turns_an_end_that_was_normal_by_itself_into_a_kill(
    end: str, seconds: float, kind: str
) -> None:
    log: list[Any] = []
    ends = Ends()
    options: Any = {"lifetime": "addresses"} if end == "address" else {}
    described = child(Slow, log, seconds, stop_within="brutal_kill", restart="transient", **options)
    async with Supervisor("app", described, listener=ends, intensity=OFTEN) as app, anyio.create_task_group() as group:
        slow = app.find(described)
        begun = anyio.current_time()
        if end == "address":
            slow.close()
        else:
            group.start_soon(ENDS[end], app, slow)
        await anyio.sleep(5.5)
        assert ends.kinds == [kind]
        assert log == (["left"] if kind == "normal" else [])
        assert anyio.current_time() - begun == pytest.approx(5.5)


async def test_a_brutal_kill_bounds_a_stop_that_was_asked_for() -> None:
    log: list[Any] = []
    ends = Ends()
    async with Supervisor("app", child(Slow, log, 1, stop_within="brutal_kill"), listener=ends) as app:
        begun = anyio.current_time()
        await app.terminate_child("slow")
        assert anyio.current_time() == begun
        assert (log, ends.kinds) == ([], ["killed"])


async def test_a_brutal_kill_that_is_asked_for_meanwhile_ends_an_end_that_was_normal() -> None:
    ends = Ends()
    async with Supervisor("app", child(Slow, list[Any](), 4, stop_within="brutal_kill"), listener=ends) as app:
        await app.find("slow").send(lambda _: current().stop())
        await anyio.sleep(1)
        begun = anyio.current_time()
        await app.terminate_child("slow")
        assert anyio.current_time() == begun
        assert ends.kinds == ["killed"]


# -- 70 -------------------------------------------------------------------------------------------------------------------


class Stopper(Scribe):
    """Stops itself, from wherever it is told to."""

    def __init__(self, log: list[Any], where: str, how: str) -> None:
        super().__init__(log)
        self.where, self.how = where, how

    async def __aenter__(self) -> Self:
        if self.where == "enter hook":
            await self.stop_myself()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.where == "exit hook":
            await self.stop_myself()
        elif self.where == "task of the exit hook":
            current().nursery.start_soon(self.stop_myself)

    async def stop_myself(self) -> None:
        try:
            if self.how == "current":
                current().stop()
            else:
                await current().address.stop(grace=1)
        except WouldDeadlock as error:
            self.log.append(str(error))
        else:
            self.log.append("went on")

    @concurrent
    async def beside(self) -> None:
        await self.stop_myself()

    async def begin(self) -> None:
        if self.where == "handler":
            await self.stop_myself()
        elif self.where == "task":
            current().nursery.start_soon(self.stop_myself)
        elif self.where == "timer":
            current().after(0.1, Stopper.stop_myself)
        elif self.where == "pipe":
            current().pipe_to(Scribe.note, self.stop_myself())
        elif self.where == "child task":
            async with anyio.create_task_group() as group:
                group.start_soon(self.stop_myself)
        elif self.where.endswith("exit hook"):
            current().stop()


WHERE = [
    "handler", "task", "timer", "pipe", "child task", "concurrent", "enter hook", "exit hook", "task of the exit hook"
]  # fmt: skip


@pytest.mark.parametrize("how", ["current", "address"])
@pytest.mark.parametrize("where", WHERE)
async def test_a_stop_from_a_task_of_its_own_waits_for_nothing(where: str, how: str) -> None:
    log: list[Any] = []
    ends = Ends()
    async with Supervisor("app", child(Stopper, log, where, how, restart="transient"), listener=ends) as app:
        stopper: Address[Stopper] = app.find("stopper")
        begun = anyio.current_time()
        if where != "enter hook":
            await stopper.send(Stopper.beside if where == "concurrent" else Stopper.begin)
        await anyio.sleep(0.1)
        await at_rest()
        assert anyio.current_time() - begun == pytest.approx(0.1)
        if how == "current":
            assert log == ["went on"]
        else:
            assert len([entry for entry in log if entry]) == 1
            assert "current().stop()" in log[0]
        ended = how == "current" or "exit hook" in where
        assert ends.kinds == (["normal"] if ended else [])
        assert app.which_children()[0].alive is not ended


# -- 71 -------------------------------------------------------------------------------------------------------------------


async def handled_by_except(self: Scribe, gate: Gate) -> None:
    try:
        raise ValueError("handled")
    except ValueError:
        await gate.walk_through()


async def passing_through_finally(self: Scribe, gate: Gate) -> None:
    try:
        raise ValueError("handled")
    finally:
        await gate.walk_through()


HANDLERS = [handled_by_except, passing_through_finally]


@pytest.mark.parametrize("handler", HANDLERS)
async def test_a_kill_and_a_stop_name_no_cause(handler: Any) -> None:
    ends = Ends()
    async with Supervisor("app", child(Scribe), listener=ends) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        gate, outcomes = Gate(), Outcomes(group)
        await outcomes.watch("call", scribe.call(handler, gate))
        scribe.kill()
        await at_rest()
        assert [str(reason) for reason in ends.reasons] == ["killed"]
        assert "handled" not in str(outcomes.of["call"]).replace("handled_by_except", "")
        assert outcomes.of["call"].__cause__ is None


@pytest.mark.parametrize("handler", HANDLERS)
async def test_a_deadline_is_the_reason_alone(handler: Any) -> None:
    ends = Ends()
    async with Supervisor("app", child(Scribe, handler_deadline=1), listener=ends) as app:
        with pytest.raises(ActorCrashed) as caught:
            await app.find("scribe").call(handler, Gate())
        assert isinstance(caught.value.__cause__, HandlerLate)
        assert "ValueError" not in str(ends.reasons[0])


@ASYNCIO
@pytest.mark.parametrize("handler", HANDLERS)
async def test_a_foreign_cancellation_says_what_was_handled_and_no_policy_is_asked_about_that(handler: Any) -> None:
    ends = Ends()
    asked: list[str] = []

    def when(state: Any) -> bool:
        asked.append(type(state.outcome.exception()).__name__)
        return False

    async def cancelled(self: Scribe) -> None:
        task = asyncio.ensure_future(asyncio.sleep(100))
        gate: Any = Gate()
        gate.walk_through = lambda: task
        asyncio.get_running_loop().call_soon(task.cancel)
        await handler(self, gate)

    described = child(Scribe, restart=Restart.permanent(when=when))
    async with Supervisor("app", described, listener=ends) as app:
        await app.find("scribe").send(cancelled)
        await at_rest()
        assert ends.reasons[0].kind is ExitKind.CRASHED
        assert ends.reasons[0].detail.endswith(", while handling ValueError: handled")
        assert asked == []
        assert await app.find("scribe").call(lambda _: current().incarnation) == 2


@pytest.mark.parametrize("handler", HANDLERS)
async def test_a_tenacity_predicate_is_not_asked_about_what_was_handled(handler: Any) -> None:
    described = child(Scribe, restart=Restart.transient(when=retry_if_exception_type(OSError)))
    async with Supervisor("app", described) as app:
        scribe = app.find(described)
        gate = Gate()
        await scribe.send(handler, gate)
        await gate.reached.wait()
        scribe.kill()
        await at_rest()
        assert await scribe.call(lambda _: current().incarnation) == 2
