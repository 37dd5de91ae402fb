"""aiotools: its Supervisor keeps the siblings of a crashed task; the restart and the mailbox are written by hand."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from typing import Any, Final

from tests.benchmarks.actor import Counter
from tests.benchmarks.sample import Sample, Stopwatch, Workload, expect


async def crash(n: int) -> Sample:
    watch = Stopwatch()
    queue: asyncio.Queue[Any] = asyncio.Queue(1000)
    running: list[asyncio.Task[None]] = []

    async def life() -> None:
        counter = Counter()
        while True:
            handler, amount, reply = await queue.get()
            result = await handler(counter, amount)
            if reply is not None:
                reply.set_result(result)

    def start() -> None:
        task: asyncio.Task[None] = scope.create_task(life())
        running[:] = [task]
        task.add_done_callback(ended)

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            start()

    scope: Any
    async with importlib.import_module("aiotools").Supervisor() as scope:
        start()
        with watch:
            for _ in range(n):
                await queue.put((Counter.crash, 1, None))
                reply: asyncio.Future[int] = asyncio.get_running_loop().create_future()
                await queue.put((Counter.add, 1, reply))
                expect(await reply, 1)
        running[0].cancel()
    return watch.per(n)


WORKLOADS: Final[Mapping[str, Workload]] = {"crash": crash}
