"""Whoever waits for room: cancelled it was never accepted, its room goes to the next, and it is told when the actor ends.

Tested:
- SEMANTICS 29: a cancelled send was never accepted, by scope, natively, by asyncio's timeout, before and after room was given
  to it, which then goes to the next
- SEMANTICS 13: whoever waits for room when the actor stops is told, and waits on over a restart
"""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from supervise import ActorStopped, Address, MailboxClosed, MailboxFull, Supervisor, child, current
from supervise.testing import virtual_time
from tests.doubles import Gate, Outcomes, Scribe, fill, turn_by_turn_until

ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["scope", "deadline", "options"])
async def test_a_send_that_is_cancelled_while_it_waits_for_room_was_never_accepted(way: str) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, capacity=1)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, "a")
        async with anyio.create_task_group() as group:
            if way == "options":
                await Outcomes(group).watch("b", scribe.options(timeout=1).send(Scribe.note, "b"))
            elif way == "scope":
                await Outcomes(group).watch("b", scribe.send(Scribe.note, "b"))
                group.cancel_scope.cancel()
            else:
                with anyio.move_on_after(1) as scope:
                    await scribe.send(Scribe.note, "b")
                assert scope.cancelled_caught
        assert scribe.account().accepted == 2
        gate.open()
        await virtual_time.at_rest()
        await scribe.call(Scribe.note, "c")
        assert log == ["a", "c"]


@pytest.mark.anyio
@ASYNCIO
@pytest.mark.parametrize("way", ["cancel", "timeout"])
@pytest.mark.parametrize("room_was_given", [False, True])
async def test_a_natively_cancelled_send_was_never_accepted_and_passes_its_room_on(way: str, room_was_given: bool) -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, capacity=1)) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe)
        second = Gate()
        await scribe.send(Scribe.hold, second)

        async def send_in_time() -> None:
            async with asyncio.timeout(1):
                await scribe.send(Scribe.note, "cancelled")

        sender = asyncio.create_task(send_in_time() if way == "timeout" else scribe.send(Scribe.note, "cancelled"))
        await virtual_time.at_rest()
        outcomes = Outcomes(group)
        await outcomes.watch("next", scribe.send(Scribe.note, "next"))
        if room_was_given:
            if way == "timeout":  # the actor takes its next message in the very turn in which the timeout strikes
                loop = asyncio.get_running_loop()
                loop.call_at(loop.time() + 1, gate.open)
                await anyio.sleep(1.5)
            else:
                gate.open()
                await turn_by_turn_until(lambda: scribe.account().handled > 0)
                sender.cancel()
        elif way == "cancel":
            sender.cancel()
        await asyncio.wait([sender])
        assert sender.cancelled() or isinstance(sender.exception(), TimeoutError)
        gate.open()
        await virtual_time.at_rest()
        assert outcomes.of == {"next": None}
        assert scribe.account().accepted == 3
        second.open()
        await virtual_time.at_rest()
        assert log == ["next"]


@pytest.mark.anyio
async def test_room_given_to_a_sender_isnt_taken_by_a_newcomer() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, capacity=1)) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        refused: list[MailboxFull] = []

        def push(_: Scribe) -> None:
            """Runs right after its own place in the queue was given to the sender that waits."""
            try:
                current().address.try_send(Scribe.note, "newcomer")
            except MailboxFull as full:
                refused.append(full)

        gate = await fill(scribe)
        await scribe.send(push)
        await Outcomes(group).watch("waits", scribe.send(Scribe.note, "waited"))
        gate.open()
        await virtual_time.at_rest()
        assert log == ["waited"]
        assert len(refused) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("restart", ["permanent", "temporary"])
