"""Backoff: tenacity's wait objects say how long a restart waits, and a call waits with it.

Look for: the connection is lost, and the first three tries to open a new one fail. Each failure doubles the delay. The call
that was sent meanwhile isn't told of any of it; it is answered by the life that works.
"""

import sys
from typing import Self

import anyio
from tenacity import wait_exponential

from supervise import Intensity, Restart, Supervisor
from supervise.events import Decided, Event


class Server:
    """Something outside of the tree: up, then away for three tries, then up again."""

    def __init__(self) -> None:
        self.answers = [True, False, False, False, True]

    def connect(self) -> None:
        if not self.answers.pop(0):
            raise ConnectionRefusedError("nobody listens")


class Client:
    def __init__(self, server: Server) -> None:
        self.server = server

    async def __aenter__(self) -> Self:
        self.server.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def lose_connection(self) -> None:
        raise ConnectionResetError("the server went away")

    async def fetch(self) -> str:
        return "fetched"


async def main() -> None:
    delays: list[float] = []

    def note(event: Event) -> None:
        if isinstance(event, Decided):
            delays.append(event.decision.delay)

    patient = Restart.permanent(wait=wait_exponential(multiplier=0.01, max=0.05))
    async with Supervisor("app", intensity=Intensity(10, per=60), listener=note) as app:
        client = await app.start(Client, Server(), restart=patient)
        await client.send(Client.lose_connection)
        print(await client.call(Client.fetch))
        lives = app.get_childspec("client").incarnation
        print(f"delays: {delays}, lives: {lives}")
        assert delays == [0.01, 0.02, 0.04, 0.05]
        assert lives == 5


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
