"""How long an actor lives that nobody supervises: as long as somebody can still write to it.

Tested:
- SEMANTICS 30: it ends when its last strong address is gone and its queue is handled: a normal end
- SEMANTICS 31: one token for an address, its copies, recipients and views; close, clone; who holds none
- SEMANTICS 32: once the count is zero a weak address refuses; "none yet" isn't "none left"
- SEMANTICS 33: the last drop in a finalizer, in a cycle, in another thread, after the loop; an idle actor wakes and ends
- SEMANTICS 34: a kept exception doesn't pin an address that the actor wasn't given to keep
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import pytest

from supervise import Address, Ended, MailboxClosed, Recipient, Supervisor, WeakAddress, current, open_mailbox
from supervise.testing import virtual_time
from tests.doubles import Gate, Outcomes, Scribe
from tests.real_clock import on_the_real_clock


@asynccontextmanager
async def running(log: list[Any] | None = None, **options: Any) -> AsyncGenerator[tuple[Outcomes, list[Address[Scribe]]]]:
    """An actor that lives by its address, which is only in the list; at the end the actor has ended."""
    mailbox, address = open_mailbox(Scribe, **options)
    strong = [address]
    del address
    async with anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("run", mailbox.run(Scribe, log))
        yield outcomes, strong
        await virtual_time.at_rest()
        assert isinstance(outcomes.of["run"], Ended)
        assert str(outcomes.of["run"].reason) == "normal"


def forget(_: Scribe, address: Address[Scribe]) -> None:
    pass


@pytest.mark.anyio
async def test_an_idle_actor_ends_when_its_last_strong_address_is_dropped() -> None:
    async with running() as (outcomes, strong):
        await strong[0].call(Scribe.note, 1)
        await anyio.sleep(1000)
        assert "run" not in outcomes.of
        strong.clear()


@pytest.mark.anyio
async def test_what_is_queued_is_handled_first() -> None:
    log: list[Any] = []
    async with running(log, capacity=2) as (outcomes, strong):
        gate = Gate()
        await strong[0].send(Scribe.hold, gate)
        await gate.reached.wait()
        await strong[0].send(Scribe.note, "a")
        await strong[0].send(Scribe.note, "b")
        await outcomes.watch("waits for room", strong[0].send(Scribe.note, "c"))
        strong.clear()
        await virtual_time.at_rest()
        assert "run" not in outcomes.of
        gate.open()
    assert log == ["a", "b", "c"]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_the_actor_doesnt_wait_for_a_sender_that_was_given_room_and_is_gone() -> None:
    async with running(capacity=1) as (outcomes, strong):
        gate = Gate()
        await strong[0].send(Scribe.hold, gate)
        await gate.reached.wait()
        await strong[0].send(lambda _: sender.cancel())  # whose place in the queue has just been given to the sender
        sender = asyncio.create_task(strong[0].send(Scribe.note, "b"))
        await virtual_time.at_rest()
        strong.clear()
        gate.open()
        await virtual_time.at_rest()
        assert sender.cancelled()
        assert "run" in outcomes.of


@pytest.mark.anyio
async def test_a_call_through_an_address_that_nobody_keeps_gets_its_reply() -> None:
    async with running() as (_, strong):
        weak = strong[0].weak
        strong.clear()
        with pytest.raises(MailboxClosed):
            weak.strong()
    async with running() as (_, strong):
        assert await strong.pop().call(Scribe.note, 1) == 1


@pytest.mark.anyio
async def test_copies_views_and_recipients_share_one_token() -> None:
    async with running() as (outcomes, strong):
        address = strong.pop()
        kept: list[Any] = [address, address.options(timeout=1), address.recipient(Scribe.note)]
        kept.append(kept[1].recipient(Scribe.note))
        kept.append(kept[1].options(on_restart="fail"))
        assert len({id(reach._token) for reach in kept}) == 1
        del address
        while kept:
            assert "run" not in outcomes.of
            kept.pop(0)
            await virtual_time.at_rest()
        assert "run" in outcomes.of


@pytest.mark.anyio
async def test_a_clone_is_a_strong_address_of_its_own() -> None:
    async with running() as (outcomes, strong):
        clone = strong[0].clone()
        assert clone == strong[0]
        strong.pop().close()
        await virtual_time.at_rest()
        assert "run" not in outcomes.of
        assert await clone.call(Scribe.note, 1) == 1
        clone.close()


@pytest.mark.anyio
@pytest.mark.parametrize("supervised", [True, False])
async def test_a_closed_address_is_closed_for_all_that_share_its_token(supervised: bool) -> None:
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        mailbox, address = open_mailbox(Scribe)
        await Outcomes(group).watch("run", mailbox.run(Scribe))
        if supervised:
            address = await app.start(Scribe)
        other, view, recipient = address.clone(), address.options(timeout=9), address.recipient(Scribe.note)
        weak = address.weak
        address.close()
        address.close()
        for refused in (lambda: address.send(Scribe.note, 1), lambda: view.call(Scribe.note, 1), lambda: recipient.send(1)):
            with pytest.raises(MailboxClosed, match=r"this address of .*scribe was closed"):
                await refused()
        with pytest.raises(MailboxClosed):
            recipient.try_send(1)
        with pytest.raises(MailboxClosed):
            address.clone()
        assert await other.call(Scribe.note, 1) == 1
        assert await weak.call(Scribe.note, 2) == 2
        other.close()


@pytest.mark.anyio
async def test_a_supervisor_keeps_its_children_whatever_becomes_of_their_addresses() -> None:
    async with Supervisor("app") as app:
        scribe = await app.start(Scribe)
        weak = scribe.weak
        scribe.close()
        del scribe
        await virtual_time.at_rest()
        assert await weak.call(Scribe.note, 1) == 1
        assert await weak.strong().call(Scribe.note, 2) == 2


@pytest.mark.anyio
async def test_once_the_last_strong_address_is_gone_weak_ones_refuse_while_the_queue_is_handled() -> None:
    log: list[Any] = []
    async with running(log) as (outcomes, strong):
        weak: WeakAddress[Scribe] = strong[0].weak
        assert await weak.call(Scribe.note, 1) == 1
        strong_again = weak.strong()
        strong.clear()
        await virtual_time.at_rest()
        assert await weak.call(Scribe.note, 2) == 2  # there is another one
        gate = Gate()
        await weak.send(Scribe.hold, gate)
        await weak.send(Scribe.note, 3)
        del strong_again
        for refused in (
            lambda: weak.send(Scribe.note, 4),
            lambda: weak.call(Scribe.note, 4),
            lambda: weak.options(timeout=1).send(Scribe.note, 4),
        ):
            with pytest.raises(MailboxClosed, match="its last strong address is gone"):
                await refused()
        for refused_at_once in (lambda: weak.try_send(Scribe.note, 4), lambda: weak.strong()):
            with pytest.raises(MailboxClosed, match="its last strong address is gone"):
                refused_at_once()
        assert "run" not in outcomes.of
        gate.open()
    assert log == [1, 2, 3]


@pytest.mark.anyio
async def test_none_left_is_for_ever() -> None:
    mailbox, address = open_mailbox(Scribe)
    weak = address.weak
    address.close()
    with pytest.raises(MailboxClosed):
        weak.strong()
    assert isinstance(await mailbox.run(Scribe), Ended)
    with pytest.raises(MailboxClosed):
        await weak.send(Scribe.note, 1)


@pytest.mark.anyio
async def test_neither_messages_nor_current_nor_the_actor_itself_keep_it_alive() -> None:
    async def keep(scribe: Scribe, gate: Gate) -> None:
        scribe.log.append(current())
        scribe.log.append(current().address)
        await gate.walk_through()

    log: list[Any] = []
    async with running(log) as (outcomes, strong):
        gate = Gate()
        await strong[0].send(keep, gate)
        await strong[0].send(Scribe.note, 1)
        strong.clear()
        await virtual_time.at_rest()
        gate.open()
        await virtual_time.at_rest()
        assert "run" in outcomes.of
        assert log[2] == 1


@pytest.mark.anyio
async def test_a_strong_address_in_a_message_counts_until_the_message_is_handled() -> None:
    log: list[Any] = []
    async with running(log) as (outcomes, strong):
        gate = Gate()
        await strong[0].send(Scribe.hold, gate)
        await strong[0].send(forget, strong.pop())
        await virtual_time.at_rest()
        assert "run" not in outcomes.of
        gate.open()
        await virtual_time.at_rest()
        assert "run" in outcomes.of


@pytest.mark.anyio
async def test_a_restart_by_hand_keeps_count() -> None:
    mailbox, address = open_mailbox(Scribe)
    await address.send(Scribe.crash)
    await mailbox.run(Scribe)
    async with anyio.create_task_group() as group:
        outcomes = Outcomes(group)
        await outcomes.watch("run", mailbox.run(Scribe))
        assert await address.call(Scribe.note, 1) == 1
        del address
        await virtual_time.at_rest()
        assert isinstance(outcomes.of["run"], Ended)


@pytest.mark.anyio
async def test_a_drop_by_the_collector_wakes_the_actor() -> None:
    class Holder:
        def __init__(self, address: Address[Scribe]) -> None:
            self.address = address
            self.me = self

    async with running() as (outcomes, strong):
        Holder(strong.pop())
        await virtual_time.at_rest()
        gc.collect()
        await virtual_time.at_rest()
        assert "run" in outcomes.of


@pytest.mark.anyio
@on_the_real_clock
async def test_a_drop_in_another_thread_wakes_the_actor(anyio_backend: Any) -> None:
    mailbox, address = open_mailbox(Scribe)
    parked, strong = threading.Event(), [address]
    del address

    def drop() -> None:
        parked.wait(10)
        strong.clear()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, drop)
            await strong[0].send(lambda _: parked.set())
            assert isinstance(await mailbox.run(Scribe), Ended)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_address_that_outlives_its_loop_goes_in_silence(backend: str) -> None:
    async def main() -> tuple[Address[Scribe], Recipient[[Any], int]]:
        _, address = open_mailbox(Scribe)
        return address, address.clone().recipient(Scribe.note)

    kept = [virtual_time.run(backend, main)]
    kept[0][0].close()
    kept.clear()
    gc.collect()
