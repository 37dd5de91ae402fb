"""The gateway deadlock: what goes out and what comes in share one mailbox.

Look for: the gateway hands requests on to a worker, and the worker hands its answers back. When both mailboxes are full, the
gateway waits for room at the worker and the worker for room at the gateway, for ever; there is no call in it, so nothing
raises. The cure is a mailbox for each direction. Then an answer never waits behind requests, the worker always gets on, and a
full mailbox holds back only those who ask.
"""

import sys

import anyio

from supervise import Address, Supervisor, WeakAddress, current

REQUESTS = 20


class Answers:
    def __init__(self, complete: anyio.Event) -> None:
        self.answers: list[int] = []
        self.complete = complete

    async def answer(self, square: int) -> None:
        self.answers.append(square)
        if len(self.answers) == REQUESTS:
            self.complete.set()


class Worker:
    async def square(self, number: int, back: WeakAddress[Answers]) -> None:
        await back.send(Answers.answer, number * number)


class Gateway(Answers):
    """Both directions in one mailbox: this gets stuck."""

    def __init__(self, complete: anyio.Event, worker: Address[Worker]) -> None:
        super().__init__(complete)
        self.worker = worker

    async def request(self, number: int) -> None:
        await self.worker.send(Worker.square, number, current().address)


class Requests:
    """One direction; the other one has an actor of its own."""

    def __init__(self, worker: Address[Worker], answers: Address[Answers]) -> None:
        self.worker = worker
        self.answers = answers

    async def request(self, number: int) -> None:
        await self.worker.send(Worker.square, number, self.answers.weak)


async def one_mailbox() -> bool:
    complete = anyio.Event()
    async with Supervisor("app") as app:
        worker = await app.start(Worker, capacity=2, stop_within="brutal_kill")
        gateway = await app.start(Gateway, complete, worker, capacity=2, stop_within="brutal_kill")
        with anyio.move_on_after(0.2):
            async with anyio.create_task_group() as clients:
                for number in range(REQUESTS):
                    clients.start_soon(gateway.recipient(Gateway.request).send, number)
            await complete.wait()
        print(f"one mailbox: {len(gateway)} messages wait at the gateway and {len(worker)} at the worker, for each other")
    return complete.is_set()


async def one_for_each_direction() -> bool:
    complete = anyio.Event()
    async with Supervisor("app") as app:
        worker = await app.start(Worker, capacity=2)
        answers = await app.start(Answers, complete, capacity=2)
        requests = await app.start(Requests, worker, answers, capacity=2)
        async with anyio.create_task_group() as clients:
            for number in range(REQUESTS):
                clients.start_soon(requests.recipient(Requests.request).send, number)
        await complete.wait()
        print(f"one for each direction: {len(await answers.call(lambda actor: actor.answers))} answers")
    return complete.is_set()


async def main() -> None:
    stuck = not await one_mailbox()
    done = await one_for_each_direction()
    assert (stuck, done) == (True, True)


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
