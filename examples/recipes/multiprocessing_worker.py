"""A `multiprocessing.Process` that works for an actor, through a pipe. POSIX.

Look for: what the work raises is an answer; a process that is killed, as the kernel does where memory is short, is a crash, and
the next life has another process; the request in hand is tried again. At a stop the process is asked to go, and then killed.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
from typing import Any

import anyio
import anyio.to_thread
from tenacity import retry_if_not_exception_type, wait_exponential, wait_random

from supervise import Restart, Supervisor, child
from supervise.adapters.service import service

SPAWN = multiprocessing.get_context("spawn")  # a fork would copy the event loop, and locks that threads hold
PATIENT = Restart.permanent(wait=wait_exponential(multiplier=0.05, max=30) + wait_random(0, 0.05))


def work(pipe: Any) -> None:
    """In the process: one request after the other, until the pipe is closed."""
    with contextlib.suppress(EOFError):
        while True:
            number = pipe.recv()
            try:
                pipe.send((10_000 // number, None))
            except Exception as error:
                pipe.send((None, error))


class WorkerDied(Exception): ...


class Worker:
    def __init__(self) -> None:
        self.pipe, self.far_end = SPAWN.Pipe()
        self.process = SPAWN.Process(target=work, args=(self.far_end,), daemon=True)
        self.dead = anyio.Event()

    async def start(self) -> None:
        await anyio.to_thread.run_sync(self.process.start)
        self.far_end.close()  # so that the pipe ends with the process

    async def wait(self) -> None:
        await anyio.wait_readable(self.process.sentinel)
        self.dead.set()
        self.process.join()
        raise WorkerDied(f"its exit code is {self.process.exitcode}")

    async def stop(self) -> None:
        self.pipe.close()
        self.process.terminate()
        with anyio.move_on_after(2):
            await self.dead.wait()
        self.process.kill()
        self.process.join()

    async def divide(self, number: int) -> int:
        try:
            self.pipe.send(number)
            await anyio.wait_readable(self.pipe.fileno())
            result, error = self.pipe.recv()
        except (EOFError, OSError) as gone:
            raise WorkerDied("its pipe is closed") from gone
        if error is not None:
            raise error
        return int(result)


async def main() -> None:
    divider = service(Worker, start=Worker.start, stop=Worker.stop, wait=Worker.wait)
    answers = retry_if_not_exception_type(WorkerDied)  # whatever else is raised
    async with Supervisor("app", worker := child(divider, expects=answers, redeliver=2, restart=PATIENT)) as app:
        address = app.find(worker)
        try:
            await address.call(Worker.divide, 0)
        except ZeroDivisionError as error:
            print("an answer:", error)
        os.kill((await address.instance()).process.pid or 0, signal.SIGKILL)
        print("after a crash:", hundred := await address.call(Worker.divide, 100))
        assert (hundred, app.get_childspec("worker").restarts) == (100, 1)


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
