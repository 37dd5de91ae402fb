"""Trees that no `async with` can be put around: fixtures, unittest, notebooks, a prompt.

Tested (SEMANTICS 66): `open`, `close`, `wait` and `serve` in any task; who is told what ended the tree, once; a start that
fails or is cancelled; the end of the loop without `close`; an `async with` that is left in another task, and its cure.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import unittest
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from supervise import Address, GaveUp, Intensity, RunningSupervisor, StartFailed, Supervisor, WouldDeadlock, child
from supervise.testing import virtual_time
from tests.doubles import Boom, Scribe

pytestmark = pytest.mark.anyio

_NOBODY: list[str] = []  # reads this log


class Guest:
    """Says when it begins and ends."""

    def __init__(self, log: list[str], name: str = "guest") -> None:
        self._log = log
        self._name = name

    async def __aenter__(self) -> Guest:
        self._log.append(f"{self._name} begins")
        return self

    async def __aexit__(self, *_: object) -> None:
        await anyio.sleep(1)
        self._log.append(f"{self._name} ends")

    async def crash(self) -> None:
        raise Boom

    async def close(self, app: RunningSupervisor) -> None:
        await app.close()


def _tree(log: list[str], **options: Any) -> Supervisor:
    return Supervisor("app", child(Guest, log, "a", name="a"), child(Guest, log, "b", name="b"), **options)


async def _in_another_task(function: Any, *args: Any) -> Any:
    results: list[Any] = []
    errors: list[Exception] = []

    async def run() -> None:
        try:
            results.append(await function(*args))
        except Exception as error:
            errors.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
    for error in errors:
        raise error
    return results[0]


async def test_it_is_opened_and_closed_in_tasks_that_have_ended_since_and_stopped_in_order() -> None:
    log: list[str] = []
    tree = _tree(log)
    app: RunningSupervisor = await _in_another_task(tree.open)
    assert app.running
    await _in_another_task(app.close)
    assert log == ["a begins", "b begins", "b ends", "a ends"]
    await app.close()
    await app.wait()
    again = await tree.open()  # the description can run again
    await again.close()
    assert log == ["a begins", "b begins", "b ends", "a ends"] * 2


@pytest.mark.parametrize("first", ["wait", "close"])
async def test_what_ended_it_is_raised_by_whichever_comes_first_and_only_once(first: str) -> None:
    app = await _tree(_NOBODY, intensity=Intensity(0)).open()
    await app.find("a").send(Guest.crash)
    await virtual_time.at_rest()
    await anyio.sleep(5)
    with pytest.raises(GaveUp):
        await (app.wait() if first == "wait" else app.close())
    await app.close()
    await app.wait()


async def test_whoever_waits_for_one_that_is_stopped_hears_of_its_end() -> None:
    log: list[str] = []
    app = await _tree(log).open()
    async with anyio.create_task_group() as group:
        group.start_soon(app.wait)
        await virtual_time.at_rest()
        await app.stop()
    await app.wait()
    await app.close()
    assert log == ["a begins", "b begins", "b ends", "a ends"]


@pytest.mark.parametrize("closes_first", [False, True])
async def test_a_description_runs_again_right_after_a_stop_and_the_first_handle_ends_nothing_of_it(closes_first: bool) -> None:
    log: list[str] = []
    tree = _tree(log)
    first = await tree.open()
    await first.stop()
    if closes_first:
        await first.close()
    second = await tree.open()
    await first.close()
    await first.wait()
    assert second.running
    assert log[4:] == ["a begins", "b begins"]
    await second.stop()
    async with tree as third:
        assert third.running
    await second.close()
    assert tree.running is None
    assert log == ["a begins", "b begins", "b ends", "a ends"] * 3


async def test_what_runs_already_is_refused_with_the_cure() -> None:
    tree = _tree(_NOBODY)
    app = await tree.open()
    for entered in (tree.open, tree.__aenter__):
        with pytest.raises(RuntimeError, match=r"runs already: close\(\) it first"):
            await entered()
    await app.close()
    async with tree as app:
        with pytest.raises(RuntimeError, match="runs already: leave its `async with` first"):
            await tree.open()
        await app.stop()
        with pytest.raises(RuntimeError, match="runs already: leave its `async with` first"):
            await tree.open()
    await (await tree.open()).close()


async def test_whoever_waits_already_hears_of_a_give_up() -> None:
    app = await _tree(_NOBODY, intensity=Intensity(0)).open()
    async with anyio.create_task_group() as group:
        group.start_soon(app.find("a").send, Guest.crash)
        with pytest.raises(GaveUp):
            await app.wait()
    await app.close()


async def test_if_nobody_is_told_the_log_is(caplog: pytest.LogCaptureFixture) -> None:
    app = await _tree(_NOBODY, intensity=Intensity(0)).open()
    await app.find("a").send(Guest.crash)
    await anyio.sleep(5)
    del app
    gc.collect()
    critical = [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]
    assert len(critical) == 1
    assert "app" in critical[0]
    assert "GaveUp" in critical[0]


async def test_an_open_that_is_cancelled_leaves_nothing() -> None:
    log: list[str] = []

    class Late:
        async def __aenter__(self) -> Late:
            await anyio.sleep(100)
            return self

        async def __aexit__(self, *_: object) -> None: ...

    tree = Supervisor("app", child(Guest, log), child(Late))
    with anyio.move_on_after(10) as scope:
        await tree.open()
    assert scope.cancelled_caught
    assert log == ["guest begins", "guest ends"]
    assert tree.running is None


async def test_ctrl_c_in_an_open_that_is_cancelled_passes_up() -> None:
    class Struck:
        async def __aenter__(self) -> Struck:
            return self

        async def __aexit__(self, *_: object) -> None:
            raise KeyboardInterrupt

    class Late:
        async def __aenter__(self) -> Late:
            await anyio.sleep(100)
            return self

        async def __aexit__(self, *_: object) -> None: ...

    with pytest.raises(KeyboardInterrupt), anyio.move_on_after(10):
        await Supervisor("app", child(Struck), child(Late)).open()


async def test_an_open_that_is_cancelled_as_the_start_fails_has_told_whoever_wanted_to_know(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Fails:
        def __init__(self, opening: anyio.CancelScope) -> None:
            opening.cancel()
            raise Boom

    with anyio.CancelScope() as opening:
        await Supervisor("app", child(Fails, opening)).open()
    assert opening.cancelled_caught
    gc.collect()
    assert not [record for record in caplog.records if record.levelno >= logging.CRITICAL]


async def test_a_start_that_fails_is_raised_by_open_and_leaves_nothing() -> None:
    log: list[str] = []

    def fail() -> Any:
        raise Boom

    tree = Supervisor("app", child(Guest, log), child(fail, name="fails"))
    with pytest.raises(StartFailed) as caught:
        await tree.open()
    assert isinstance(caught.value.__cause__, Boom)
    assert log == ["guest begins", "guest ends"]
    assert tree.running is None


async def test_an_actor_of_the_tree_cant_close_it() -> None:
    app = await Supervisor("app", child(Guest, _NOBODY, expects=(WouldDeadlock,))).open()
    guest: Address[Guest] = app.find("guest")
    with pytest.raises(WouldDeadlock):
        await guest.call(Guest.close, app)
    await app.close()


async def test_close_isnt_for_a_tree_in_a_block() -> None:
    async with Supervisor("app", child(Scribe)) as app:
        with pytest.raises(RuntimeError, match="open"):
            await app.close()


async def test_a_closer_that_is_cancelled_leaves_the_stop_to_go_on() -> None:
    log: list[str] = []
    app = await _tree(log).open()
    with anyio.move_on_after(0.5):
        await app.close()
    await app.wait()
    assert log[-1] == "a ends"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_without_close_the_end_of_the_loop_leaves_neither_a_hang_nor_an_internal_error(
    backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[str] = []
    kept: list[Any] = []

    async def main() -> str:
        kept.append(await _tree(log).open())
        return "done"

    assert virtual_time.run(backend, main) == "done"
    assert log[:2] == ["a begins", "b begins"]
    assert not [record for record in caplog.records if record.levelno >= logging.CRITICAL]


# -- in a task group -----------------------------------------------------------------------------------------------------


async def test_served_in_a_task_group_the_cancellation_of_that_stops_it_in_order() -> None:
    log: list[str] = []
    async with anyio.create_task_group() as group:
        app = await group.start(_tree(log).serve)
        assert app.running
        group.cancel_scope.cancel()
    assert log == ["a begins", "b begins", "b ends", "a ends"]


async def test_served_it_ends_by_stop_and_raises_what_ends_it() -> None:
    async with anyio.create_task_group() as group:
        app = await group.start(_tree(_NOBODY).serve)
        await app.stop()
    with pytest.raises(ExceptionGroup) as caught:
        async with anyio.create_task_group() as group:
            app = await group.start(_tree(_NOBODY, intensity=Intensity(0)).serve)
            await app.find("a").send(Guest.crash)
    assert isinstance(caught.value.exceptions[0], GaveUp)


# -- a block that is left in another task --------------------------------------------------------------------------------


async def test_a_block_left_in_another_task_is_refused_with_the_cure_when_the_tree_is_stopped() -> None:
    log: list[str] = []
    tree = _tree(log)
    await tree.__aenter__()
    with pytest.raises(RuntimeError, match=r"open\(\).*close\(\)"):
        await _in_another_task(tree.__aexit__, None, None, None)
    assert log == ["a begins", "b begins", "b ends", "a ends"]
    await tree.__aexit__(None, None, None)  # the task that has entered can still leave
    async with tree as app:
        assert app.running
    assert log == ["a begins", "b begins", "b ends", "a ends"] * 2


# -- where it is used ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _fixture(log: list[str]) -> AsyncGenerator[RunningSupervisor]:
    app = await _tree(log).open()
    try:
        yield app
    finally:
        await app.close()


async def test_a_fixture_whose_halves_run_in_two_tasks() -> None:
    log: list[str] = []
    fixture = _fixture(log)
    app: RunningSupervisor = await _in_another_task(fixture.__aenter__)
    assert app.find("a").path == "app/a"
    await _in_another_task(fixture.__aexit__, None, None, None)
    assert log[-1] == "a ends"


@pytest.fixture
async def opened(anyio_backend: Any) -> AsyncIterator[RunningSupervisor]:
    app = await Supervisor("app", child(Scribe)).open()
    yield app
    await app.close()


async def test_an_anyio_fixture(opened: RunningSupervisor) -> None:
    assert await opened.find("scribe").call(Scribe.note, 1) == 1


def test_a_unittest_case() -> None:
    class Case(unittest.IsolatedAsyncioTestCase):
        async def asyncSetUp(self) -> None:
            self.app = await Supervisor("app", child(Scribe)).open()

        async def asyncTearDown(self) -> None:
            await self.app.close()

        async def test_it(self) -> None:
            assert await self.app.find("scribe").call(Scribe.note, 1) == 1

    result = unittest.TestResult()
    Case("test_it").run(result)
    assert result.testsRun == 1
    assert result.errors == result.failures == []


def test_a_prompt_where_each_line_is_a_run_of_the_loop() -> None:
    loop = asyncio.new_event_loop()
    log: list[Any] = []
    try:
        app = loop.run_until_complete(Supervisor("app", child(Scribe, log)).open())
        scribe = app.find("scribe")
        assert loop.run_until_complete(scribe.call(Scribe.note, 1)) == 1
        loop.run_until_complete(scribe.send(Scribe.note, 2))
        assert loop.run_until_complete(scribe.call(Scribe.note, 3)) == 3
        loop.run_until_complete(app.close())
        assert not asyncio.all_tasks(loop)
    finally:
        loop.close()
    assert log == [1, 2, 3]


def test_a_loop_that_was_closed_right_after_the_stop_keeps_nobody_from_opening_it_in_another() -> None:
    log: list[str] = []
    tree = _tree(log)

    async def again() -> None:
        async with tree as app:
            await app.stop()

    loop = virtual_time.JumpingLoop()
    app = loop.run_until_complete(tree.open())
    stop = loop.create_task(app.stop())
    stop.add_done_callback(lambda _: loop.stop())  # in the very turn of its end
    loop.run_forever()
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    virtual_time.run("asyncio", again)
    assert log == ["a begins", "b begins", "b ends", "a ends"] * 2


def test_a_block_that_another_loop_hasnt_left_yet_keeps_the_description() -> None:
    tree = _tree(_NOBODY)
    loop = virtual_time.JumpingLoop()
    stopped, leave = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with tree as app:
            await app.stop()
            stopped.set()
            await leave.wait()

    async def second() -> None:
        with pytest.raises(RuntimeError, match="runs already: leave its `async with` first"):
            await tree.open()

    block = loop.create_task(first())
    loop.run_until_complete(stopped.wait())
    asyncio.run(second())
    leave.set()
    loop.run_until_complete(block)
    loop.close()
    assert tree.running is None


def test_a_notebook_whose_cells_are_tasks_of_a_loop_that_runs() -> None:
    cells: dict[str, Any] = {}

    async def begin() -> None:
        cells["app"] = await Supervisor("app", child(Scribe)).open()

    async def use() -> None:
        cells["answer"] = await cells["app"].find("scribe").call(Scribe.note, 1)

    async def end() -> None:
        await cells["app"].close()

    async def kernel() -> None:
        loop = asyncio.get_running_loop()
        for cell in (begin, use, end):
            done = loop.create_future()

            def run(cell: Any = cell, done: asyncio.Future[None] = done) -> None:
                cells["task"] = loop.create_task(cell())
                cells["task"].add_done_callback(lambda task: done.set_result(task.result()))

            loop.call_soon(run)
            await done

    asyncio.run(asyncio.wait_for(kernel(), 30))
    assert cells["answer"] == 1
