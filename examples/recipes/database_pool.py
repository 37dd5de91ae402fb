"""A pool of database connections, as asyncpg and psycopg have it; here over SQLite, asyncio. `pip install aiosqlite`.

Look for: the statements of several callers run beside each other, since the pool was made for that; what the database refuses
is its caller's error; a lost connection is a crash, after which all connections are opened anew, and what was in hand is tried
again. The cache has the address of its sibling by `ref`; a transaction borrows the pool itself, by `instance()`.
"""

import asyncio
import sqlite3
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiosqlite
from tenacity import retry_if_not_exception_type, wait_exponential, wait_random

from supervise import Address, Restart, Supervisor, child, ref
from supervise.adapters.service import service

PATIENT = Restart.permanent(wait=wait_exponential(multiplier=0.05, max=30) + wait_random(0, 0.05))


class ConnectionLost(Exception): ...


class Pool:
    def __init__(self, path: str, size: int) -> None:
        self.path, self.size = path, size
        self.all = list[aiosqlite.Connection]()
        self.free = asyncio.Queue[aiosqlite.Connection]()

    async def open(self) -> None:
        try:
            for _ in range(self.size):
                connection = await aiosqlite.connect(self.path, isolation_level=None)
                self.all.append(connection)
                self.free.put_nowait(connection)
            await self.all[0].execute("create table if not exists stock (item text primary key, count check (count >= 0))")
        except BaseException:
            await self.close()  # this start has failed, and leaves nothing
            raise

    async def close(self) -> None:
        for connection in self.all:
            await connection.close()

    @asynccontextmanager
    async def acquire(self) -> AsyncGenerator[aiosqlite.Connection]:
        connection = await self.free.get()
        try:
            try:
                await connection.execute("select 1")
            except (sqlite3.Error, ValueError) as error:
                raise ConnectionLost(str(error)) from error
            yield connection
        finally:
            self.free.put_nowait(connection)

    async def put(self, item: str, count: int) -> None:
        async with self.acquire() as connection:
            await connection.execute("insert into stock values (?, ?) on conflict do update set count = ?2", (item, count))

    async def count(self, item: str) -> int:
        async with self.acquire() as connection:
            rows = await connection.execute_fetchall("select count from stock where item = ?", (item,))
        return int(next(iter(rows))[0])


class Cache:
    def __init__(self, db: Address[Pool]) -> None:
        self.db, self.known = db, dict[str, int]()

    async def count(self, item: str) -> int:
        if item not in self.known:
            self.known[item] = await self.db.call(Pool.count, item)
        return self.known[item]


async def main() -> None:
    with tempfile.NamedTemporaryFile(suffix=".db") as file:
        pool = service(Pool, file.name, 3, start=Pool.open, stop=Pool.close)
        answers = retry_if_not_exception_type(ConnectionLost)
        db = child(pool, concurrency=10, expects=answers, redeliver=2, restart=PATIENT)
        async with Supervisor("app", db, cache := child(Cache, ref(db))) as app:
            address = app.find(db)
            await asyncio.gather(*(address.call(Pool.put, f"item {n}", n) for n in range(20)))
            try:
                await address.call(Pool.put, "tea", -1)
            except sqlite3.IntegrityError as error:
                print("an answer:", error)
            await (await address.instance()).all[0].close()  # the server hangs up
            counts = await asyncio.gather(*(address.call(Pool.count, f"item {n}") for n in range(20)))
            async with (await address.instance()).acquire() as connection:
                await connection.executescript("begin; update stock set count = count + 1; commit")
            print("after a crash:", counts, " cached:", cached := await app.find(cache).call(Cache.count, "item 7"))
            assert (counts, cached, app.get_childspec("pool").restarts) == ([*range(20)], 8, 1)


if __name__ == "__main__":
    asyncio.run(main())
