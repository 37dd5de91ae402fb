"""How an actor is tested: pytest, anyio's plugin, and `supervise.testing`. Run it with `pytest examples/test_an_actor.py`.

Look for: a backoff of seconds passes at once, in virtual time; a crash is caused where it is wanted; what happened is told in
words; a neighbour is a fake that records what it is sent; what a restart would lose is named; and at last the whole tree stands
a storm.
"""

from typing import Any

import anyio
import pytest
from tenacity import wait_exponential

from supervise import ActorCrashed, AddressLike, Intensity, Restart, Supervisor, child, current
from supervise.testing import FakeAddress, NotSurvived, Recording, Sabotage, assert_story, call, chaos, crash_on, survives


class Stock:
    """Keeps what is in stock in a dictionary that outlives it, as a database would."""

    def __init__(self, shelf: dict[str, int]) -> None:
        self.shelf = shelf

    async def put(self, item: str, count: int) -> int:
        self.shelf[item] = self.shelf.get(item, 0) + count
        return self.shelf[item]


class Delivery:
    """Unpacks boxes into the stock."""

    def __init__(self, stock: AddressLike[Stock]) -> None:  # any address will do, a weak one or a fake, too
        self.stock = stock

    async def unpack(self, box: dict[str, int]) -> None:
        for item, count in box.items():
            await self.stock.send(Stock.put, item, count)


class Ledger:
    """Counts what was delivered. A checkpoint after each delivery is what the next life begins with."""

    def __init__(self) -> None:
        last = current().last_checkpoint
        self.delivered: int = 0 if last is None else last.value
        self.late = 0

    async def enter(self, count: int) -> None:
        if count < 0:
            raise ValueError(f"{count} can't be delivered")
        self.delivered += count
        current().checkpoint(self.delivered)

    async def complain(self) -> None:
        self.late += 1  # and no checkpoint: it is one of the things that a restart may lose

    async def total(self) -> int:
        return self.delivered

    async def complaints(self) -> int:
        return self.late


@pytest.fixture
def anyio_backend(virtual_backend: Any) -> Any:
    return virtual_backend  # asyncio, then trio, in virtual time; in a conftest.py it holds for all tests


@pytest.mark.anyio
async def test_a_delivery_sends_each_item_to_the_stock() -> None:
    stock = FakeAddress[Stock](name="stock")
    async with Supervisor("app") as app:
        delivery = await app.start(Delivery, stock)
        await delivery.call(Delivery.unpack, {"nail": 100, "screw": 20})
    assert [str(sent) for sent in stock.sent] == ["send Stock.put('nail', 100)", "send Stock.put('screw', 20)"]


@pytest.mark.anyio
async def test_a_stock_that_crashes_is_back_after_a_second_and_then_after_two() -> None:
    restart = Restart.permanent(wait=wait_exponential(multiplier=1))
    events, stock = Recording(), child(Stock, {"nail": 1}, restart=restart)
    async with Supervisor("app", stock, listener=events) as app:
        address = app.find(stock)
        crash_on(address, Stock.put, times=2)
        for _ in range(2):
            with pytest.raises(ActorCrashed) as crash:
                await address.call(Stock.put, "nail", 1)
            assert isinstance(crash.value.__cause__, Sabotage)
        assert await address.call(Stock.put, "nail", 1) == 2
    assert_story(events, "restarted twice, delays 1 and 2, no dead letters, nothing left running", of="app/stock")


@pytest.mark.anyio
async def test_a_ledger_survives_a_restart_but_for_the_complaints() -> None:
    before, crash = [call(Ledger.enter, 3), call(Ledger.complain)], call(Ledger.enter, -1)
    assert await survives(Ledger, before=before, crash=crash, after=call(Ledger.total)) == 3
    with pytest.raises(NotSurvived, match=r"complaints\(\) is 1 without the crash, and 0 after it\.\n  lost: late: 1 -> 0"):
        await survives(Ledger, before=before, crash=crash, after=call(Ledger.complaints))


@pytest.mark.anyio
async def test_no_crash_loses_what_waits() -> None:
    shelf: dict[str, int] = {}
    stock = child(Stock, shelf)
    delivery = child(lambda: Delivery(current().find(stock)), name="delivery")
    async with Supervisor("app", stock, delivery, intensity=Intensity(1000, per=10_000)) as app:
        async with chaos(app, rate=1.0, seed=1) as storm:
            for _ in range(1000):
                await app.find(delivery).send(Delivery.unpack, {"nail": 1})
                await anyio.sleep(0.1)
        account = app.account()
        assert len(storm.strikes) > 50
        assert shelf == {"nail": 1000}, storm  # shown with its seed and its strikes
        assert account.balanced
