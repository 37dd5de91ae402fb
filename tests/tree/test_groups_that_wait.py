"""A member of a group that waits for one that has crashed: both are restarted together, so it can't be answered before.

Tested: under `rest_for_one` and `one_for_all`, waiting itself or through another member, that the wait ends at once, with
`ActorRestarting`, and not with the stop time; that who waits for somebody else has its time; that what waited is whole.
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from supervise import ActorCrashed, Address, Supervisor, child, ref
from supervise.testing.virtual_time import at_rest
from supervise_strategies import Supervision
from tests.doubles import Boom

pytestmark = pytest.mark.anyio


class Db:
    async def crash(self) -> None:
        raise Boom("db")

    async def read(self) -> str:
        return "tea"


class Stock:
    def __init__(self, db: Address[Db]) -> None:
        self.db = db

    async def find(self) -> str:
        return await self.db.call(Db.read)

    async def take_time(self) -> str:
        await anyio.sleep(2)
        return "done"


class Web:
    def __init__(self, stock: Address[Stock]) -> None:
        self.stock = stock

    async def get(self) -> str:
        return await self.stock.call(Stock.find)


db = child(Db)
stock = child(Stock, ref(db))
web = child(Web, ref(stock))


@pytest.mark.parametrize("strategy", ["rest_for_one", "one_for_all"])
@pytest.mark.parametrize(("key", "handler"), [(stock, Stock.find), (web, Web.get)], ids=["itself", "through another"])
async def test_its_wait_ends_at_once(strategy: Any, key: Any, handler: Any) -> None:
    raised: list[BaseException] = []

    async def ask() -> None:
        try:
            await app.find(key).call(handler)
        except ActorCrashed as error:
            raised.append(error)

    async with Supervisor("app", db, stock, web, strategy=strategy) as app, anyio.create_task_group() as group:
        app.find(db).pause()
        group.start_soon(ask)
        await at_rest()
        began = anyio.current_time()
        app.kill("db")
        await at_rest()
        assert anyio.current_time() == began
        assert "ActorRestarting: app/db is restarted with app/" in str(raised[0])
        assert [info.incarnation for info in app.which_children()] == [2, 2, 2]
        app.find(db).resume()
        assert await app.find(web).call(Web.get) == "tea"
        assert app.account().balanced


async def test_who_waits_for_nobody_of_them_has_its_time() -> None:
    answers: list[str] = []

    async def ask() -> None:
        answers.append(await app.find(stock).call(Stock.take_time))

    async with Supervisor("app", db, stock, web, strategy="rest_for_one") as app, anyio.create_task_group() as group:
        group.start_soon(ask)
        await at_rest()
        await app.find(db).send(Db.crash)
        await anyio.sleep(3)
        assert answers == ["done"]


async def test_a_large_group_is_not_looked_through_for_each_of_its_members(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[list[str]] = []
    look = Supervision.starting_again

    def counted(machine: Supervision) -> list[str]:
        looks.append(look(machine))
        return looks[-1]

    monkeypatch.setattr(Supervision, "starting_again", counted)
    members = [child(Db, name=f"db-{number}") for number in range(50)]
    async with Supervisor("app", *members, strategy="one_for_all") as app:
        await app.find(members[0]).send(Db.crash)
        await at_rest()
        assert {info.incarnation for info in app.which_children()} == {2}
        assert not looks
