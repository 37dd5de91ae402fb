"""A tree that is never at rest, for who scrapes it: messages wait, handlers fail, actors come back, mailboxes are full."""

from __future__ import annotations

import anyio

from supervise import DynamicSupervisor, Intensity, MailboxFull, Supervisor, child, current


class Worker:
    """Crashes at each tenth message, and takes its time for all others."""

    async def work(self, number: int) -> int:
        await anyio.sleep(0.002)
        if number % 10 == 9:
            raise ValueError("the tenth")
        return number

    async def linger(self) -> None:
        await anyio.sleep(0.02)


class Client:
    """Asks the worker, floods the slow one, and starts sessions that end."""

    async def __aenter__(self) -> Client:
        nursery = current().nursery
        for task in (self._ask, self._flood, self._wait, self._begin_sessions):
            nursery.start_soon(task)
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def _ask(self) -> None:
        worker = current().find("worker")
        number = 0
        while True:
            number += 1
            await worker.send(Worker.work, number)
            await anyio.sleep(0.005)

    async def _flood(self) -> None:
        slow = current().find("slow")
        while True:
            try:
                slow.try_send(Worker.linger)
            except MailboxFull:
                await anyio.sleep(0.01)

    async def _wait(self) -> None:
        slow = current().find("slow")
        while True:
            await slow.send(Worker.linger)

    async def _begin_sessions(self) -> None:
        sessions = current().supervisor("sessions")
        while True:
            session = await sessions.start(Worker)
            await session.send(Worker.work, 1)
            await sessions.terminate_child(session)
            await anyio.sleep(0.01)


TREE = Supervisor(
    "traffic",
    DynamicSupervisor("sessions"),
    child(Worker, name="worker"),
    child(Worker, name="slow", capacity=4),
    child(Client),
    intensity=Intensity(1000, per=5.0),
)
