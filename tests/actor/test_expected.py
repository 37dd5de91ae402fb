"""Exceptions that are answers, not crashes.

Tested:
- SEMANTICS 15: `expects`: matched on the raised exception itself, never inside a group; told to the caller, or said
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from supervise import ActorCrashed, Address, Supervisor, child, current
from supervise.testing import virtual_time
from tests.doubles import Scribe, raised_in


class Bank:
    def __init__(self) -> None:
        self.balance = 10

    async def withdraw(self, amount: int) -> int:
        if amount > self.balance:
            raise ValueError(f"only {self.balance} left")
        self.balance -= amount
        return self.balance

    async def withdraw_in_group(self, amount: int) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self.withdraw, amount)

    async def withdraw_in_nursery(self, amount: int) -> None:
        current().nursery.start_soon(self.withdraw, amount)


def look_up(_: Bank) -> int:
    return {"there": 1}["missing"]


@pytest.mark.anyio
async def test_an_expected_exception_goes_to_the_caller_as_itself_and_the_actor_lives_on() -> None:
    async with Supervisor("app", child(Bank, expects=(ValueError, LookupError))) as app:
        bank: Address[Bank] = app.find("bank")
        assert await bank.call(Bank.withdraw, 4) == 6
        with pytest.raises(ValueError, match="only 6 left"):
            await bank.call(Bank.withdraw, 7)
        with pytest.raises(KeyError):  # a subclass of what is expected
            await bank.call(look_up)
        assert await bank.call(Bank.withdraw, 1) == 5


@pytest.mark.anyio
async def test_an_expected_exception_of_a_send_is_said_and_counted() -> None:
    heard: list[str] = []
    async with Supervisor("app", child(Bank, expects=(ValueError,)), listener=lambda e: heard.append(str(e))) as app:
        bank: Address[Bank] = app.find("bank")
        await bank.send(Bank.withdraw, 11)
        assert await bank.call(Bank.withdraw, 1) == 9
        where = raised_in(Bank.withdraw, 2)
        assert f"app/bank #1: Bank.withdraw(int) raised the expected ValueError: only 10 left in {where}" in heard
        assert bank.account()[:3] == (2, 1, 1)


@pytest.mark.anyio
@pytest.mark.parametrize("handler", [Bank.withdraw_in_group, Bank.withdraw_in_nursery])
async def test_what_is_expected_isnt_looked_for_inside_groups_nor_in_the_nursery(handler: Any) -> None:
    async with Supervisor("app", child(Bank, expects=(ValueError,))) as app:
        bank: Address[Bank] = app.find("bank")
        await bank.send(handler, 11)
        await virtual_time.at_rest()
        assert app.get_childspec("bank").incarnation == 2


@pytest.mark.anyio
async def test_errors_of_other_actors_that_a_handler_meets_are_its_own_crash() -> None:
    async def ask(_: Scribe, bank: Address[Bank]) -> None:
        await bank.call(Bank.withdraw, 11)

    async with Supervisor("app", child(Bank, expects=(ValueError,)), child(Scribe)) as app:
        with pytest.raises(ActorCrashed, match=r"app/scribe #1 crashed with \S+ in hand: ValueError"):
            await app.find("scribe").call(ask, app.find("bank"))
        assert app.get_childspec("bank").incarnation == 1
