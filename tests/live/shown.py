"""A small shop with what on-call meets: who waits for whom, a full mailbox, one that crashes and backs off, many that work."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
from tenacity import wait_fixed

from supervise import ActorCrashed, Address, DynamicSupervisor, Intensity, Restart, RunningSupervisor, Supervisor, child

ROOMS = 12


class Db:
    async def query(self, seconds: float) -> None:
        await anyio.sleep(seconds)


class Orders:
    async def place(self, db: Address[Db], seconds: float) -> None:
        await db.call(Db.query, seconds)


class Web:
    async def get(self, orders: Address[Orders], db: Address[Db], seconds: float) -> None:
        await orders.call(Orders.place, db, seconds)


class Mailer:
    async def post(self, seconds: float) -> None:
        await anyio.sleep(seconds)


class Feed:
    async def read(self) -> None:
        raise OSError("the port is in use")


class Room:
    async def say(self, text: str) -> None:
        await anyio.lowlevel.checkpoint()


def tree() -> Supervisor:
    slowly = Restart.permanent(wait=wait_fixed(30))
    return Supervisor(
        "shop",
        child(Db, name="db"),
        child(Orders, name="orders"),
        child(Web, name="web"),
        child(Mailer, name="mailer", capacity=5),
        child(Feed, name="feed", restart=slowly, required=False),
        DynamicSupervisor("rooms", intensity=Intensity(20, per=5)),
        shutdown_budget=0.1,
    )


@asynccontextmanager
async def at_work() -> AsyncGenerator[RunningSupervisor]:
    """It runs, and has work, as long as the block lasts."""
    async with tree() as app:
        rooms = app.supervisor("rooms")
        for number in range(ROOMS):
            await rooms.start(Room, name=f"room-{number}", restart="permanent")
        async with anyio.create_task_group() as group:
            for work in (_wait, _fill, _fill, _fill, _talk):
                group.start_soon(work, app)
            await app.find("feed").send(Feed.read)
            await rooms.find("room-3").send(_boom)
            yield app
            group.cancel_scope.cancel()


async def _boom(_: object) -> None:
    raise ValueError("no such room")


async def _wait(app: RunningSupervisor) -> None:
    while True:
        try:
            await app.find("web").call(Web.get, app.find("orders"), app.find("db"), 600.0)
        except ActorCrashed:
            await anyio.sleep(0.1)


async def _fill(app: RunningSupervisor) -> None:
    while True:
        await app.find("mailer").send(Mailer.post, 3.0)


async def _talk(app: RunningSupervisor) -> None:
    addresses: list[Any] = [app.find(f"rooms/room-{number}") for number in range(ROOMS)]
    while True:
        for number, address in enumerate(addresses):
            for _ in range(number):
                await address.send(Room.say, "hello")
        await anyio.sleep(0.05)
