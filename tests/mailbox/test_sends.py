"""Sending: order, room, and fairness.

Tested:
- SEMANTICS 29: one in 128 sends yields, and one in 128 messages handled
- SEMANTICS 37: the wait and reject policies, try_send, capacity
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from supervise import Address, InvalidSpec, MailboxFull, Supervisor, child
from supervise.testing import virtual_time
from tests.doubles import Outcomes, Scribe, fill
from tests.situations import starting


@pytest.mark.anyio
async def test_a_full_mailbox_makes_senders_wait_in_the_order_in_which_they_came() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, capacity=1)) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, "a")
        outcomes = Outcomes(group)
        for entry in "bcde":
            await outcomes.watch(entry, scribe.send(Scribe.note, entry))
        assert outcomes.of == {}
        assert scribe.account().accepted == 2
        gate.open()
        await virtual_time.at_rest()
        assert log == [*"abcde"]
        assert outcomes.of == dict.fromkeys("bcde")


@pytest.mark.anyio
async def test_calls_and_sends_wait_for_room_alike() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, capacity=1)) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, "a")
        outcomes = Outcomes(group)
        await outcomes.watch("call", scribe.call(Scribe.note, "b"))
        await outcomes.watch("send", scribe.send(Scribe.note, "c"))
        assert scribe.account().accepted == 2
        gate.open()
        await virtual_time.at_rest()
        assert log == [*"abc"]
        assert outcomes.of == {"call": 2, "send": None}


@pytest.mark.anyio
async def test_try_send_never_waits_and_gives_the_message_back() -> None:
    async with Supervisor("app", child(Scribe, capacity=1)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe)
        scribe.try_send(Scribe.note, 1)
        with pytest.raises(MailboxFull, match=r"app/scribe is full \(1 message waits\)") as full:
            scribe.try_send(Scribe.note, 2)
        assert str(full.value.message) == "Scribe.note(2)"
        gate.open()
        await virtual_time.at_rest()
        scribe.try_send(Scribe.note, 3)


@pytest.mark.anyio
async def test_the_reject_policy_gives_every_message_back_instead_of_waiting() -> None:
    async with Supervisor("app", child(Scribe, capacity=1, overflow="reject")) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, 1)
        with pytest.raises(MailboxFull, match="overflow='reject'") as sent:
            await scribe.send(Scribe.note, 2)
        with pytest.raises(MailboxFull) as called:
            await scribe.options(timeout=5).call(Scribe.note, 3)
        assert str(sent.value.message) == "Scribe.note(2)"
        assert str(called.value.message) == "Scribe.note(3)"
        assert scribe.account().accepted == 2
        gate.open()
        await virtual_time.at_rest()
        assert await scribe.call(Scribe.note, 4) == 2


@pytest.mark.anyio
async def test_the_default_mailbox_holds_a_thousand() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        gate = await fill(scribe)
        for n in range(1000):
            scribe.try_send(Scribe.note, n)
        with pytest.raises(MailboxFull):
            scribe.try_send(Scribe.note, 1000)
        gate.open()


def test_a_policy_that_there_isnt_is_refused_where_it_is_given() -> None:
    policy: Any = "drop"
    with pytest.raises(InvalidSpec, match="overflow="):
        child(Scribe, overflow=policy)


@pytest.mark.parametrize("capacity", [0, -1, 0.5, 2.5, True, "10", float("nan"), None])
def test_a_capacity_that_can_never_work_is_refused_where_it_is_given(capacity: Any) -> None:
    with pytest.raises(InvalidSpec, match="capacity="):
        child(Scribe, capacity=capacity)


@pytest.mark.anyio
async def test_a_mailbox_without_bound_takes_everything() -> None:
    async with Supervisor("app", child(Scribe, capacity=float("inf"))) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe)
        for n in range(5000):
            scribe.try_send(Scribe.note, n)
        gate.open()
        assert await scribe.call(Scribe.note, 5000) == 5001


# -- fairness ----------------------------------------------------------------------------------------------------------


class Ticks:
    """Counts how often others may run."""

    def __init__(self) -> None:
        self.count = 0

    async def run(self) -> None:
        while True:
            self.count += 1
            await anyio.lowlevel.checkpoint()


class Yields:
    """Awaits, and counts how often the loop got to run meanwhile."""

    def __init__(self, awaited: Coroutine[Any, Any, Any]) -> None:
        self._inner = awaited.__await__()
        self.count = 0

    def __await__(self) -> Generator[Any, Any, int]:
        sent: Any = None
        while True:
            try:
                trap: Any = self._inner.send(sent)
            except StopIteration:
                return self.count
            self.count += 1
            sent = yield trap


@pytest.mark.anyio
async def test_of_any_128_sends_to_a_mailbox_that_handles_nothing_one_yields() -> None:
    async with starting(capacity=1000) as (_, scribe):
        yielded = [await Yields(scribe.send(Scribe.note, n)) for n in range(1000)]
        assert all(any(yielded[n : n + 128]) for n in range(1000 - 127))
        assert sum(yielded) <= 8


@pytest.mark.anyio
async def test_sends_to_an_actor_that_handles_them_never_yield() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        for _ in range(10):
            assert [await Yields(scribe.send(Scribe.note, n)) for n in range(100)] == [0] * 100
            await virtual_time.at_rest()


@pytest.mark.anyio
async def test_a_sender_in_a_loop_can_be_cancelled_and_doesnt_starve_the_actor() -> None:
    async with Supervisor("app", child(Scribe, capacity=float("inf"))) as app:
        scribe: Address[Scribe] = app.find("scribe")
        with anyio.move_on_after(1) as scope:
            while True:
                await scribe.send(Scribe.note, 1)
                if scribe.account().handled > 1000:
                    scope.cancel()
        account = scribe.account()
        assert account.handled > 1000
        assert account.queued < 300


@pytest.mark.anyio
async def test_a_long_queue_lets_others_run_every_128_messages() -> None:
    async with Supervisor("app", child(Scribe, capacity=float("inf"))) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe)
        for n in range(1280):
            scribe.try_send(Scribe.note, n)
        ticks = Ticks()
        group.start_soon(ticks.run)
        gate.open()
        await scribe.call(Scribe.note, 0)
        assert ticks.count >= 10
        group.cancel_scope.cancel()
