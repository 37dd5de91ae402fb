"""Threads whose end isn't a plain one, on the real clock: SEMANTICS 10, 63, 64, 65.

Tested: whatever a thread raises is told, StopIteration and GeneratorExit too; KeyboardInterrupt and SystemExit pass up; a loop
that is closed; a fork; native cancellation, which doesn't end the wait for a thread; nothing keeps the last arguments.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import threading
import weakref
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from supervise import ActorCrashed
from supervise._backends import current_backend
from supervise.adapters.handoff import Handoff
from supervise.adapters.own_thread import own_thread
from supervise.adapters.thread import thread
from supervise.events import Stopped
from tests.real_clock import BACKENDS

from .promises import present, tree, witnessed
from .whole_programs import GUARD, line_of, program


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


pytestmark = pytest.mark.anyio


class Odd(BaseException):
    pass


class Rows:
    def fetch(self, error: BaseException) -> None:
        raise error

    def keep(self, what: object) -> str:
        return "kept"


@pytest.mark.parametrize("error", [StopIteration(), GeneratorExit(), asyncio.CancelledError(), Odd("odd")])
async def test_whatever_a_thread_raises_is_a_crash_that_is_told(error: BaseException) -> None:
    def work() -> None:
        raise error

    name = type(error).__name__
    async with witnessed(thread(work, stop=None)) as (_, witness):
        assert (await witness.ended()).reason.detail == f"RuntimeError: {name} was raised in the thread"
    async with tree(own_thread(Rows), on_error="crash") as (_, rows, _w):
        with pytest.raises(ActorCrashed) as crashed:
            await rows.call(Rows.fetch, error)
        assert crashed.value.__cause__ is not None
        assert crashed.value.__cause__.__cause__ is error
        assert await rows.call(Rows.keep, 1) == "kept"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
async def test_what_passes_up_passes_up_from_a_thread(error: BaseException) -> None:
    def work() -> None:
        raise error

    before = present()
    with pytest.raises(type(error)):
        async with witnessed(thread(work, stop=None)) as (app, _):
            await app.wait()
    with pytest.raises(type(error)):
        async with tree(own_thread(Rows)) as (app, rows, _w):
            await rows.send(Rows.fetch, error)
            await app.wait()
    assert present() == before


async def test_a_group_of_what_it_raised_stays_a_group() -> None:
    def work() -> None:
        raise BaseExceptionGroup("both", [ValueError("a"), Odd("b")])

    async with witnessed(thread(work, stop=None)) as (_, witness):
        assert (await witness.ended()).reason.detail == "BaseExceptionGroup(ValueError: a; Odd: b)"


async def test_native_cancellation_does_not_end_the_wait_for_a_thread(anyio_backend: Any) -> None:
    if anyio_backend[0] != "asyncio":
        pytest.skip("asyncio's")
    asked, release = threading.Event(), threading.Event()

    def work(stop: threading.Event) -> None:
        stop.wait(20)
        asked.set()
        release.wait(20)

    before = present()
    async with tree(thread(work), stop_within=math.inf) as (app, _, witness):
        async with anyio.create_task_group() as group:
            group.start_soon(app.terminate_child, "it")
            await anyio.to_thread.run_sync(asked.wait, 20)
            for _ in range(3):
                for task in asyncio.all_tasks():
                    if task.get_name() == "it":
                        task.cancel()
                for _ in range(3):
                    await anyio.lowlevel.checkpoint()
            assert not witness.of(Stopped)
            assert present() != before
            release.set()
        await witness.ended()
        assert present() == before


async def test_an_idle_thread_keeps_no_arguments() -> None:
    class Large:
        pass

    async with tree(own_thread(Rows)) as (_, rows, _w):
        large = Large()
        seen = weakref.ref(large)
        assert await rows.call(Rows.keep, large) == "kept"
        del large
        assert await rows.call(Rows.keep, None) == "kept"
        gc.collect()
        assert seen() is None


def test_a_thread_whose_loop_is_closed_raises_nothing_there(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    loop = asyncio.new_event_loop()
    release = threading.Event()

    async def make() -> Handoff:
        return Handoff(current_backend().from_anywhere())

    ended = loop.run_until_complete(make())

    def work() -> None:
        release.wait(20)
        ended.fail(ValueError("nobody hears it"))
        ended.give(1)

    late = threading.Thread(target=work)
    late.start()
    loop.close()
    release.set()
    late.join(20)
    assert raised == []
    assert not ended.settled


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform doesn't fork")
@pytest.mark.parametrize("end", ["SystemExit", "ValueError"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_forked_process_that_leaves_its_copy_of_the_tree_waits_for_no_thread_of_its_parent(backend: str, end: str) -> None:
    code = f"""
import os, signal, sys, threading
import anyio
from supervise import Intensity, Supervisor, child
from supervise.adapters.own_thread import own_thread
from supervise.adapters.process import process
from supervise.adapters.thread import thread

class Rows:
    def fetch(self):
        return os.getpid()

class Forks:
    def fork(self):
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(20)  # a hang
            raise {end}
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)

def serve(stop):
    stop.wait()

async def main():
    here, children = os.getpid(), []
    children += [child(process(["sleep", "60"]), name="process"), child(own_thread(Rows), name="rows")]
    children += [child(thread(serve), name="thread"), child(Forks, name="forks")]
    try:
        async with Supervisor("app", *children, intensity=Intensity(0)) as app:
            await app.find("forks").call(Forks.fork)
            os._exit(0)  # the two share what their loops wait for, so no end of this one is to be had
    finally:
        if os.getpid() != here:
            os._exit(7)

anyio.run(main, backend={backend!r})
"""
    with program(code) as running:
        assert line_of(running) == "7"
        running.wait(GUARD)
