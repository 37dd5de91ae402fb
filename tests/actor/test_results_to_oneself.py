"""What an actor has for itself always arrives: results of `pipe_to`, and what its own tasks send to it.

Tested: SEMANTICS 57.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Generator
from contextvars import copy_context
from typing import Any, Self

import anyio
import pytest

from supervise import (
    ActorStopped,
    Address,
    Crashed,
    Ended,
    ExitKind,
    Intensity,
    Supervisor,
    child,
    concurrent,
    current,
    open_mailbox,
)
from supervise._backends import current_backend
from supervise.testing.virtual_time import at_rest
from tests.doubles import Boom, Gate, Outcomes, Scribe, fill

pytestmark = pytest.mark.anyio


async def after(seconds: float, result: Any = "late") -> Any:
    await anyio.sleep(seconds)
    if isinstance(result, Exception):
        raise result
    return result


class Asker(Scribe):
    def pipe(self, awaitable: Awaitable[Any]) -> None:
        current().pipe_to(Asker.note, awaitable)

    def pipe_or_fail(self, awaitable: Awaitable[Any]) -> None:
        current().pipe_to(Asker.note, awaitable, failed=Asker.sorry)

    def sorry(self, error: Exception) -> None:
        self.log.append(type(error).__name__)

    def task(self, function: Callable[[], Any]) -> None:
        current().nursery.start_soon(function)


async def send_to_oneself(*entries: Any) -> None:
    for entry in entries:
        await current().address.send(Asker.note, entry)


RESULTS: list[tuple[Callable[[Asker, Awaitable[Any]], None], Any, Any]] = [
    (Asker.pipe, "late", "late"),
    (Asker.pipe_or_fail, Boom(), "Boom"),
]


@pytest.mark.parametrize(("how", "result", "arrives"), RESULTS)
async def test_a_stop_with_grace_awaits_begun_results(how: Any, result: Any, arrives: Any) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Asker, log, restart="transient")) as app:
        asker: Address[Asker] = app.find("asker")
        await asker.send(how, after(2, result))
        await at_rest()
        begun = anyio.current_time()
        assert (await asker.stop(grace=5)).kind is ExitKind.NORMAL
        assert anyio.current_time() - begun == pytest.approx(2)
        assert log == [arrives]
        assert asker.account() == (2, 2, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(("how", "result", "arrives"), RESULTS)
async def test_a_drained_actor_awaits_begun_results(how: Any, result: Any, arrives: Any) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Asker, log, drain=True)) as app:
        asker: Address[Asker] = app.find("asker")
        await asker.send(how, after(2, result))
        await at_rest()
        begun = anyio.current_time()
        await app.terminate_child("asker")
        assert anyio.current_time() - begun == pytest.approx(2)
        assert log == [arrives]
        assert asker.account() == (2, 2, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(("how", "result", "arrives"), RESULTS)
async def test_the_last_dropped_address_awaits_begun_results(how: Any, result: Any, arrives: Any) -> None:
    log: list[Any] = []
    mailbox, asker = open_mailbox(Asker)
    async with anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("run", mailbox.run(Asker, log))
        await asker.send(how, after(2, result))
        await at_rest()
        asker.close()
        await at_rest()
        assert outcomes.of == {}
        await anyio.sleep(2)
        await at_rest()
        assert log == [arrives]
        assert isinstance(outcomes.of["run"], Ended)
        assert mailbox.account() == (2, 2, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("overflow", ["wait", "reject", "drop_oldest", "drop_newest"])
@pytest.mark.parametrize(("how", "result", "arrives"), RESULTS)
async def test_a_full_mailbox_does_not_refuse_results(overflow: Any, how: Any, result: Any, arrives: Any) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Asker, log, capacity=1, overflow=overflow)) as app:
        asker: Address[Asker] = app.find("asker")
        for _ in range(3):
            await asker.send(how, after(1, result))
            await at_rest()
        gate = await fill(asker, "there")
        await anyio.sleep(2)
        assert asker.account().queued == 4
        gate.open()
        await at_rest()
        assert log == ["there", *[arrives] * 3]
        assert asker.account().balanced
        assert asker.account().dead_lettered == 0


async def test_a_begun_result_waits_no_longer_than_the_grace() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Asker, log, restart="transient")) as app:
        asker: Address[Asker] = app.find("asker")
        await asker.send(Asker.pipe, after(math.inf))
        await at_rest()
        begun = anyio.current_time()
        assert (await asker.stop(grace=3)).kind is ExitKind.KILLED
        assert anyio.current_time() - begun == pytest.approx(3)
        await app.terminate_child("asker")
        assert log == []
        assert asker.account().balanced


async def test_a_begun_result_waits_no_longer_than_stop_within() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Asker, log, drain=True, stop_within=1)) as app:
        asker: Address[Asker] = app.find("asker")
        await asker.send(Asker.pipe, after(math.inf))
        await at_rest()
        begun = anyio.current_time()
        await app.terminate_child("asker")
        assert anyio.current_time() - begun == pytest.approx(1)
        assert log == []
        assert asker.account() == (1, 1, 0, 0, 0, 0, 0)


async def test_a_stop_without_draining_awaits_no_result() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Asker, log)) as app:
        asker: Address[Asker] = app.find("asker")
        await asker.send(Asker.pipe, after(2))
        await at_rest()
        begun = anyio.current_time()
        await app.terminate_child("asker")
        assert anyio.current_time() == begun
        await anyio.sleep(5)
        assert log == []


async def test_closing_cancels_every_and_awaits_no_other_task() -> None:
    log: list[Any] = []
    ended: list[float] = []

    def begin(_: Asker) -> None:
        current().every(0.5, Asker.note, "tick")
        current().nursery.start_soon(sleep_long)

    async def sleep_long() -> None:
        try:
            await anyio.sleep(1000)
        finally:
            ended.append(anyio.current_time())

    async with Supervisor("app", child(Asker, log, drain=True)) as app:
        asker: Address[Asker] = app.find("asker")
        await asker.send(begin)
        await asker.send(Asker.pipe, after(2))
        await at_rest()
        begun = anyio.current_time()
        await app.terminate_child("asker")
        assert log == ["late"]
        assert ended == [pytest.approx(begun + 2)]
        assert asker.account().balanced


async def test_several_results_and_those_that_they_begin_in_turn_all_arrive() -> None:
    log: list[Any] = []

    def again(self: Asker, left: int) -> None:
        self.log.append(left)
        if left:
            current().pipe_to(again, after(0.5, left - 1))

    async with Supervisor("app", child(Asker, log, drain=True)) as app:
        asker: Address[Asker] = app.find("asker")
        for n in range(5):
            await asker.send(Asker.pipe, after(n / 10, f"n{n}"))
        await asker.send(again, 3)
        await at_rest()
        await app.terminate_child("asker")
        assert [entry for entry in log if isinstance(entry, str)] == [f"n{n}" for n in range(5)]
        assert [entry for entry in log if isinstance(entry, int)] == [3, 2, 1, 0]
        assert asker.account().balanced


# -- what a nursery task sends --------------------------------------------------------------------------------------------


async def test_what_a_nursery_task_sends_arrives_through_a_stop_with_grace() -> None:
    log: list[Any] = []

    async def later() -> None:
        await anyio.sleep(1)
        await send_to_oneself("a", "b")
        current().address.try_send(Asker.note, "c")
        log.append(await current().address.call(Asker.note, "d"))

    async with Supervisor("app", child(Asker, log, restart="transient")) as app:
        asker: Address[Asker] = app.find("asker")
        await asker.send(Asker.task, later)
        await at_rest()
        assert (await asker.stop(grace=5)).kind is ExitKind.NORMAL
        assert log == ["a", "b", "c", "d", 4]
        with pytest.raises(ActorStopped):
            await asker.send(Asker.note, "foreign")
        assert asker.account().balanced


async def test_what_a_task_of_a_former_life_sends_while_the_present_one_is_stopped_is_refused() -> None:
    """It has left the nursery, as what a framework starts may do, and took its context along."""
    log: list[Any] = []
    go = anyio.Event()

    async def former() -> None:
        me = current().address
        await go.wait()
        try:
            await me.send(Asker.note, "former")
        except ActorStopped:
            log.append("refused")

    async def escape() -> None:
        current_backend().run_apart(former, copy_context())

    async with Supervisor("app", child(Asker, log)) as app, anyio.create_task_group() as group:
        asker: Address[Asker] = app.find("asker")
        await asker.send(Asker.task, escape)
        await at_rest()
        await asker.send(Asker.crash)
        gate = await fill(asker, "second")
        group.start_soon(lambda: asker.stop(grace=5))
        await at_rest()
        go.set()
        await at_rest()
        gate.open()
        await at_rest()
    assert log == ["refused", "second"]


async def test_what_a_nursery_task_sends_arrives_through_a_drain_as_long_as_that_goes_on() -> None:
    log: list[Any] = []

    async def later() -> None:
        await anyio.sleep(1)
        await send_to_oneself("task")

    async with Supervisor("app", child(Asker, log, drain=True)) as app:
        asker: Address[Asker] = app.find("asker")
        await asker.send(Asker.task, later)
        await asker.send(Asker.pipe, after(2))
        await at_rest()
        await app.terminate_child("asker")
        assert log == ["task", "late"]
        assert asker.account() == (4, 4, 0, 0, 0, 0, 0)


async def test_what_a_nursery_task_sends_arrives_though_the_last_address_is_gone() -> None:
    log: list[Any] = []
    mailbox, asker = open_mailbox(Asker)

    async def later(weak: Any) -> None:
        await anyio.sleep(1)
        await weak.send(Asker.note, "task")

    async with anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("run", mailbox.run(Asker, log))
        await asker.send(Asker.pipe, after(2))
        await asker.send(lambda _: current().nursery.start_soon(later, current().address))
        await at_rest()
        asker.close()
        await anyio.sleep(3)
        assert log == ["task", "late"]
        assert isinstance(outcomes.of["run"], Ended)


async def test_a_nursery_tasks_send_waits_for_room_like_any_other() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Asker, log, capacity=3)) as app:
        asker: Address[Asker] = app.find("asker")
        gate = Gate()
        await asker.send(Asker.task, lambda: send_to_oneself(*range(20)))
        await asker.send(Asker.hold, gate)
        await at_rest()
        assert asker.account().queued == 3
        gate.open()
        await at_rest()
        assert log == list(range(20))


async def test_a_nursery_task_that_waits_for_room_goes_on_through_a_stop_with_grace() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Asker, log, capacity=2, restart="transient")) as app, anyio.create_task_group() as group:
        asker: Address[Asker] = app.find("asker")
        gate, outcomes = Gate(), Outcomes(group)
        await asker.send(Asker.task, lambda: send_to_oneself(*range(10)))
        await asker.send(Asker.hold, gate)
        await at_rest()
        await outcomes.watch("foreign", asker.send(Asker.note, "foreign"))
        await outcomes.watch("stop", asker.stop(grace=5))
        assert isinstance(outcomes.of["foreign"], ActorStopped)
        gate.open()
        await at_rest()
        assert log == list(range(10))
        assert outcomes.of["stop"].kind is ExitKind.NORMAL
        assert asker.account().balanced


# -- after the end --------------------------------------------------------------------------------------------------------


class Leaver(Asker):
    """Has something for itself when it is too late."""

    def __init__(self, log: list[Any], seconds: float = 0) -> None:
        super().__init__(log)
        self._seconds = seconds

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        current().pipe_to(Leaver.note, after(self._seconds, "piped"))
        current().nursery.start_soon(send_to_oneself, "task")
        if not current().stopping:
            current().address.try_send(Leaver.note, "hook")


@pytest.mark.parametrize("seconds", [0, 1])
async def test_what_comes_after_the_end_is_a_counted_dead_letter(seconds: float) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Leaver, log, seconds)) as app:
        leaver: Address[Leaver] = app.find("leaver")
        await app.terminate_child("leaver")
        assert log == []
        assert leaver.account() == (2, 0, 0, 2, 0, 0, 0)
        letters = app.dead_letters()
        assert sorted(letter.message for letter in letters) == ["Scribe.note(str)", "Scribe.note(str)"]
        assert {letter.why for letter in letters} == {"it came after the end of its actor"}


async def test_what_comes_in_an_exit_hook_after_a_crash_is_handled_by_the_next_life() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Leaver, log, 1)) as app:
        leaver: Address[Leaver] = app.find("leaver")
        await leaver.send(Leaver.crash)
        await anyio.sleep(2)
        assert sorted(log) == ["hook", "piped", "task"]
        await app.terminate_child("leaver")
        assert leaver.account().balanced


async def test_what_comes_in_an_exit_hook_after_a_stop_by_address_is_handled_by_the_life_that_follows() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Leaver, log, 1)) as app:
        leaver: Address[Leaver] = app.find("leaver")
        await leaver.stop()
        await anyio.sleep(2)
        assert {"piped", "task"} <= {*log}
        await app.terminate_child("leaver")
        assert leaver.account().balanced


# -- in every phase -------------------------------------------------------------------------------------------------------


class Phases(Asker):
    """Begins a result wherever its own code runs."""

    @classmethod
    async def made(cls, log: list[Any]) -> Phases:
        current().pipe_to(Phases.note, after(1, "factory"))
        return cls(log)

    async def __aenter__(self) -> Self:
        current().pipe_to(Phases.note, after(1, "enter hook"))
        return self

    async def __aexit__(self, *_: object) -> None:
        current().pipe_to(Phases.note, after(1, "exit hook"))

    async def handler(self) -> None:
        current().pipe_to(Phases.note, after(1, "handler"))

    @concurrent
    async def beside(self) -> None:
        current().pipe_to(Phases.note, after(1, "concurrent handler"))

    async def in_a_task(self) -> None:
        current().nursery.start_soon(self._task)

    async def _task(self) -> None:
        current().pipe_to(Phases.note, after(1, "nursery task"))


async def test_pipe_to_works_in_every_phase() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Phases.made, log, name="phases")) as app:
        phases: Address[Phases] = app.find("phases")
        for handler in (Phases.handler, Phases.beside, Phases.in_a_task):
            await phases.send(handler)
        await anyio.sleep(1)
        await at_rest()
        assert sorted(log) == ["concurrent handler", "enter hook", "factory", "handler", "nursery task"]
        log.clear()
        phases.kill()
        await at_rest()
        assert log == []
        await phases.send(Phases.crash)
        await anyio.sleep(3)
        assert "exit hook" in log
        assert phases.account().balanced


async def test_a_result_that_raises_crashes_the_actor() -> None:
    mailbox, asker = open_mailbox(Asker)
    await asker.send(Asker.pipe, after(1, Boom("piped")))
    outcome = await mailbox.run(Asker)
    assert isinstance(outcome, Crashed)
    assert "piped" in str(outcome.reason)
    mailbox.close()


class Done:
    """An awaitable that is done already."""

    def __await__(self) -> Generator[Any, Any, str]:
        yield from ()
        return "done"


async def test_a_result_that_is_there_already_comes_in_its_turn() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Asker, log, drain=True)) as app:
        asker: Address[Asker] = app.find("asker")
        await asker.send(Asker.pipe, Done())
        await asker.send(Asker.note, "next")
        await at_rest()
        assert sorted(log) == ["done", "next"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_result_that_is_cancelled_by_others_is_a_crash_and_keeps_nobody_waiting() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Asker, log, drain=True), intensity=Intensity(5)) as app:
        asker: Address[Asker] = app.find("asker")
        for failing in (Asker.pipe, Asker.pipe_or_fail):
            task = asyncio.ensure_future(anyio.sleep(100))
            await asker.send(failing, task)
            await at_rest()
            task.cancel()
            await at_rest()
        assert await asker.call(lambda _: current().incarnation) == 3
        begun = anyio.current_time()
        await app.terminate_child("asker")
        assert anyio.current_time() == begun
        assert log == []
