"""A consumer of a queue, of the kind that arq, dramatiq or an SQS client have: `main()` polls, `shut_down()` asks it to end.

Look for: the poisoned job is buried, and its worker lives on; the lost connection is a crash, after which the job that was in
hand is taken again by the next life; at the end the worker finishes its job before it goes. `Worker` knows nothing of actors.
"""

import sys
from collections import deque
from collections.abc import Callable

import anyio
import anyio.lowlevel
from tenacity import wait_exponential, wait_random

from supervise import Restart, Supervisor, child
from supervise.adapters.runnable import runnable


class Broker:
    """Stands for Redis: what was handed out and isn't acknowledged, it hands out again."""

    def __init__(self, jobs: list[str]) -> None:
        self.waiting, self.in_hand = deque(jobs), list[str]()
        self.done, self.buried, self.losses = list[str](), list[str](), 1

    async def take(self) -> str | None:
        await anyio.sleep(0.001)  # a blocking pop, with its timeout
        if self.waiting:
            self.in_hand.append(self.waiting.popleft())
        return self.in_hand[-1] if self.in_hand else None

    async def settle(self, job: str, to: list[str]) -> None:
        await anyio.sleep(0.001)
        if job == "mail 3" and self.losses:
            self.losses -= 1
            raise ConnectionError("the broker is gone")
        self.in_hand.remove(job)
        to.append(job)

    async def give_back(self) -> None:
        while self.in_hand:
            self.waiting.appendleft(self.in_hand.pop())


class Worker:
    def __init__(self, broker: Broker, work: Callable[[str], object]) -> None:
        self.broker, self.work, self.stopping = broker, work, False

    async def main(self) -> None:
        await self.broker.give_back()  # what a worker before this one had in hand
        while not self.stopping:
            if (job := await self.broker.take()) is None:
                continue
            try:
                self.work(job)
            except Exception:  # of the job, whatever it is; the broker's own errors aren't caught
                await self.broker.settle(job, self.broker.buried)
            else:
                await self.broker.settle(job, self.broker.done)

    def shut_down(self) -> None:
        self.stopping = True


def send(job: str) -> None:
    print(f"sends {job}: {int(job.removeprefix('mail '))}")


async def main() -> None:
    broker = Broker(["mail 1", "mail two", "mail 3", "mail 4"])
    restart = Restart.permanent(
        wait=wait_exponential(multiplier=0.05, max=30) + wait_random(0, 0.05)
    )  # for as long as it takes
    worker = child(runnable(Worker, broker, send, run=Worker.main, stop=Worker.shut_down), restart=restart, stop_within=10)
    restarts = 0
    async with Supervisor("app", worker) as app:
        while broker.waiting or len(broker.done) < 2:  # it has the last one in hand when it is stopped, or is just done with it
            await anyio.lowlevel.checkpoint()
        restarts = app.get_childspec("worker").restarts
    print(f"done: {broker.done}; buried: {broker.buried}; restarts: {restarts}")
    assert (broker.buried, broker.in_hand, restarts) == (["mail two"], [], 1)


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
