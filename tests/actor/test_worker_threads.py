"""Worker threads of a handler, on the real clock: no kill abandons one that still runs.

Tested: SEMANTICS 6, 14 and promise 2 (no two lives overlap, threads included), RUNTIME 4.
"""

from __future__ import annotations

import threading
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from supervise import ActorStopped, Intensity, Supervisor, child, current
from supervise.events import Event, Started, Stopped
from tests.conftest import settle
from tests.members import states
from tests.real_clock import on_the_real_clock

pytestmark = [pytest.mark.anyio, on_the_real_clock]

GUARD = 30.0  # seconds; nothing here takes one


class Job:
    """Blocks a thread until it is released."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.release = threading.Event()
        self.log: list[str] = []

    def run(self) -> str:
        self.begun.set()
        assert self.release.wait(GUARD)
        self.log.append("thread done")
        return "result"

    async def has_begun(self) -> None:
        assert await anyio.to_thread.run_sync(self.begun.wait, GUARD)


class Worker:
    async def work(self, job: Job) -> str:
        return await anyio.to_thread.run_sync(job.run)

    async def work_on(self, job: Job) -> str:
        result = await self.work(job)
        await anyio.lowlevel.checkpoint()  # where a cancellation arrives that the thread held up
        return result

    async def life(self) -> int:
        return current().incarnation


async def test_a_kill_waits_for_the_thread_before_the_next_life_begins() -> None:
    job, again = Job(), anyio.Event()

    def listen(event: Event) -> None:
        if isinstance(event, Stopped | Started):
            job.log.append(str(event).partition(" ended")[0])
        if isinstance(event, Started) and event.incarnation == 2:
            again.set()

    with anyio.fail_after(GUARD):
        async with Supervisor("app", child(Worker, name="w"), listener=listen) as app:
            await app.find("w").send(Worker.work, job)
            await job.has_begun()
            app.kill("w")
            await settle()
            assert job.log == ["app/w #1 started", "app #1 started"]
            job.release.set()
            await again.wait()
            assert job.log[2:] == ["thread done", "app/w #1", "app/w #2 started"]
            assert await app.find("w").call(Worker.life) == 2


async def test_a_brutal_stop_waits_for_the_thread_and_its_call_says_stopped() -> None:
    job = Job()
    outcome: list[Any] = []

    async def call() -> None:
        try:
            outcome.append(await app.find("w").call(Worker.work_on, job))
        except ActorStopped as error:
            outcome.append(error)

    async def terminate() -> None:
        await app.terminate_child("w")
        job.log.append("terminated")

    with anyio.fail_after(GUARD):
        async with Supervisor("app", child(Worker, name="w", stop_within="brutal_kill")) as app:
            async with anyio.create_task_group() as group:
                group.start_soon(call)
                await job.has_begun()
                group.start_soon(terminate)
                await settle()
                assert not job.log
                job.release.set()
    assert job.log == ["thread done", "terminated"]
    assert isinstance(outcome[0], ActorStopped)


async def test_an_ordered_stop_lets_the_thread_finish_and_its_call_has_the_result() -> None:
    job = Job()
    outcome: list[str] = []

    async def call() -> None:
        outcome.append(await app.find("w").call(Worker.work, job))

    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as group:
            worker = child(Worker, name="w", stop_within=GUARD / 2)
            async with Supervisor("app", worker, intensity=Intensity(1, per=1000)) as app:
                group.start_soon(call)
                await job.has_begun()
                group.start_soon(app.stop)
                await settle()
                assert states(app) == {"w": "stopping"}
                job.release.set()
                await app.wait()
    assert outcome == ["result"]
