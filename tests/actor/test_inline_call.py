"""Calls whose handler runs in the caller's own step: they are as all other calls, but for the turns of the loop.

Tested: results, errors and refusals; what a handler that waits, raises, cancels or is cancelled comes to; that nothing of the
caller is seen by the handler; each also where no other task can be the current one for a step.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
import warnings
import weakref
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from supervise import (
    ActorCrashed,
    ActorStopped,
    Address,
    CallCycle,
    CallTimeout,
    DynamicSupervisor,
    ExitReason,
    Intensity,
    NotAHandler,
    Supervisor,
    current,
)
from supervise._backends import _asyncio
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate, Outcomes, Scribe

ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("way")]
OFTEN = Intensity(1000)


def no_swaps() -> tuple[None, None]:
    return None, None


@pytest.fixture(params=["as another task", "the plain way"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "the plain way":
        monkeypatch.setattr(_asyncio, "swaps", no_swaps)
    return request.param  # type: ignore[no-any-return]


class Worker(Scribe):
    async def double(self, number: int) -> int:
        return 2 * number

    def double_at_once(self, number: int, *, add: int = 0) -> int:
        return 2 * number + add

    async def wait(self, number: int) -> int:
        await anyio.sleep(0.01)
        return 2 * number

    def later(self, number: int) -> Any:
        return self.double(number)

    def crash_at_once(self) -> None:
        raise Boom("at once")

    async def refuse(self) -> None:
        raise KeyError("an answer")

    def lines(self) -> Iterator[int]:
        yield 1

    async def account(self, me: Address[Worker]) -> Any:
        return me.account()

    def account_at_once(self, me: Address[Worker]) -> Any:
        return me.account()

    async def handled_exception(self) -> BaseException | None:
        return sys.exception()

    def handled_exception_at_once(self) -> BaseException | None:
        return sys.exception()


async def known(app: Any, **options: Any) -> Address[Worker]:
    """One that sleeps, and whose handlers are known: it answers at once, where it may."""
    worker: Address[Worker] = await app.start(Worker, **options)
    for handler in (Worker.double, Worker.double_at_once, Worker.wait, Worker.later):
        assert await worker.call(handler, 1) == 2
    await at_rest()
    return worker


async def test_results_are_those_of_any_other_call() -> None:
    async with Supervisor("app") as app:
        worker = await known(app)
        for _ in range(300):
            assert await worker.call(Worker.double, 2) == 4
            assert await worker.call(Worker.double_at_once, 2, add=1) == 5
            assert await worker.call(Worker.later, 3) == 6
        for _ in range(10):
            assert await worker.call(Worker.wait, 2) == 4
            assert await worker.call(Worker.double, 2) == 4
        assert worker.account().handled == 4 + 900 + 20
        assert worker.account().balanced


@pytest.mark.parametrize("handler", [Worker.crash, Worker.crash_at_once])
async def test_what_it_raises_is_a_crash_and_the_next_life_answers(handler: Any) -> None:
    async with Supervisor("app", intensity=OFTEN) as app:
        worker = await known(app)
        for _ in range(20):
            with pytest.raises(ActorCrashed) as crash:
                await worker.call(handler)
            assert isinstance(crash.value.__cause__, Boom)
            assert await worker.call(Worker.double, 1) == 2
        assert app.get_childspec("worker").restarts == 20
        assert worker.account().balanced


async def test_what_is_expected_is_an_answer() -> None:
    async with Supervisor("app") as app:
        worker = await known(app, expects=(KeyError,))
        for _ in range(3):
            with pytest.raises(KeyError, match="an answer"):
                await worker.call(Worker.refuse)
        assert app.get_childspec("worker").restarts == 0


async def test_what_is_no_answer_is_refused() -> None:
    async with Supervisor("app") as app:
        worker = await known(app)
        for _ in range(3):
            with pytest.raises(NotAHandler):
                await worker.call(Worker.lines)
        assert await worker.call(Worker.double, 1) == 2
        assert worker.account().balanced


@pytest.mark.parametrize("handler", [Worker.account, Worker.account_at_once])
async def test_the_account_balances_while_it_is_handled(handler: Any) -> None:
    async with Supervisor("app") as app:
        worker = await known(app)
        for _ in range(2):
            account = await worker.call(handler, worker)
            assert account.in_hand == 1
            assert account.balanced


@pytest.mark.parametrize("handler", [Worker.handled_exception, Worker.handled_exception_at_once])
async def test_it_never_sees_an_exception_that_its_caller_handles(handler: Any) -> None:
    async with Supervisor("app", intensity=OFTEN) as app:
        worker = await known(app)
        assert await worker.call(handler) is None
        try:
            raise ValueError("the caller's")
        except ValueError:
            assert await worker.call(handler) is None
            for crash in (Worker.crash, Worker.crash_at_once):
                with pytest.raises(ActorCrashed) as crashed:
                    await worker.call(crash)
                assert crashed.value.__cause__ is not None
                assert crashed.value.__cause__.__context__ is None
            fresh = await app.start(Scribe)
            assert await fresh.call(Scribe.note, 1) == 1


async def test_a_factory_never_sees_an_exception_that_its_starter_handles() -> None:
    seen: list[BaseException | None] = []

    def made() -> Worker:
        seen.append(sys.exception())
        return Worker()

    async with Supervisor("app") as app:
        try:
            raise ValueError("the starter's")
        except ValueError:
            await app.start(made)
    assert seen == [None]


async def test_calls_within_calls_go_as_deep_as_they_like() -> None:
    class Link:
        def __init__(self, following: Address[Link] | None) -> None:
            self.following = following

        async def depth(self) -> int:
            return 1 if self.following is None else 1 + await self.following.call(Link.depth)

    async with DynamicSupervisor("app") as app:
        link: Address[Link] | None = None
        for _ in range(100):
            link = await app.start(Link, link)
        assert link is not None
        for _ in range(3):
            assert await link.call(Link.depth) == 100


async def test_a_cycle_is_found_while_the_first_step_runs() -> None:
    class Ring:
        following: Address[Ring]

        def join(self, following: Address[Ring]) -> None:
            self.following = following

        async def ask(self) -> Any:
            return await self.following.call(Ring.ask)

    async with Supervisor("app", intensity=OFTEN) as app:
        a, b = await app.start(Ring, name="a", expects=(CallCycle,)), await app.start(Ring, name="b", expects=(CallCycle,))
        await a.call(Ring.join, b)
        await b.call(Ring.join, a)
        for _ in range(3):
            with pytest.raises(CallCycle, match="app/b -> app/a -> app/b"):
                await a.call(Ring.ask)


async def test_a_caller_that_is_gone_is_forgotten_or_takes_the_handler_along() -> None:
    async with Supervisor("app") as app:
        worker = await known(app)
        for on_cancel, text in (("finish", "through"), ("cancel", None)):
            gate = Gate()
            with anyio.move_on_after(1):
                await worker.options(on_cancel=on_cancel).call(Worker.hold, gate)  # type: ignore[arg-type]
            gate.open()
            await at_rest()
            assert await worker.call(Worker.double, 1) == 2, text
        assert worker.account().balanced
        assert app.get_childspec("worker").restarts == 0


async def test_a_deadline_passes_while_its_handler_waits() -> None:
    async with Supervisor("app") as app:
        worker = await known(app)
        gate = Gate()
        for _ in range(3):
            assert await worker.options(timeout=1).call(Worker.double, 2) == 4
            with pytest.raises(CallTimeout, match="in hand 1 s"):
                await worker.options(timeout=1, on_cancel="cancel").call(Worker.hold, gate)
        assert await worker.call(Worker.double, 1) == 2


async def test_a_kill_and_a_stop_reach_a_handler_that_has_begun_so() -> None:
    async with Supervisor("app", intensity=OFTEN) as app, anyio.create_task_group() as group:
        worker = await known(app)
        outcomes = Outcomes(group)
        await outcomes.watch("killed", worker.call(Worker.hold, Gate()))
        worker.kill()
        await at_rest()
        assert isinstance(outcomes.of["killed"], ActorStopped)
        await outcomes.watch("held", worker.call(Worker.hold, gate := Gate()))
        await outcomes.watch("stopped", worker.stop())
        assert not outcomes.of.keys() & {"held", "stopped"}
        gate.open()
        await at_rest()
        assert outcomes.of["held"] == "through"
        assert isinstance(outcomes.of["stopped"], ExitReason)


async def test_one_that_stops_or_kills_itself_in_its_first_step_ends() -> None:
    async def leave(_: Worker) -> str:
        current().stop()
        return "left"

    def kill(_: Worker) -> str:
        current().address.kill()
        return "killed"

    async with Supervisor("app", intensity=OFTEN) as app:
        worker = await known(app, restart="permanent")
        for number in range(1, 4):
            assert await worker.call(leave) == "left"
            await at_rest()
            assert app.get_childspec("worker").incarnation == 1 + number
        for handler in (kill, Worker.double_at_once):
            assert await worker.call(handler, *([] if handler is kill else [1])) in ("killed", 2)
            await at_rest()
        assert worker.account().balanced


@ASYNCIO
async def test_a_cancellation_between_the_first_step_and_the_next_one_is_the_handlers() -> None:
    class Hurried(Worker):
        async def no_time(self) -> str:
            try:
                async with asyncio.timeout(0):
                    await asyncio.sleep(10)
            except TimeoutError:
                return "timed out"
            return "slept"

        async def cancels_itself(self) -> str:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                task.uncancel()
                return "cancelled"
            return "slept"

        async def fails_at_once(self) -> str:
            async def fail() -> None:
                raise Boom

            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(fail())
                    await asyncio.sleep(10)
            except* Boom:
                pass
            return "failed"

        async def waits_for_a_task(self) -> str:
            waited = asyncio.create_task(asyncio.sleep(10))
            try:
                async with asyncio.timeout(0):
                    await waited
            except TimeoutError:
                return "task cancelled" if waited.cancelled() else "task goes on"
            return "slept"

    async with Supervisor("app") as app:
        worker = await app.start(Hurried)
        for _ in range(3):
            for handler, said in (
                (Hurried.no_time, "timed out"),
                (Hurried.cancels_itself, "cancelled"),
                (Hurried.fails_at_once, "failed"),
                (Hurried.waits_for_a_task, "task cancelled"),
            ):
                await at_rest()
                assert await worker.call(handler) == said
                assert await worker.call(Hurried.double, 1) == 2
        assert app.get_childspec("hurried").restarts == 0
        await worker.stop()


@ASYNCIO
async def test_a_scope_of_the_handlers_is_never_its_callers() -> None:
    class Scoped(Worker):
        async def scoped(self) -> object:
            scope = anyio.CancelScope()
            with scope:
                scope.cancel()
            return asyncio.current_task()

    async with Supervisor("app") as app:
        worker = await app.start(Scoped)
        await worker.call(Scoped.scoped)
        for _ in range(3):
            assert await worker.call(Scoped.scoped) is not asyncio.current_task()
            await asyncio.sleep(0)  # it would be cancelled here


@ASYNCIO
async def test_a_step_that_is_nobodys_answers_nothing() -> None:
    async with Supervisor("app") as app:
        worker = await known(app)
        ended: list[Any] = []

        def step() -> None:
            called = worker.call(Worker.double, 2)
            try:
                called.send(None)
            except StopIteration as end:
                ended.append(end.value)
            else:
                ended.append("waits")
            called.close()

        asyncio.get_running_loop().call_soon(step)
        await at_rest()
        assert ended == ["waits"]
        assert await worker.call(Worker.double, 1) == 2
        await worker.stop()


class Single(Worker):
    """Awaits what others await, too, and cancels whom it is told to."""

    async def wait_for(self, shared: Any) -> Any:
        return await shared

    async def do(self, deed: Any) -> None:
        deed()

    def later_wait(self) -> Any:
        return self.hold(Gate())

    async def ask_in_a_scope(self, other: Address[Single]) -> str:
        with anyio.CancelScope() as scope:
            await other.call(Single.do, scope.cancel)
            await anyio.sleep(5)
        return "left"


@ASYNCIO
async def test_a_future_that_others_await_too_is_awaited_by_all_of_them() -> None:
    async with DynamicSupervisor("app") as app:
        actors = [await app.start(Single) for _ in range(3)]
        for actor in actors:
            await actor.call(Single.wait_for, asyncio.sleep(0))
        gates = [Gate() for _ in actors]
        for actor, gate in zip(actors, gates, strict=True):
            await actor.send(Single.hold, gate)
        await at_rest()
        for gate in gates:  # so that there are idle carriers afterwards, one for each
            gate.open()
        await at_rest()
        for actor in actors:
            assert await actor.call(Single.double, 1) == 2
        await at_rest()
        outcomes: list[Any] = []
        shared = asyncio.get_running_loop().create_future()

        async def ask(actor: Address[Single]) -> None:
            outcomes.append(await actor.call(Single.wait_for, shared))

        async def wait() -> None:
            outcomes.append(await shared)

        async with anyio.create_task_group() as group:
            for actor in actors:
                group.start_soon(ask, actor)
                group.start_soon(wait)
            await at_rest()
            shared.set_result(7)
        assert outcomes == [7] * 6


async def test_a_plain_function_that_returns_an_awaitable_can_be_ended() -> None:
    async with Supervisor("app", intensity=OFTEN) as app, anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        for called in (True, False):
            single = await app.start(Single, name=f"single-{called}", on_cancel="cancel")
            for _ in range(2):
                await single.call(Single.double, 1)
                if called:
                    await outcomes.watch("held", single.call(Single.later_wait))
                else:
                    await single.send(Single.later_wait)
                    await at_rest()
                assert single.account().in_hand == 1
                single.kill()
                await at_rest()
                assert single.account().in_hand == 0
            with pytest.raises(CallTimeout):
                await single.options(timeout=1).call(Single.later_wait)
            assert await single.call(Single.double, 1) == 2


async def test_a_handler_that_cancels_a_scope_of_its_caller_cancels_that_and_nothing_else() -> None:
    async with Supervisor("app", intensity=OFTEN) as app:
        one, other = await app.start(Single, name="one"), await app.start(Single, name="other")
        for actor in (one, other):
            assert await actor.call(Single.double, 1) == 2
            await actor.call(Single.do, int)
        await at_rest()
        for _ in range(3):
            with anyio.CancelScope() as scope:
                await one.call(Single.do, scope.cancel)
            await anyio.lowlevel.checkpoint()
            assert await one.call(Single.ask_in_a_scope, other) == "left"
        assert [app.get_childspec(name).restarts for name in ("one", "other")] == [0, 0]


@pytest.mark.parametrize("handler", [Single.double, Single.double_at_once])
async def test_an_actor_that_has_ended_is_pinned_by_nobody(handler: Any) -> None:
    class Argument:
        pass

    class Holder(Single):
        def __init__(self, _: Argument) -> None:
            super().__init__()

    async with Supervisor("app") as app:
        argument = Argument()
        seen = weakref.ref(argument)
        holder = await app.start(Holder, argument, name="holder")
        for _ in range(3):
            assert await holder.call(handler, 1) == 2
        await app.terminate_child("holder")
        await app.delete_child("holder")
        del holder, argument
        await at_rest()
        gc.collect()
        assert seen() is None


async def test_a_stop_iteration_is_a_crash_as_any_other() -> None:
    def stops(_: Single) -> None:
        raise StopIteration

    async with Supervisor("app", intensity=OFTEN) as app:
        single = await app.start(Single)
        for _ in range(3):
            with pytest.raises(ActorCrashed) as crash:
                await single.call(stops)
            assert isinstance(crash.value.__cause__, StopIteration)


@ASYNCIO
@pytest.mark.skipif(sys.version_info < (3, 12), reason="a function can't be marked before Python 3.12")
async def test_what_is_only_marked_as_a_coroutine_function_is_called_as_any_other() -> None:
    class Marked(Single):
        def future(self, number: int) -> Any:
            later = asyncio.get_running_loop().create_future()
            later.set_result(number)
            return later

    inspect.markcoroutinefunction(Marked.future)  # type: ignore[attr-defined,unused-ignore]
    async with Supervisor("app") as app:
        marked = await app.start(Marked)
        for number in range(3):
            assert await marked.call(Marked.future, number) == number


@ASYNCIO
async def test_a_function_that_is_given_other_code_is_called_as_any_other() -> None:
    """As a reloader of modules does it."""

    class Reloaded(Single):
        async def answer(self, number: int) -> Any:
            return number

    def answer(self: Reloaded, number: int) -> Any:
        later = asyncio.get_running_loop().create_future()
        later.set_result(f"{self.__class__.__name__} {number}")
        return later

    async with Supervisor("app") as app:
        reloaded = await app.start(Reloaded)
        for number in range(3):
            assert await reloaded.call(Reloaded.answer, number) == number
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of another kind of code, from Python 3.13 on
            Reloaded.answer.__code__ = answer.__code__
        for number in range(3):
            assert await reloaded.call(Reloaded.answer, number) == f"Reloaded {number}"
