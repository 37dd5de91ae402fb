"""A lending library: a FastAPI service over a pool of database connections, in a supervised tree.

A lost connection crashes the pool, which is restarted. A request waits for it, or gets 503 after 1 s. A bad request is an
answer (404, 409), and restarts nothing. A background task looks for overdue books, and crashes at a card that can't be read.
All of it is in virtual time, and needs no server.
Look for: "library/db #1 ended: crashed", and the statuses around it; "library/check #1 ended: crashed", and the books after it.
"""

import sys
from datetime import date
from typing import Any

import anyio
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from tenacity import wait_fixed

from supervise import ActorCrashed, Address, Restart, Supervisor, child, current, ref, task
from supervise.adapters.service import service
from supervise.adapters.starlette import lifespan
from supervise.health import Endpoint
from supervise.testing import virtual_time

SIZE, TIMEOUT, TODAY = 3, 1.0, date(2024, 5, 2)


class Database:  # outside of the service: it outlives every pool
    def __init__(self) -> None:
        self.up, self.starts = True, 1  # a connection is good until the database starts again
        self.readers: dict[str, str] = {}  # who has which book
        self.due = {"dracula": "2024-04-01", "emma": "2024-05-30", "ulysses": "30 May", "walden": "2024-05-01"}


class Connection:
    def __init__(self) -> None:
        self.start = database.starts
        self.check()

    def check(self) -> None:
        if not database.up or self.start != database.starts:
            raise ConnectionError("no connection to the database")


class Pool:
    opened = busiest = 0  # how many pools there were, and the most connections that were in use at once

    async def open(self) -> None:
        self.idle = [Connection() for _ in range(SIZE)]
        Pool.opened += 1

    async def close(self) -> None:
        self.idle.clear()

    async def query(self) -> None:
        connection = self.idle.pop()  # there is one: concurrency= lets no more handlers run
        Pool.busiest = max(Pool.busiest, SIZE - len(self.idle))
        try:
            await anyio.sleep(0.02)
            connection.check()
        finally:
            self.idle.append(connection)

    async def lend(self, book: str, reader: str) -> str:
        await self.query()
        if book not in database.due:
            raise HTTPException(404, f"there is no {book}")
        if database.readers.setdefault(book, reader) != reader:  # the same reader may ask twice: redeliver= does so
            raise HTTPException(409, f"{database.readers[book]} has {book}")
        return f"{reader} has {book}"

    async def due(self, book: str) -> str:
        await self.query()
        return database.due[book]


async def check_overdue(db: Address[Pool]) -> None:
    first = last.value if (last := current().last_checkpoint) else 0
    for number, book in enumerate(list(database.due)[first:], first + 1):
        current().checkpoint(number)  # the next life passes over a card that can't be read
        if date.fromisoformat(await db.call(Pool.due, book)) < TODAY:
            print(f"life {current().incarnation} of the check: {book} is overdue")
            overdue.append(book)
    await anyio.sleep_forever()


database, overdue = Database(), list[str]()
pool = service(Pool, start=Pool.open, stop=Pool.close)
again = Restart.permanent(wait=wait_fixed(0.2))
db = child(pool, name="db", concurrency=SIZE, expects=(HTTPException,), redeliver=1, restart=again)
check = child(task(check_overdue, ref(db)), name="check", required=False)
tree = Supervisor("library", db, check)
api = FastAPI(lifespan=lifespan(tree, db=db))
api.mount("/health", Endpoint(tree))


@api.post("/lend/{book}/{reader}")
async def lend(book: str, reader: str, request: Request) -> str:
    address: Address[Pool] = request.state.db
    return await address.options(timeout=TIMEOUT).call(Pool.lend, book, reader)


@api.exception_handler(TimeoutError)
@api.exception_handler(ActorCrashed)
async def unavailable(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 503)


async def main() -> None:
    before, during, after = list[int](), list[int](), list[int]()
    async with api.router.lifespan_context(api) as state, anyio.create_task_group() as group:

        async def ask(statuses: list[int], request: str) -> None:  # needs no server
            answer: list[Any] = []

            async def send(message: Any) -> None:
                answer.append(message)

            receive: Any = anyio.sleep_forever  # no request has a body
            method, path = request.split()
            scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}
            await api(scope | {"state": dict(state or {})}, receive, send)
            print(request, answer[0]["status"], answer[-1]["body"].decode().strip())
            statuses.append(answer[0]["status"])

        for request in ("POST /lend/emma/ada", "POST /lend/emma/bob", "POST /lend/hamlet/ada", "GET /health/ready"):
            await ask(before, request)
        database.up = False
        group.start_soon(ask, during, "POST /lend/ulysses/ada")  # it meets the lost connection, and waits for too long
        await anyio.sleep(TIMEOUT + 0.3)
        await ask(during, "GET /health/live")
        await ask(during, "GET /health/ready")
        group.start_soon(ask, during, "POST /lend/walden/bob")  # it waits for the next pool
        await anyio.sleep(0.3)
        database.up, database.starts = True, 2
        await anyio.sleep(0.7)
        database.starts = 3  # the connections are lost again, and six requests at once meet that
        async with anyio.create_task_group() as six:
            for reader in ("ann", "bea", "cem", "dan", "eve", "flo"):
                six.start_soon(ask, after, f"POST /lend/ulysses/{reader}")
        await ask(after, "GET /health/ready")
    print(f"{Pool.opened} pools were opened, with {Pool.busiest} connections in use; overdue: {overdue}")
    assert (Pool.opened, Pool.busiest, overdue) == (3, SIZE, ["dracula", "walden"])
    assert (before, during) == ([200, 409, 404, 200], [503, 200, 503, 200])
    assert sorted(after) == [200] * 2 + [409] * 5


if __name__ == "__main__":
    virtual_time.run(sys.argv[1] if len(sys.argv) > 1 else "asyncio", main)