async def test_whoever_waits_for_room_when_the_actor_stops_is_told_and_was_never_accepted(restart: Any) -> None:
    async with Supervisor("app") as app, anyio.create_task_group() as group:
        scribe = await app.start(Scribe, capacity=1, restart=restart)
        gate = await fill(scribe, "a")
        outcomes = Outcomes(group)
        await outcomes.watch("send", scribe.send(Scribe.note, "b"))
        await outcomes.watch("call", scribe.call(Scribe.note, "c"))
        await outcomes.watch("stop", app.terminate_child("scribe"))
        for way in ("send", "call"):
            refused = outcomes.of[way]  # the intake is closed at once, although the message in hand may still finish
            assert isinstance(refused, ActorStopped)
            assert refused.message is not None
        assert scribe._mailbox.waiting_senders is None  # 700 B that a stopped actor would keep
        gate.open()
        await virtual_time.at_rest()
        account = scribe.account()
        assert (account.accepted, account.dead_lettered) == (2, 1)
        with pytest.raises(ActorStopped if restart == "permanent" else MailboxClosed):
            await scribe.send(Scribe.note, "d")


@pytest.mark.anyio
async def test_whoever_was_given_room_when_the_actor_goes_is_told_and_was_never_accepted() -> None:
    def crash_at_once(_: Scribe) -> None:
        raise RuntimeError("its own place in the queue was given to the sender")

    async with Supervisor("app") as app, anyio.create_task_group() as group:
        scribe = await app.start(Scribe, capacity=1, restart="temporary")
        gate = await fill(scribe)
        await scribe.send(crash_at_once)
        outcomes = Outcomes(group)
        await outcomes.watch("send", scribe.send(Scribe.note, "a"))
        gate.open()
        await virtual_time.at_rest()
        assert isinstance(outcomes.of["send"], MailboxClosed)
        account = scribe.account()
        assert (account.accepted, account.queued) == (2, 0)


@pytest.mark.anyio
async def test_whoever_goes_away_from_a_full_mailbox_leaves_nothing_there() -> None:
    async with Supervisor("app", child(Scribe, capacity=1)) as app:
        scribe: Address[Scribe] = app.find("scribe")
        gate = await fill(scribe, "a")
        for _ in range(3):
            with anyio.move_on_after(1):
                await scribe.send(Scribe.note, "b")
            with pytest.raises(TimeoutError):
                await scribe.options(timeout=1).call(Scribe.note, "b")
        senders = scribe._mailbox.waiting_senders
        assert senders is not None
        assert not senders.line
        gate.open()


@pytest.mark.anyio
async def test_whoever_waits_for_room_waits_on_over_a_restart() -> None:
    log: list[Any] = []
    async with Supervisor("app", child(Scribe, log, capacity=1)) as app, anyio.create_task_group() as group:
        scribe: Address[Scribe] = app.find("scribe")
        await fill(scribe, "a")
        outcomes = Outcomes(group)
        await outcomes.watch("send", scribe.send(Scribe.note, "b"))
        app.kill("scribe")
        await virtual_time.at_rest()
        assert outcomes.of == {"send": None}
        assert log == ["a", "b"]


@pytest.mark.anyio
@pytest.mark.parametrize("capacity", [1, 3, 100])
async def test_a_crowd_of_senders_never_overfills_the_mailbox_and_nobody_is_left_waiting(capacity: int) -> None:
    longest, order = 0, list[tuple[int, int]]()
    async with Supervisor("app", child(Scribe, capacity=capacity)) as app:
        scribe: Address[Scribe] = app.find("scribe")

        def look(_: Scribe, sender: int, number: int) -> None:
            nonlocal longest
            longest = max(longest, len(scribe))
            order.append((sender, number))

        async def send(sender: int) -> None:
            for number in range(50):
                await scribe.send(look, sender, number)

        async with anyio.create_task_group() as group:
            for sender in range(20):
                group.start_soon(send, sender)
        await scribe.call(Scribe.note, "end")
    assert longest <= capacity
    for sender in range(20):
        assert [number for who, number in order if who == sender] == list(range(50))
