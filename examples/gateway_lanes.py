"""The gateway deadlock: what comes in and what goes out share one queue.

Look for: the gateway hands requests on to a worker, and the worker hands its answers back. When both mailboxes are full, the
gateway waits for room at the worker and the worker for room at the gateway, for ever; there is no call in it, so nothing
raises. The cure is a lane for the answers: they have room of their own, and are handled before the next request. So the worker
always gets on, and a full mailbox holds back only those who ask. The view that the gateway gives away says which lane to take.
"""

import sys

import anyio

from supervise import Address, Supervisor, WeakAddress, current

REQUESTS = 20


class Worker:
    async def square(self, number: int, back: "WeakAddress[Gateway]") -> None:
        await back.send(Gateway.answer, number * number)


class Gateway:
    def __init__(self, worker: Address[Worker], lane: str | None, complete: anyio.Event) -> None:
        self.worker = worker
        self.lane = lane
        self.complete = complete
        self.answers: list[int] = []

    async def request(self, number: int) -> None:
        await self.worker.send(Worker.square, number, current().address.options(lane=self.lane))

    async def answer(self, square: int) -> None:
        self.answers.append(square)
        if len(self.answers) == REQUESTS:
            self.complete.set()


async def gets_through(lanes: tuple[str, ...]) -> bool:
    complete = anyio.Event()
    async with Supervisor("app") as app:
        worker = await app.start(Worker, capacity=2, stop_within="brutal_kill")
        lane = lanes[0] if lanes else None
        gateway = await app.start(Gateway, worker, lane, complete, capacity=2, lanes=lanes, stop_within="brutal_kill")
        with anyio.move_on_after(10 if lanes else 0.2):
            async with anyio.create_task_group() as clients:
                for number in range(REQUESTS):
                    clients.start_soon(gateway.recipient(Gateway.request).send, number)
            await complete.wait()
        state = "all is answered" if complete.is_set() else "the two wait for each other"
        print(f"lanes {lanes}: {state}; {len(gateway)} messages wait at the gateway, {len(worker)} at the worker")
    return complete.is_set()


async def main() -> None:
    without = await gets_through(())
    with_lanes = await gets_through(("answers", "requests"))
    assert (without, with_lanes) == (False, True)


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
