"""A `ProcessPoolExecutor` that is broken, since a job has killed its process: a crash, after which there is another executor.

Look for: a broken executor takes all its jobs along, and doesn't say which one it was; so each worker of the pool has an
executor of its own, with one process. What a job raises is its caller's affair; the job that kills its process is tried twice,
and is `ActorCrashed` then; no other job notices. The jobs are plain functions, and the executor's class stays as it is.
"""

import functools
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import anyio
import anyio.to_thread
from tenacity import retry_if_not_exception_type, wait_exponential, wait_random

from supervise import Intensity, Restart, Supervisor, pool
from supervise.adapters.service import service

SPAWN = multiprocessing.get_context("spawn")  # a fork would copy the event loop, and locks that threads hold
PATIENT = Restart.permanent(wait=wait_exponential(multiplier=0.05, max=30) + wait_random(0, 0.05))


def divide(number: int) -> float:
    """A job. It runs in a process."""
    if number == 3:
        os._exit(9)  # as the kernel does it, where memory is short
    return 1 / number


def start(executor: ProcessPoolExecutor) -> None: ...  # it has no start: its process begins with its first job


async def stop(executor: ProcessPoolExecutor) -> None:
    shut_down = functools.partial(executor.shutdown, cancel_futures=True)
    await anyio.to_thread.run_sync(shut_down)  # blocks until the job in hand is done


async def run_divide(executor: ProcessPoolExecutor, number: int) -> float:
    """A message to a worker; it need not be one of its methods."""
    return await anyio.to_thread.run_sync(executor.submit(divide, number).result)


async def main() -> None:
    workers = pool(
        service(functools.partial(ProcessPoolExecutor, 1, SPAWN), start=start, stop=stop),
        name="cpu",
        size=2,
        redeliver=1,
        expects=retry_if_not_exception_type(BrokenProcessPool),  # all else is an answer
        restart=PATIENT,
        intensity=Intensity(10, per=60),
    )
    async with Supervisor("app", workers) as app:
        results = await app.find(workers).map(run_divide, range(8), return_exceptions=True)
        for number, result in enumerate(results):
            print(number, f"{result:.3f}" if isinstance(result, float) else f"{type(result).__name__}: {result}")
        names = [type(result).__name__ for result in results]
        assert names == ["ZeroDivisionError", "float", "float", "ActorCrashed", "float", "float", "float", "float"]


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
