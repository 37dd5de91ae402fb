"""mode: a service under a OneForOneSupervisor. It has no mailbox; the hand-written queue and future are its mailbox here."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from typing import Any, Final

from tests.benchmarks.actor import Counter
from tests.benchmarks.sample import Sample, Stopwatch, Workload, expect


def _service(queue: asyncio.Queue[Any]) -> Any:
    service: Any = importlib.import_module("mode").Service

    async def run(self: Any) -> None:
        counter = Counter()
        while not self.should_stop:
            handler, amount, reply = await queue.get()
            result = await handler(counter, amount)
            if reply is not None:
                reply.set_result(result)

    return type("CounterService", (service,), {"run": service.task(run)})()


async def crash(n: int) -> Sample:
    supervisors: Any = importlib.import_module("mode.supervisors")
    queue: asyncio.Queue[Any] = asyncio.Queue(1000)
    supervisor = supervisors.OneForOneSupervisor(max_restarts=1e9, over=1e9)
    supervisor.add(_service(queue))  # one that is given to the constructor is only looked at every 5 s
    await supervisor.start()
    await asyncio.sleep(0.05)  # a crash before the supervisor waits for the first time is only seen after 5 s
    with Stopwatch() as watch:
        for _ in range(n):
            await queue.put((Counter.crash, 1, None))
            reply: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            await queue.put((Counter.add, 1, reply))
            expect(await reply, 1)
    await supervisor.stop()
    return watch.per(n)


WORKLOADS: Final[Mapping[str, Workload]] = {"crash": crash}
