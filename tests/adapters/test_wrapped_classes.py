"""What wraps a class takes `ref()`; what lives in a thread of its own is shared with nobody. Tested: SEMANTICS 75, 76."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from supervise import Address, Supervisor, child, ref, task
from supervise._backends import current_backend
from supervise.adapters.own_thread import own_thread
from supervise.adapters.runnable import runnable
from supervise.adapters.service import service
from supervise.adapters.thread import thread
from tests.real_clock import on_the_real_clock

pytestmark = [pytest.mark.anyio, on_the_real_clock]


class Db:
    async def get(self, key: str) -> str:
        return f"value of {key}"


class Cache:
    def __init__(self, db: Address[Db]) -> None:
        self.db = db


db = child(Db)


async def test_a_task_and_the_adapters_take_it() -> None:
    told: list[str] = []
    all_told = anyio.Event()
    soon = current_backend().from_anywhere()

    def tell(text: str) -> None:  # in any thread
        told.append(text)
        if len(told) == 5:
            soon(all_told.set)

    async def poll(db: Address[Db]) -> None:
        tell(f"task {await db.call(Db.get, 'a')}")
        await anyio.sleep_forever()

    class Runs(Cache):
        async def run(self) -> None:
            tell(f"runnable {await self.db.call(Db.get, 'a')}")
            await anyio.sleep_forever()

    class Served(Cache):
        async def begin(self) -> None:
            tell(f"service {await self.db.call(Db.get, 'a')}")

        async def end(self) -> None: ...

    class Blocks:
        def __init__(self, db: Address[Db], *, other: Address[Db]) -> None:
            tell(f"own_thread {db.path} {other.path}")

        def ask(self) -> None: ...

    def consume(db: Address[Db], stop: Any) -> None:
        tell(f"thread {db.path}")
        stop.wait()

    async with Supervisor(
        "app",
        db,
        child(task(poll, ref(db))),
        child(runnable(Runs, ref(db))),
        child(service(Served, ref(db), start=Served.begin, stop=Served.end)),
        child(own_thread(Blocks, ref(db), other=ref(db))),
        child(thread(consume, ref(db))),
    ):
        with anyio.fail_after(60):
            await all_told.wait()
    assert sorted(told) == [
        "own_thread app/db app/db",
        "runnable value of a",
        "service value of a",
        "task value of a",
        "thread app/db",
    ]


async def test_what_lives_in_a_thread_of_its_own_is_not_shared() -> None:
    class Blocks:
        def query(self) -> int:
            return 1

    async with Supervisor("app", child(own_thread(Blocks), name="db")) as app:
        db: Address[Any] = app.find("db")
        with pytest.raises(TypeError, match=r"app/db has it in a thread of its own.*call\(\)"):
            await db.instance()
