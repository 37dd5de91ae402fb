"""A tree that tests serve, look at and handle from other processes."""

from __future__ import annotations

import logging
import os
import time

import anyio

from supervise import DynamicSupervisor, Supervisor, child, current

log = logging.getLogger("shop")


class Db:
    async def query(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def boom(self) -> None:
        log.warning("it is about to fail")
        raise ValueError("out of order")


class Clerk:
    """Does what files in its folder ask for, so that another process can make it."""

    def __init__(self) -> None:
        current().nursery.start_soon(self._look)

    async def _look(self) -> None:
        folder = anyio.Path(os.environ["SUPERVISE_TESTS_WISHES"])
        while True:
            if await (folder / "crash").exists():
                await (folder / "crash").unlink()
                await current().find("db").send(Db.boom)
            if await (folder / "block").exists():
                await current().find("blocker").send(Blocker.block, str(folder / "block"))
                return
            await anyio.sleep(0.01)


class Blocker:
    async def block(self, until_gone: str) -> None:
        while os.access(until_gone, os.F_OK):
            time.sleep(0.01)  # noqa: ASYNC251 - it is there to block the loop


TREE = Supervisor(
    "shop",
    child(Db, name="db"),
    child(Blocker, name="blocker"),
    child(Clerk, name="clerk"),
    DynamicSupervisor("rooms"),
)
